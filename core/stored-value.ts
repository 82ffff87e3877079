/**
 * Which key a value in etcd was written with, read from its first bytes: the evidence of VERIFY and PRUNE. Only the
 * prefix and, for KMS v2, the fields that name the key are looked at; nothing is copied and nothing is decrypted.
 * Formats: k8s.io/apiserver pkg/server/options/encryptionconfig/config.go and kmsv2/v2/api.proto (read at v0.36.3).
 */
import { describeError } from "./errors";
import { ProtobufReader } from "./protobuf";
import { identityProvider, type ProviderId } from "./write-key";

/** What the data key of a KMS v2 value is made from (kmsv2/v2/api.proto, EncryptedDEKSourceType). */
export type DekSourceType = "aes-gcm-key" | "hkdf-sha256-xnonce-aes-gcm-seed";

export type StoredValue =
  | {
      readonly kind: "known";
      readonly provider: ProviderId;
      /** KMS v2 only. */
      readonly keyId?: string;
      readonly dekSourceType?: DekSourceType;
    }
  /** Neither plaintext as API servers store it nor a prefix that we know: it must not be counted as anything. */
  | { readonly kind: "unknown"; readonly reason: string };

const encryptedPrefix = Buffer.from("k8s:enc:");
const colon = 0x3a;
const dekSourceTypes: readonly DekSourceType[] = ["aes-gcm-key", "hkdf-sha256-xnonce-aes-gcm-seed"];
const plaintext: StoredValue = { kind: "known", provider: identityProvider };
/** AES-GCM's nonce and tag: what a v1 value has at least after its data key. */
const aesGcmOverhead = 28;
const aesBlock = 16;

/** Reads one value as etcd holds it. Never throws. */
export function readStoredValue(value: Buffer): StoredValue {
  if (!startsWith(value, encryptedPrefix)) return readPlaintext(value);
  const kindEnd = value.indexOf(colon, encryptedPrefix.length);
  const versionEnd = kindEnd < 0 ? -1 : value.indexOf(colon, kindEnd + 1);
  const nameEnd = versionEnd < 0 ? -1 : value.indexOf(colon, versionEnd + 1);
  if (nameEnd < 0) return unknown("the prefix k8s:enc: is cut off");
  const type = value.toString("latin1", encryptedPrefix.length, versionEnd);
  if (nameEnd === versionEnd + 1) return unknown(`the prefix k8s:enc:${shown(type)}: names no provider`);
  switch (type) {
    case "kms:v2":
      return readKmsV2(value, value.toString("utf8", versionEnd + 1, nameEnd), nameEnd + 1);
    case "kms:v1":
      return readKmsV1(value, versionEnd + 1, nameEnd);
    case "aescbc:v1":
      return readLocal(value, type, versionEnd + 1, endOfAesCbcName(value, nameEnd));
    case "aesgcm:v1":
    case "secretbox:v1":
      return readLocal(value, type, versionEnd + 1, nameEnd);
    default:
      return unknown(`the prefix k8s:enc:${shown(type)}: is of no provider that is known here`);
  }
}

function readLocal(value: Buffer, type: string, nameStart: number, nameEnd: number): StoredValue {
  if (nameEnd + 1 === value.length) return unknown("there is no data after the prefix");
  return {
    kind: "known",
    provider: `${type.slice(0, -":v1".length)}/${value.toString("utf8", nameStart, nameEnd)}`,
  };
}

/**
 * The id that stored values give a key of aesgcm, aescbc or secretbox. API servers put the key's name and ":" in front of the bytes
 * (config.go), and take any name that is not empty (validation_encryption.go), ":" in it included. Where such a name ends, a value says of
 * AES-CBC at most, so the id is the name as far as it can be read back from a value: both sides must call one key the same.
 */
export function localProviderId(kind: "aesgcm" | "aescbc" | "secretbox", keyName: string): ProviderId {
  if (!keyName.includes(":")) return `${kind}/${keyName}`;
  const read = readStoredValue(Buffer.concat([Buffer.from(`k8s:enc:${kind}:v1:${keyName}:`), anyData]));
  return read.kind === "known" ? read.provider : `${kind}/${keyName}`;
}

