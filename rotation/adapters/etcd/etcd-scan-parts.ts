/** What of a stored value is not the object itself: how long its encryption makes it, and which data key it was made with. */
import { ProtobufReader } from "../../../core/protobuf";

const kmsV2Provider = "kms/v2/";
const kmsV2Prefix = "k8s:enc:kms:v2:";
/** Info, nonce and tag of the extended-nonce AES-GCM (apiserver encrypt/aes/aes_extended_nonce.go). */
const sealOverhead = 60;
/** The end of an encrypted data key tells it from all others; its beginning may be the same for every one of a cloud. */
const tellingBytes = 48;

export interface KmsV2Parts {
  /** Tells the data key (the seed) from others. */
  readonly dataKey: string;
  /** Bytes of the value that are not the object. */
  readonly overhead: number;
}

/** `value` is one that was read as `provider`'s; undefined unless that is KMS v2. */
export function kmsV2Parts(value: Buffer, provider: string): KmsV2Parts | undefined {
  if (!provider.startsWith(kmsV2Provider)) return undefined;
  const start = kmsV2Prefix.length + Buffer.byteLength(provider) - kmsV2Provider.length + 1;
  const reader = new ProtobufReader(value, start);
  let dataKey = "";
  let sealed = 0;
  while (reader.next()) {
    if (reader.field === 1) sealed = reader.view().length;
    else if (reader.field === 3) {
      const source = reader.view();
      dataKey = Buffer.from(source.buffer, source.byteOffset, source.length).toString(
        "latin1",
        source.length - tellingBytes,
      );
    } else reader.skip();
  }
  return { dataKey, overhead: value.length - sealed + sealOverhead };
}

/** An AES block of padding, or what AES-GCM and a data key take: a little too much rather than too little is left. */
const localOverheads: Readonly<Record<string, number>> = {
  identity: 0,
  aescbc: 17,
  aesgcm: 28,
  secretbox: 40,
  "kms/v1": 100,
};

/** Bytes that encryption other than KMS v2 adds, at least. */
export function localOverhead(provider: string): number {
  const kind = provider.startsWith("kms/v1/") ? "kms/v1" : (provider.split("/")[0] ?? "");
  const prefix = kind === "identity" ? 0 : "k8s:enc::v1::".length + provider.length;
  return prefix + (localOverheads[kind] ?? 0);
}
