/** Puts values like those of encrypted Secrets straight into etcd: what is measured is reading them, not making them. */
import { randomBytes } from "node:crypto";
import { type EtcdAddress, etcdConnections } from "../../rotation/adapters/etcd/etcd-connections";
import type { GrpcMethod } from "../../rotation/adapters/grpc/grpc-connection";

/** Puts in one transaction: etcd's default limit is 128. */
const batch = 100;

const txn: GrpcMethod<readonly Put[], undefined> = {
  path: "/etcdserverpb.KV/Txn",
  // TxnRequest.success, field 2, of RequestOp.request_put, field 2.
  requestSerialize: (puts) =>
    Buffer.concat(puts.map(({ key, value }) => field(2, field(2, Buffer.concat([field(1, key), field(2, value)]))))),
  responseDeserialize: () => undefined,
};

interface Put {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** `count` KMS v2 values of `bytes` bytes of data below `prefix`. */
export async function fillEtcd(address: EtcdAddress, prefix: string, count: number, bytes: number): Promise<void> {
  const connections = etcdConnections(address);
  const dataKeys = Array.from({ length: 6 }, () => randomBytes(61));
  const signal = new AbortController().signal;
  try {
    for (let start = 0; start < count; start += batch) {
      const puts = Array.from({ length: Math.min(batch, count - start) }, (_, index) => ({
        key: Buffer.from(`${prefix}ns${(start + index) % 50}/secret-${String(start + index).padStart(8, "0")}`),
        value: kmsV2Value(dataKeys[index % dataKeys.length] as Buffer, bytes),
      }));
      await connections.call(txn, puts, signal);
    }
  } finally {
    connections.close();
  }
}

function kmsV2Value(dataKey: Buffer, bytes: number): Buffer {
  return Buffer.concat([
    Buffer.from("k8s:enc:kms:v2:kms-etcd-v2-0123456789abcdef-secrets:"),
    field(1, randomBytes(bytes + 60)),
    field(2, Buffer.from("local-0123456789abcdef0123456789abcdef")),
    field(3, dataKey),
    Buffer.from([0x28, 1]),
  ]);
}

function field(number: number, bytes: Buffer): Buffer {
  const head = [number * 8 + 2];
  let rest = bytes.length;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) head.push((rest % 128) | 0x80);
  return Buffer.concat([Buffer.from([...head, rest]), bytes]);
}
