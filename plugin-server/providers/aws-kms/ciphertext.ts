/**
 * The bytes that aws-encryption-provider stores: one version byte, then the blob as AWS KMS gave it, the same for KMS v1
 * and v2. Clusters hold such bytes in etcd for years: never change the form.
 */
import { KmsEtcdError } from "../../../core/errors";

/** ASCII "1" (aws-encryption-provider pkg/kmsplugin, StorageVersion). */
const storageVersion = 0x31;

/** AWS KMS API reference, Encrypt: Plaintext has 1 to 4096 bytes. Decrypt: CiphertextBlob has 1 to 6144. */
const kmsLimits = { plaintextBytes: 4096, blobBytes: 6144 } as const;

/** What a plugin hands to the API server for `blob`. */
export function ciphertextOf(blob: Uint8Array): Uint8Array {
  const ciphertext = new Uint8Array(blob.length + 1);
  ciphertext[0] = storageVersion;
  ciphertext.set(blob, 1);
  return ciphertext;
}

/**
 * The blob inside `ciphertext`. KMS v1 data from before the version byte came has none and is still readable; KMS v2 is
 * younger than the byte, so there its absence means that the bytes are not this plugin's.
 */
export function blobOf(ciphertext: Uint8Array, kms: "v1" | "v2"): Uint8Array {
  if (ciphertext.length === 0) {
    throw new KmsEtcdError("invalid-input", "the ciphertext is empty");
  }
  const versioned = ciphertext[0] === storageVersion;
  if (!versioned && kms === "v2") {
    throw new KmsEtcdError("corrupt", "the ciphertext does not begin with the version byte 0x31", {
      remedy: "check that the provider name in the encryption configuration belongs to this plugin's key",
    });
  }
  const blob = versioned ? ciphertext.subarray(1) : ciphertext;
  if (blob.length === 0 || blob.length > kmsLimits.blobBytes) {
    throw new KmsEtcdError(
      "invalid-input",
      `the ciphertext has ${blob.length} bytes after the version byte, and AWS KMS takes 1 to ${kmsLimits.blobBytes}`,
    );
  }
  return blob;
}

/** Refuses here what AWS KMS would refuse, so that one caller's mistake costs no call and says nothing about the key. */
export function checkPlaintext(plaintext: Uint8Array): void {
  if (plaintext.length === 0 || plaintext.length > kmsLimits.plaintextBytes) {
    throw new KmsEtcdError(
      "invalid-input",
      `the plaintext has ${plaintext.length} bytes, and AWS KMS encrypts 1 to ${kmsLimits.plaintextBytes}`,
    );
  }
}