/** Long enough to be AES-CBC's: a start value and one block. */
const anyData = Buffer.alloc(32);

/**
 * A key's name may contain ":". Behind AES-CBC's there are whole blocks, the first of them the start value, so the
 * name ends at the first ":" of which that is true. Data of the other two may have any length: there such a name is cut.
 */
function endOfAesCbcName(value: Buffer, firstColon: number): number {
  for (let end = firstColon; end > 0; end = value.indexOf(colon, end + 1)) {
    const length = value.length - end - 1;
    if (length >= 2 * aesBlock && length % aesBlock === 0) return end;
    // What cannot be read is data, and the value is damaged.
    if (/[^\x20-\x7e]/.test(value.toString("latin1", firstColon, value.indexOf(colon, end + 1)))) return firstColon;
  }
  return firstColon;
}

function readKmsV2(value: Buffer, name: string, start: number): StoredValue {
  let keyId = "";
  let dekSourceType = 0;
  let hasData = false;
  let hasDekSource = false;
  try {
    const reader = new ProtobufReader(value, start);
    while (reader.next()) {
      if (reader.field === 2) keyId = reader.text();
      else if (reader.field === 5 && reader.wireType === 0) dekSourceType = reader.varint();
      else {
        hasData ||= reader.field === 1;
        hasDekSource ||= reader.field === 3;
        reader.skip();
      }
    }
  } catch (error) {
    return unknown(`after the prefix of kms/v2/${name}, ${describeError(error)}`);
  }
  const type = dekSourceTypes[dekSourceType];
  if (keyId === "") return unknown(`the value of kms/v2/${name} names no key_id`);
  if (!hasData || !hasDekSource) return unknown(`the value of kms/v2/${name} lacks its data or its data key`);
  if (type === undefined) return unknown(`the value of kms/v2/${name} has the unknown data key type ${dekSourceType}`);
  return { kind: "known", provider: `kms/v2/${name}`, keyId, dekSourceType: type };
}

/**
 * A v1 name may contain ":" (validation_encryption.go forbids it for v2 only), so the name ends at the first ":" which a
 * data key's length and a data key of that length follow.
 */
function readKmsV1(value: Buffer, nameStart: number, firstColon: number): StoredValue {
  for (let end = firstColon; end > 0; end = value.indexOf(colon, end + 1)) {
    const keyLength = end + 3 <= value.length ? value.readUInt16BE(end + 1) : 0;
    if (keyLength > 0 && end + 3 + keyLength + aesGcmOverhead <= value.length) {
      return { kind: "known", provider: `kms/v1/${value.toString("utf8", nameStart, end)}` };
    }
  }
  return unknown(
    `no encrypted data key follows the prefix k8s:enc:kms:v1:${shown(value.toString("latin1", nameStart, firstColon))}:`,
  );
}

/** Protobuf ("k8s" and a zero byte), JSON, or CBOR's self-describing tag: what API servers store without encryption. */
function readPlaintext(value: Buffer): StoredValue {
  const isProtobuf = value[0] === 0x6b && value[1] === 0x38 && value[2] === 0x73 && value[3] === 0;
  const isJson = value[0] === 0x7b;
  const isCbor = value[0] === 0xd9 && value[1] === 0xd9 && value[2] === 0xf7;
  if (isProtobuf || isJson || isCbor) return plaintext;
  return unknown(
    value.length === 0 ? "the value is empty" : "the value is neither encrypted nor protobuf, JSON or CBOR",
  );
}

function startsWith(value: Buffer, prefix: Buffer): boolean {
  if (value.length < prefix.length) return false;
  for (let index = 0; index < prefix.length; index++) if (value[index] !== prefix[index]) return false;
  return true;
}

/** At most 40 printable characters of what was found: the rest of an unknown value may be anything. */
function shown(text: string): string {
  return text.slice(0, 40).replace(/[^\x21-\x7e]/g, "?");
}

function unknown(reason: string): StoredValue {
  return { kind: "unknown", reason };
}
