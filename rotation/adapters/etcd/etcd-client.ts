/**
 * Reads ranges of keys from etcd (etcdserverpb KV.Range, the one method that the proof needs). On grpc-js with our own few
 * lines of protobuf, because a general client would copy every value on the way, and these are a cluster's whole content.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { KmsEtcdError } from "../../../core/errors";
import { ProtobufReader } from "../../../core/protobuf";

export interface EtcdAddress {
  /** `https://host:port`, or `http://` for one without TLS. */
  readonly endpoints: readonly string[];
  /** PEM. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
}

export interface RangeRequest {
  readonly key: Buffer;
  readonly rangeEnd: Buffer;
  readonly limit: number;
  /** 0: the newest. */
  readonly revision: number;
}

export interface RangeResponse {
  readonly revision: number;
  /** Of the whole range, whatever the limit. */
  readonly count: number;
  readonly more: boolean;
  readonly entries: readonly KeyValue[];
  /** Size of the answer in bytes. */
  readonly size: number;
}

/** Views into the answer. */
export interface KeyValue {
  readonly key: Buffer;
  readonly value: Buffer;
}

export interface EtcdClient {
  /**
   * Tries the endpoints in turn and again. Throws `conflict` when the revision has been compacted, `throttled` when the answer
   * was too long to take, `unreachable`, `timeout`, `permission-denied` or `cancelled`.
   */
  range(request: RangeRequest, signal: AbortSignal): Promise<RangeResponse>;
  close(): void;
}

const rounds = 4;
const callTimeout = 30_000;
const longestAnswer = 64 << 20;

export function etcdClient({ endpoints, tls }: EtcdAddress): EtcdClient {
  const secure = tls && credentials.createSsl(Buffer.from(tls.ca), Buffer.from(tls.key), Buffer.from(tls.cert));
  const clients = endpoints.map((endpoint) => {
    const url = new URL(endpoint);
    if (url.protocol === "https:" && secure === undefined) {
      throw new KmsEtcdError("invalid-input", `etcd: ${endpoint} needs a client certificate`, {
        remedy: "give CA, certificate and key",
      });
    }
    const channel = url.protocol === "https:" && secure !== undefined ? secure : credentials.createInsecure();
    const client = new Client(url.host, channel, {
      "grpc.max_receive_message_length": longestAnswer,
      // Two scans are two connections: neither stands in the other's line.
      "grpc.use_local_subchannel_pool": 1,
    });
    return { endpoint, client };
  });
  let preferred = 0;
  return {
    range: async (request, signal) => {
      let failure = new KmsEtcdError("invalid-input", "etcd: no endpoint was given");
      for (let round = 0; round < rounds; round++) {
        for (let step = 0; step < clients.length; step++) {
          const index = (preferred + step) % clients.length;
          const target = clients[index];
          if (target === undefined) continue;
          try {
            const response = await call(target.client, request, signal);
            preferred = index;
            return response;
          } catch (thrown) {
            if (signal.aborted) throw new KmsEtcdError("cancelled", "stopped at a safe point");
            failure = rangeError(target.endpoint, thrown);
            if (failure.code !== "unreachable" && failure.code !== "timeout") throw failure;
          }
        }
        await delay(250 * 2 ** round, undefined, { signal }).catch(() => undefined);
      }
      throw failure;
    },
    close: () => {
      for (const { client } of clients) client.close();
    },
  };
}

function call(client: Client, request: RangeRequest, signal: AbortSignal): Promise<RangeResponse> {
  return new Promise((resolve, reject) => {
    const cancel = () => unary.cancel();
    const unary = client.makeUnaryRequest(
      "/etcdserverpb.KV/Range",
      encodeRange,
      decodeRange,
      request,
      new Metadata(),
      { deadline: Date.now() + callTimeout },
      (error, response) => {
        signal.removeEventListener("abort", cancel);
        if (error !== null) reject(error);
        else if (response === undefined) reject(new Error("no answer"));
        else resolve(response);
      },
    );
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
  });
}

function rangeError(endpoint: string, thrown: unknown): KmsEtcdError {
  if (thrown instanceof KmsEtcdError) return thrown;
  const { code, details = String(thrown) } = thrown as ServiceError;
  const message = `etcd at ${endpoint}: ${details.slice(0, 300)}`;
  switch (code) {
    case status.OUT_OF_RANGE:
      return new KmsEtcdError("conflict", message);
    case status.RESOURCE_EXHAUSTED:
      return new KmsEtcdError("throttled", message);
    case status.DEADLINE_EXCEEDED:
      return new KmsEtcdError("timeout", message);
    case status.UNAUTHENTICATED:
    case status.PERMISSION_DENIED:
      return new KmsEtcdError("permission-denied", message, {
        remedy: "use a client certificate that may read all keys",
      });
    default:
      return new KmsEtcdError("unreachable", message, { cause: thrown });
  }
}

function encodeRange({ key, rangeEnd, limit, revision }: RangeRequest): Buffer {
  return Buffer.concat([
    Buffer.from([0x0a, ...varint(key.length)]),
    key,
    Buffer.from([0x12, ...varint(rangeEnd.length)]),
    rangeEnd,
    Buffer.from([0x18, ...varint(limit), 0x20, ...varint(revision)]),
  ]);
}

function varint(value: number): readonly number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}

function decodeRange(bytes: Buffer): RangeResponse {
  const entries: KeyValue[] = [];
  let revision = 0;
  let count = 0;
  let more = false;
  const reader = new ProtobufReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) revision = readRevision(reader.view());
    else if (reader.field === 2) entries.push(readKeyValue(reader.view()));
    else if (reader.field === 3) more = reader.varint() === 1;
    else if (reader.field === 4) count = reader.varint();
    else reader.skip();
  }
  return { revision, count, more, entries, size: bytes.length };
}

function readRevision(header: Uint8Array): number {
  const reader = new ProtobufReader(header);
  let revision = 0;
  while (reader.next()) {
    if (reader.field === 3) revision = reader.varint();
    else reader.skip();
  }
  return revision;
}

const empty = Buffer.alloc(0);

function readKeyValue(bytes: Uint8Array): KeyValue {
  const reader = new ProtobufReader(bytes);
  let key = empty;
  let value = empty;
  while (reader.next()) {
    // `bytes` is a Buffer, so its views are too.
    if (reader.field === 1) key = reader.view() as Buffer<ArrayBuffer>;
    else if (reader.field === 5) value = reader.view() as Buffer<ArrayBuffer>;
    else reader.skip();
  }
  return { key, value };
}
