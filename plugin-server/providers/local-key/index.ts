/** A key in a file on this machine, for development: AES-256-GCM, no service behind it. */
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { KmsEtcdError } from "../../../core/errors";
import { localKeyId } from "../../../core/local-key-file";
import type { LocalPluginConfig } from "../../config/local";
import type { KeyProvider } from "../../key-provider";
import { readKeyFile } from "./read-key-file";

/** Ciphertext: this byte, a 12-byte nonce, the data, a 16-byte tag. Stored data has it: never change what 1 means. */
const formatVersion = 1;
const nonceBytes = 12;
const tagBytes = 16;
const overhead = 1 + nonceBytes + tagBytes;

export function createLocalKeyProvider(config: Pick<LocalPluginConfig, "keyFile">): KeyProvider {
  let opened: { readonly key: KeyObject; readonly keyId: string; readonly boundData: Buffer } | undefined;
  const use = () => {
    if (opened === undefined) throw new Error("open must have resolved before encrypt, decrypt or keyId are used");
    return opened;
  };
  const encryptSync = (plaintext: Uint8Array): Buffer => {
    const { key, boundData } = use();
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(boundData);
    const data = cipher.update(plaintext);
    cipher.final();
    return Buffer.concat([Buffer.of(formatVersion), nonce, data, cipher.getAuthTag()]);
  };
  const decryptSync = (ciphertext: Uint8Array): Buffer => {
    const { key, boundData } = use();
    if (ciphertext.length < overhead || ciphertext[0] !== formatVersion) {
      throw new KmsEtcdError("corrupt", "the ciphertext is not one of a local key");
    }
    const decipher = createDecipheriv("aes-256-gcm", key, ciphertext.subarray(1, 1 + nonceBytes), {
      authTagLength: tagBytes,
    });
    decipher.setAAD(boundData).setAuthTag(ciphertext.subarray(-tagBytes));
    const plaintext = decipher.update(ciphertext.subarray(1 + nonceBytes, -tagBytes));
    try {
      decipher.final();
    } catch (cause) {
      throw new KmsEtcdError("corrupt", "the ciphertext is damaged or of another key", { cause });
    }
    return plaintext;
  };

  return {
    get keyId() {
      return use().keyId;
    },
    statusVersion: "v2",
    description: { provider: "local key file, for development only", keyFile: config.keyFile },
    open: async () => {
      const key = await readKeyFile(config.keyFile);
      const keyId = localKeyId(key);
      // A cipher takes a key from bytes for half of a call's time, and from this for nothing.
      opened = { key: createSecretKey(key), keyId, boundData: Buffer.from(keyId) };
    },
    encrypt: async (plaintext) => ({ ciphertext: encryptSync(plaintext), keyId: use().keyId, annotations: {} }),
    decrypt: async ({ ciphertext, keyId }) => {
      // Empty for KMS v1, whose requests do not name a key.
      if (keyId !== "" && keyId !== use().keyId) {
        throw new KmsEtcdError("invalid-input", `the request names key_id ${keyId}, this key is ${use().keyId}`);
      }
      return decryptSync(ciphertext);
    },
    probe: async () => {
      // Data written under a key that is no longer in its file could not be read after a restart.
      const present = await readKeyFile(config.keyFile).catch((cause: unknown) => {
        throw new KmsEtcdError("key-unusable", `${config.keyFile} can't be read any more`, { cause });
      });
      if (!createSecretKey(present).equals(use().key)) {
        throw new KmsEtcdError("key-unusable", `${config.keyFile} holds another key than when the plugin started`, {
          remedy: "put the old key back, or restart the plugin to use the new one",
        });
      }
      const sample = randomBytes(32);
      if (!timingSafeEqual(decryptSync(encryptSync(sample)), sample))
        throw new KmsEtcdError("corrupt", "the key does not give back what it encrypted");
    },
    close: () => Promise.resolve(),
  };
}
