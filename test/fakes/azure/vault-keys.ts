/** Keys of one fake vault: versions with states, as Key Vault keeps them. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";

export type KeyOperation = "encrypt" | "decrypt" | "wrapKey" | "unwrapKey";

export interface VaultKeyVersion {
  readonly name: string;
  readonly version: string;
  /** `https://<vault>/keys/<name>/<version>`, in the vault's spelling. */
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  enabled: boolean;
  /** Activation and expiration, in milliseconds. */
  notBefore: number | undefined;
  expires: number | undefined;
  keyOps: readonly KeyOperation[];
  tags?: Readonly<Record<string, string>>;
  /** In milliseconds. */
  readonly created: number;
}

export interface VaultKeys {
  /** A new version; of an existing key, if there is one of that name. */
  add(options: {
    readonly name: string;
    readonly version?: string;
    readonly modulusLength?: 2048 | 3072 | 4096;
    readonly privateKeyPem?: string;
  }): VaultKeyVersion;
  /** Names are found in any spelling; an empty version means the newest. */
  find(name: string, version: string): VaultKeyVersion | undefined;
  /** Soft-deletes all versions. */
  delete(name: string): void;
  recover(name: string): void;
  isDeleted(name: string): boolean;
  /** Of keys that are not deleted. */
  names(): readonly string[];
  /** The oldest first; none of a key that is deleted. */
  versionsOf(name: string): readonly VaultKeyVersion[];
  /** Those of a key that is deleted. */
  deletedVersionsOf(name: string): readonly VaultKeyVersion[];
}

export function createVaultKeys(baseUrl: string): VaultKeys {
  const versions: VaultKeyVersion[] = [];
  const deleted = new Set<string>();
  const allOf = (name: string) => versions.filter((key) => key.name.toLowerCase() === name.toLowerCase());
  return {
    add({ name, version = randomBytes(16).toString("hex"), modulusLength = 2048, privateKeyPem }) {
      const privateKey =
        privateKeyPem === undefined
          ? generateKeyPairSync("rsa", { modulusLength }).privateKey
          : createPrivateKey(privateKeyPem);
      const added: VaultKeyVersion = {
        name,
        version,
        kid: `${baseUrl}/keys/${name}/${version}`,
        privateKey,
        publicKey: createPublicKey(privateKey),
        enabled: true,
        notBefore: undefined,
        expires: undefined,
        keyOps: ["encrypt", "decrypt", "wrapKey", "unwrapKey"],
        created: Date.now(),
      };
      versions.push(added);
      return added;
    },
    find(name, version) {
      if (deleted.has(name.toLowerCase())) return undefined;
      const ofName = allOf(name);
      return version === "" ? ofName.at(-1) : ofName.find((candidate) => candidate.version === version.toLowerCase());
    },
    delete: (name) => void deleted.add(name.toLowerCase()),
    recover: (name) => void deleted.delete(name.toLowerCase()),
    isDeleted: (name) => deleted.has(name.toLowerCase()),
    names: () => [...new Set(versions.map(({ name }) => name))].filter((name) => !deleted.has(name.toLowerCase())),
    versionsOf: (name) => (deleted.has(name.toLowerCase()) ? [] : allOf(name)),
    deletedVersionsOf: (name) => (deleted.has(name.toLowerCase()) ? allOf(name) : []),
  };
}
