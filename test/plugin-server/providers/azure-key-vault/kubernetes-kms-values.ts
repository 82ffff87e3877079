/** Values that Azure/kubernetes-kms has written, and its own way of reading and writing them, spelled out once more. */
import { constants, createPrivateKey, createPublicKey, publicEncrypt } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { rsaDecrypt } from "../../../fakes/azure/rsa-decrypt";

export interface WrittenValue {
  /** Base64. */
  readonly plaintext: string;
  readonly ciphertextText: string;
}

export interface WrittenKey {
  readonly modulusLength: number;
  readonly kid: string;
  readonly keyId: string;
  readonly privateKeyPem: string;
  readonly v1: readonly WrittenValue[];
  readonly v2: readonly (WrittenValue & {
    readonly keyId: string;
    readonly annotations: Readonly<Record<string, string>>;
  })[];
}

export const writtenKeys = (
  JSON.parse(readFileSync(join(__dirname, "written-by-kubernetes-kms.json"), "utf8")) as { keys: readonly WrittenKey[] }
).keys;

/** How the peer decrypts: the text is base64url of the block, and the block holds the plaintext itself. */
export function peerDecrypt(kms: "v1" | "v2", ciphertext: Uint8Array, privateKeyPem: string): Buffer {
  const block = Buffer.from(Buffer.from(ciphertext).toString("ascii"), "base64url");
  return rsaDecrypt(kms === "v1" ? "RSA1_5" : "RSA-OAEP-256", block, createPrivateKey(privateKeyPem));
}

/** How OpenShift's fork encrypts: the block, as it is, holds the base64url text of the plaintext. */
export function forkEncrypt(kms: "v1" | "v2", plaintext: Uint8Array, privateKeyPem: string): Buffer {
  const key = createPublicKey(createPrivateKey(privateKeyPem));
  const text = Buffer.from(Buffer.from(plaintext).toString("base64url"), "ascii");
  return kms === "v1"
    ? publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, text)
    : publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" }, text);
}

/** The fork's annotations have no origin. */
export const forkAnnotations = {
  "version.azure.akv.io": Buffer.from("1"),
  "algorithm.azure.akv.io": Buffer.from("RSA-OAEP-256"),
};
