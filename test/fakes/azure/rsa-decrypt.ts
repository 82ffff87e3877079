/**
 * RSA decryption as Key Vault does it. Node refuses RSA1_5 (`CVE-2023-46809`), so that padding is taken off here; a fake may
 * do that in variable time, a service may not.
 */
import { constants, type KeyObject, privateDecrypt, publicEncrypt } from "node:crypto";

export type RsaAlgorithm = "RSA1_5" | "RSA-OAEP" | "RSA-OAEP-256";

export const rsaAlgorithms: readonly RsaAlgorithm[] = ["RSA1_5", "RSA-OAEP", "RSA-OAEP-256"];

const oaepHash = { "RSA-OAEP": "sha1", "RSA-OAEP-256": "sha256" } as const;

/** Throws when the plaintext is longer than the key allows. */
export function rsaEncrypt(algorithm: RsaAlgorithm, plaintext: Buffer, key: KeyObject): Buffer {
  return algorithm === "RSA1_5"
    ? publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, plaintext)
    : publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: oaepHash[algorithm] }, plaintext);
}

/** Throws when `block` is not what the key's public half made. */
export function rsaDecrypt(algorithm: RsaAlgorithm, block: Buffer, key: KeyObject): Buffer {
  if (algorithm !== "RSA1_5") {
    return privateDecrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: oaepHash[algorithm] }, block);
  }
  const padded = privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, block);
  // RFC 8017 section 7.2.2: 00 02, at least eight bytes other than 00, 00, message.
  const end = padded.indexOf(0, 2);
  if (padded[0] !== 0 || padded[1] !== 2 || end < 10) throw new Error("decryption error");
  return padded.subarray(end + 1);
}
