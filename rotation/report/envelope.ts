/**
 * The signed form of a report: a DSSE envelope (secure-systems-lab/dsse, protocol 1.0.2), which is what in-toto and sigstore
 * tools read too. What is signed names its type, so a signature over a report can be used for nothing else.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { KmsEtcdError } from "../../core/errors";

export const reportPayloadType = "application/vnd.kms-etcd.evidence+json";

/** `unsigned` stands there, for the eye, where there is no signature; DSSE readers ignore what they do not know. */
export interface Envelope {
  readonly payloadType: string;
  /** Base64. */
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
  readonly unsigned?: true;
}

/** Ed25519, or ECDSA with the hash that fits the curve. */
export interface SigningKey {
  readonly key: KeyObject;
  readonly keyId: string;
}

/** The hash of each curve, as the in-toto and TUF libraries pair them; null: Ed25519 has its own. */
const hashes: ReadonlyMap<string, string | null> = new Map([
  ["ed25519", null],
  ["prime256v1", "sha256"],
  ["secp384r1", "sha384"],
  ["secp521r1", "sha512"],
]);

/** The private key in `pem`. `file` is what errors call it; nothing of the key is in them. */
export function readSigningKey(pem: string, file: string): SigningKey {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    // Node's own message may quote the text.
    throw new KmsEtcdError(
      "invalid-input",
      `${file} is no private key in PEM form, or it is protected by a passphrase`,
      {
        remedy: `make one with: (umask 077; openssl genpkey -algorithm ed25519 -out ${file})`,
      },
    );
  }
  return signingKey(key, file);
}

/** The public key in `pem`: `BEGIN PUBLIC KEY`, or a certificate. */
export function readPublicKey(pem: string, file: string): SigningKey {
  if (pem.includes("PRIVATE KEY")) {
    throw new KmsEtcdError("invalid-input", `${file} is a private key`, {
      remedy: `give the public one: openssl pkey -in ${file} -pubout`,
    });
  }
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    throw new KmsEtcdError("invalid-input", `${file} is no public key and no certificate in PEM form`, {
      remedy: "make one from the private key with: openssl pkey -in PRIVATE.pem -pubout",
    });
  }
  return signingKey(key, file);
}

/** Without a key the envelope says that it is unsigned. */
export function sealPayload(payload: string, key: SigningKey | undefined): Envelope {
  const bytes = Buffer.from(payload, "utf8");
  const common = { payloadType: reportPayloadType, payload: bytes.toString("base64") };
  if (key === undefined) return { ...common, signatures: [], unsigned: true };
  const sig = sign(hashOf(key.key), preAuthentication(reportPayloadType, bytes), key.key).toString("base64");
  return { ...common, signatures: [{ keyid: key.keyId, sig }] };
}

/** What opening an envelope tells: the payload may be looked at in either case, but believed only when `problem` is undefined. */
export interface OpenedEnvelope {
  readonly payload: string;
  readonly problem: string | undefined;
}

/** Throws `invalid-input` for a text that is no envelope of a report; `source` is what errors call it. */
export function openEnvelope(text: string, key: SigningKey, source: string): OpenedEnvelope {
  const envelope = parseEnvelope(text, source);
  const bytes = Buffer.from(envelope.payload, "base64");
  const payload = bytes.toString("utf8");
  if (envelope.signatures.length === 0) return { payload, problem: "it is not signed" };
  const signed = preAuthentication(envelope.payloadType, bytes);
  // keyid is a hint that anyone may write (DSSE: it must not be used for security decisions), so every signature is tried.
  const isGood = envelope.signatures.some(({ sig }) => {
    try {
      return verify(hashOf(key.key), signed, key.key, Buffer.from(sig, "base64"));
    } catch {
      return false;
    }
  });
  if (isGood) return { payload, problem: undefined };
  const others = [...new Set(envelope.signatures.map(({ keyid }) => keyid))].filter((id) => id !== key.keyId);
  if (others.length === envelope.signatures.length) {
    return { payload, problem: `it is signed with another key: ${others.join(", ")}, not ${key.keyId}` };
  }
  return { payload, problem: "its signature does not fit its content: one of them was changed" };
}

function parseEnvelope(text: string, source: string): Envelope {
  const isText = (value: unknown): value is string => typeof value === "string";
  const fail = (reason: string) =>
    new KmsEtcdError("invalid-input", `${source} is no report: ${reason}`, {
      remedy: "give a file that --report has written",
    });
  let document: Partial<Envelope>;
  try {
    document = JSON.parse(text) as Partial<Envelope>;
  } catch {
    throw fail("it is not JSON");
  }
  if (typeof document !== "object" || (document as unknown) === null) throw fail("it is no JSON object");
  const { payload, payloadType, signatures } = document;
  if (!isText(payload) || !isText(payloadType) || !Array.isArray(signatures)) throw fail("it is no DSSE envelope");
  if (payloadType !== reportPayloadType) throw fail(`its payload is ${payloadType}, not ${reportPayloadType}`);
  const entries = signatures as readonly Partial<Envelope["signatures"][number]>[];
  return {
    payload,
    payloadType,
    signatures: entries.map((entry) => {
      const { keyid = "", sig } = entry;
      if (!isText(sig) || !isText(keyid)) throw fail("a signature lacks its sig");
      return { keyid, sig };
    }),
  };
}

/** DSSE's pre-authentication encoding: lengths in front, so that no two pairs of type and payload give the same bytes. */
function preAuthentication(type: string, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `, "utf8"), payload]);
}

function signingKey(key: KeyObject, file: string): SigningKey {
  if (!hashes.has(keyKind(key))) {
    throw new KmsEtcdError("unsupported", `${file} is a key of type ${keyKind(key)}`, {
      remedy: "use Ed25519, or ECDSA on P-256, P-384 or P-521",
    });
  }
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  const spki = publicKey.export({ type: "spki", format: "der" });
  return { key, keyId: `sha256:${createHash("sha256").update(spki).digest("hex")}` };
}

function keyKind(key: KeyObject): string {
  const { asymmetricKeyType = "unknown", asymmetricKeyDetails } = key;
  return asymmetricKeyType === "ec" ? (asymmetricKeyDetails?.namedCurve ?? "ec") : asymmetricKeyType;
}

function hashOf(key: KeyObject): string | null {
  return hashes.get(keyKind(key)) ?? null;
}
