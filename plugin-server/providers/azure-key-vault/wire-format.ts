/**
 * The bytes that stand in etcd, exactly as Azure/kubernetes-kms writes them: the ciphertext is the unpadded base64url text
 * of the RSA block, and five annotations tell its origin. OpenShift's fork of that plugin (azure-kubernetes-kms) writes the
 * raw block under the same annotations and encrypts the base64url text of the plaintext: that is read too, never written.
 */
import { KmsEtcdError } from "../../../core/errors";

/** KMS v1 and v2 differ in the padding (the peer's pkg/plugin/server.go and kms_v2_server.go). */
export const algorithms = { v1: "RSA1_5", v2: "RSA-OAEP-256" } as const;
export type Algorithm = (typeof algorithms)[keyof typeof algorithms];

/** Persisted with every object that KMS v2 encrypts: never change one. */
export const annotationNames = {
  version: "version.azure.akv.io",
  algorithm: "algorithm.azure.akv.io",
  date: "date.azure.akv.io",
  requestId: "x-ms-request-id.azure.akv.io",
  region: "x-ms-keyvault-region.azure.akv.io",
} as const;

const formatVersion = "1";

/** Key Vault's RSA keys have 2048, 3072 or 4096 bits. */
const blockLengths: readonly number[] = [256, 384, 512];

/** API servers refuse more than 32 kB of annotations; real values have some 30 characters. */
const longestAnnotation = 256;

/** What the answer's headers say about an encryption, for an audit; empty where a header is missing. */
export interface Origin {
  readonly date: string;
  readonly requestId: string;
  readonly region: string;
}

export interface DecodedCiphertext {
  /** What Key Vault gets to decrypt. */
  readonly block: Uint8Array;
  readonly encoding: "kubernetes-kms" | "openshift";
}

/** Whether `block` can be what one of Key Vault's RSA keys made. */
export function isBlock(block: Uint8Array): boolean {
  return blockLengths.includes(block.length);
}

export function encodeCiphertext(block: Uint8Array): Uint8Array {
  return Buffer.from(Buffer.from(block).toString("base64url"), "ascii");
}

/** Throws `corrupt`. Text or not text decides, because 512 bytes can be the text of a small block or a large block itself. */
export function decodeCiphertext(ciphertext: Uint8Array): DecodedCiphertext {
  const block = fromBase64url(Buffer.from(ciphertext).toString("latin1"));
  if (block !== undefined && isBlock(block)) return { block, encoding: "kubernetes-kms" };
  if (isBlock(ciphertext)) return { block: ciphertext, encoding: "openshift" };
  throw new KmsEtcdError("corrupt", `the ciphertext is not what an RSA key makes: it has ${ciphertext.length} bytes`, {
    remedy: "the stored value is damaged, or another plugin wrote it",
  });
}

/** The plaintext, from what Key Vault decrypted. Throws `corrupt`. */
export function decodePlaintext(decrypted: Uint8Array, encoding: DecodedCiphertext["encoding"]): Uint8Array {
  if (encoding === "kubernetes-kms") return decrypted;
  const plaintext = fromBase64url(Buffer.from(decrypted).toString("latin1"));
  if (plaintext !== undefined) return plaintext;
  throw new KmsEtcdError("corrupt", "what was decrypted is not in the encoding of OpenShift's plugin", {
    remedy: "the stored value is damaged, or another plugin wrote it",
  });
}

export function annotationsFor(origin: Origin): Readonly<Record<string, Uint8Array>> {
  return {
    [annotationNames.date]: bytes(origin.date),
    [annotationNames.requestId]: bytes(origin.requestId),
    [annotationNames.region]: bytes(origin.region),
    [annotationNames.version]: bytes(formatVersion),
    [annotationNames.algorithm]: bytes(algorithms.v2),
  };
}

/** Throws `invalid-input` for annotations that no plugin for Key Vault has written. */
export function checkAnnotations(annotations: Readonly<Record<string, Uint8Array>>): void {
  checkAnnotation(annotations, annotationNames.algorithm, algorithms.v2);
  checkAnnotation(annotations, annotationNames.version, formatVersion);
}

function checkAnnotation(annotations: Readonly<Record<string, Uint8Array>>, name: string, expected: string): void {
  const value = annotations[name];
  if (value !== undefined && Buffer.from(value).toString("latin1") === expected) return;
  const problem = value === undefined ? "is missing" : `is not "${expected}"`;
  throw new KmsEtcdError("invalid-input", `the annotation ${name} ${problem}`, {
    remedy:
      "the stored value was not written by a plugin for Azure Key Vault, or by one that this version does not know",
  });
}

/** The bytes of unpadded base64url text; undefined for anything else, spare bits included. */
export function fromBase64url(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return undefined;
  const decoded = Buffer.from(text, "base64url");
  return decoded.toString("base64url") === text ? decoded : undefined;
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text.slice(0, longestAnnotation), "latin1");
}
