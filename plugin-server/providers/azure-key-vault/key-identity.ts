/**
 * Which key this is, and the key_id that stands for it: the SHA-256 of the key's identifier (kid), in hex, as
 * Azure/kubernetes-kms has it. The vault's own spelling of the kid decides. The peer takes the spelling of its flags, so a
 * vault name in mixed case makes every Encrypt of it fail.
 */
import { KmsEtcdError } from "../../../core/errors";
import { azureKmsKeyId } from "../../../core/key-ids";

export interface KeyNames {
  readonly vaultName: string;
  readonly keyName: string;
  readonly keyVersion: string;
  readonly dnsSuffix: string;
  /** Where proxy mode sends requests; OpenShift's fork hashes that address into its key_id. */
  readonly proxy: { readonly address: string; readonly port: number } | undefined;
}

export interface KeyIdentity {
  /** `https://<vault>.<suffix>`. */
  readonly vaultUrl: string;
  /** In the vault's spelling once it is known, before that as the flags and DNS suggest. */
  readonly kid: string;
  readonly keyId: string;
  readonly spellingKnown: boolean;
  /** Takes over the vault's spelling. Throws `key-unusable` when `kid` is another key. */
  learn(kid: string): void;
  /** Whether data with this key_id was encrypted with this key. */
  matches(keyId: string): boolean;
}

export function createKeyIdentity(names: KeyNames): KeyIdentity {
  const path = `keys/${names.keyName}/${names.keyVersion}`;
  // DNS has no upper case, and vault and version names are in lower case in every kid that Key Vault returns.
  const vaultUrl = `https://${names.vaultName.toLowerCase()}.${names.dnsSuffix}`;
  const expected = `${vaultUrl}/keys/${names.keyName}/${names.keyVersion.toLowerCase()}`;
  const otherSpellings = [
    `https://${names.vaultName}.${names.dnsSuffix}/${path}`,
    ...(names.proxy === undefined
      ? []
      : [`http://${names.proxy.address}:${names.proxy.port}/${names.vaultName}.${names.dnsSuffix}/${path}`]),
  ];
  const readable = new Set([expected, ...otherSpellings].map(azureKmsKeyId));
  let kid = expected;
  let keyId = azureKmsKeyId(expected);
  let spellingKnown = false;
  return {
    vaultUrl,
    get kid() {
      return kid;
    },
    get keyId() {
      return keyId;
    },
    get spellingKnown() {
      return spellingKnown;
    },
    learn(spelling) {
      if (spelling === kid) {
        spellingKnown = true;
        return;
      }
      if (spelling.toLowerCase() !== expected.toLowerCase()) {
        throw new KmsEtcdError("key-unusable", `the vault used key ${spelling} instead of ${expected}`, {
          remedy: "check --keyvault-name, --key-name and --key-version, and what answers at the vault's address",
        });
      }
      kid = spelling;
      keyId = azureKmsKeyId(spelling);
      readable.add(keyId);
      spellingKnown = true;
    },
    matches: (candidate) => readable.has(candidate),
  };
}
