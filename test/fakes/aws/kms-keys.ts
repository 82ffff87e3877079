/**
 * The keys of the KMS fake: their state, who may use them, and their cryptography. A blob has moto's form (36 bytes of key id,
 * 12 of IV, 16 of tag, then AES-256-GCM data), so blobs that were recorded with moto decrypt here and those from here with moto.
 */
import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from "node:crypto";
import { KmsWireError } from "./kms-error";

export type KeyState = "Enabled" | "Disabled" | "PendingDeletion" | "Unavailable";
export type KmsAction = "Encrypt" | "Decrypt";
export type EncryptionContext = Readonly<Record<string, string>>;

export interface FakeKey {
  readonly arn: string;
  readonly id: string;
  readonly material: Buffer;
  state: KeyState;
  /** Actions that the caller's policy lacks. */
  readonly denied: Set<KmsAction>;
  readonly usage: "ENCRYPT_DECRYPT" | "SIGN_VERIFY";
  readonly createdAt: Date;
}

/** Who does the arithmetic: this process, or moto behind the fake. */
export interface KmsCryptography {
  encrypt(key: FakeKey, plaintext: Uint8Array, context: EncryptionContext): Promise<Buffer>;
  /** Undefined for a blob that was changed, or encrypted with another context. */
  decrypt(key: FakeKey, blob: Uint8Array, context: EncryptionContext): Promise<Buffer | undefined>;
}

const idBytes = 36;
const ivBytes = 12;
const tagBytes = 16;

export const ownCryptography: KmsCryptography = {
  async encrypt(key, plaintext, context) {
    const iv = randomBytes(ivBytes);
    const cipher = createCipheriv("aes-256-gcm", key.material, iv).setAAD(additionalData(context));
    const data = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    return Buffer.concat([Buffer.from(key.id, "ascii"), iv, cipher.getAuthTag(), data]);
  },
  async decrypt(key, blob, context) {
    const parts = Buffer.from(blob).subarray(idBytes);
    const decipher = createDecipheriv("aes-256-gcm", key.material, parts.subarray(0, ivBytes))
      .setAAD(additionalData(context))
      .setAuthTag(parts.subarray(ivBytes, ivBytes + tagBytes));
    try {
      return Buffer.concat([decipher.update(parts.subarray(ivBytes + tagBytes)), decipher.final()]);
    } catch {
      return undefined;
    }
  },
};

function additionalData(context: EncryptionContext): Buffer {
  const names = Object.keys(context).sort();
  return Buffer.from(names.map((name) => `${name}${context[name]}`).join(""), "utf8");
}

export interface KmsKeys {
  add(options?: {
    readonly region?: string;
    readonly arn?: string;
    readonly material?: Buffer;
    readonly alias?: string;
    readonly usage?: FakeKey["usage"];
  }): FakeKey;
  /** Points an alias ("alias/name") at a key, also when it pointed at another. */
  setAlias(alias: string, key: FakeKey): void;
  /** The key of that id, ARN or alias; throws what AWS KMS would answer without one. */
  find(keyId: string): FakeKey;
  /** The key that a request may use for `action`; throws what AWS KMS would answer otherwise. */
  use(keyId: string, action: KmsAction): FakeKey;
  /** The key whose id stands at the head of `blob`. */
  ofBlob(blob: Uint8Array): FakeKey;
}

export function createKmsKeys(account: string, region: string): KmsKeys {
  const keys = new Map<string, FakeKey>();
  const aliases = new Map<string, FakeKey>();

  function find(keyId: string): FakeKey {
    if (keyId.startsWith("arn:") && !/^arn:aws:kms:[a-z0-9-]+:\d{12}:(key|alias)\/.+$/.test(keyId)) {
      throw new KmsWireError("InvalidArnException", `Invalid arn ${keyId}`);
    }
    const [, , , arnRegion] = keyId.split(":");
    const found = keys.get(keyId) ?? aliases.get(keyId.slice(keyId.indexOf("alias/")));
    const elsewhere = keyId.startsWith("arn:") && arnRegion !== region;
    if (found === undefined || elsewhere) throw new KmsWireError("NotFoundException", `Key '${keyId}' does not exist`);
    return found;
  }

  return {
    add(options = {}) {
      const id = options.arn?.split("/").at(-1) ?? randomUUID();
      const arn = options.arn ?? `arn:aws:kms:${options.region ?? region}:${account}:key/${id}`;
      const key: FakeKey = {
        arn,
        id,
        material: options.material ?? randomBytes(32),
        state: "Enabled",
        denied: new Set(),
        usage: options.usage ?? "ENCRYPT_DECRYPT",
        createdAt: new Date(),
      };
      keys.set(arn, key);
      keys.set(id, key);
      if (options.alias !== undefined) aliases.set(options.alias, key);
      return key;
    },
    setAlias(alias, key) {
      aliases.set(alias, key);
    },
    find,
    use(keyId, action) {
      const key = find(keyId);
      if (key.denied.has(action)) {
        throw new KmsWireError(
          "AccessDeniedException",
          `User: arn:aws:sts::${account}:assumed-role/control-plane/i-0 is not authorized to perform: kms:${action} on resource: ${key.arn} because no identity-based policy allows the kms:${action} action`,
        );
      }
      if (key.state === "Disabled") throw new KmsWireError("DisabledException", `${key.arn} is disabled.`);
      if (key.state === "PendingDeletion") {
        throw new KmsWireError("KMSInvalidStateException", `${key.arn} is pending deletion.`);
      }
      if (key.state === "Unavailable")
        throw new KmsWireError("KeyUnavailableException", `${key.arn} is unavailable.`, 500);
      if (key.usage !== "ENCRYPT_DECRYPT") {
        throw new KmsWireError(
          "InvalidKeyUsageException",
          `${key.arn} key usage is ${key.usage} which is not valid for ${action}.`,
        );
      }
      return key;
    },
    ofBlob(blob) {
      const key = keys.get(Buffer.from(blob).toString("ascii", 0, idBytes));
      // AWS KMS gives this error without any text.
      if (key === undefined || blob.length <= idBytes + ivBytes + tagBytes)
        throw new KmsWireError("InvalidCiphertextException", "");
      return key;
    },
  };
}
