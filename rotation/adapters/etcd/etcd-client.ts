/**
 * Reads ranges of keys from etcd (etcdserverpb KV.Range, the one method that the proof needs). Our own few lines of protobuf,
 * because a general client would copy every value on the way, and these are a cluster's whole content.
 */
import { connect as connectTcp, isIP } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { KmsEtcdError } from "../../../core/errors";
import { ProtobufReader } from "../../../core/protobuf";
import { withDeadline } from "../deadline";
import {
  type GrpcConnection,
  type GrpcMethod,
  GrpcStatusError,
  grpcCode,
  grpcConnection,
} from "../grpc/grpc-connection";

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
const connectTimeout = 5_000;
const longestAnswer = 64 << 20;

const rangeMethod: GrpcMethod<RangeRequest, RangeResponse> = {
  path: "/etcdserverpb.KV/Range",
  requestSerialize: encodeRange,
  responseDeserialize: decodeRange,
};

/** Connects when first used. */
export function etcdClient({ endpoints, tls }: EtcdAddress): EtcdClient {
  for (const endpoint of endpoints) {
    if (new URL(endpoint).protocol === "https:" && tls === undefined) {
      throw new KmsEtcdError("invalid-input", `etcd: ${endpoint} needs a client certificate`, {
        remedy: "give CA, certificate and key",
      });
    }
  }
  const targets = endpoints.map((endpoint) => ({ endpoint, connection: undefined as GrpcConnection | undefined }));
  let preferred = 0;
  return {
    range: async (request, signal) => {
      let failure = new KmsEtcdError("invalid-input", "etcd: no endpoint was given");
      for (let round = 0; round < rounds; round++) {
        if (round > 0) await delay(125 * 2 ** round, undefined, { signal }).catch(() => undefined);
        for (let step = 0; step < targets.length; step++) {
          const index = (preferred + step) % targets.length;
          const target = targets[index];
          if (target === undefined) continue;
          try {
            const response = await withDeadline(signal, callTimeout, async (limited) => {
              if (target.connection?.isOpen() !== true) target.connection = await dial(target.endpoint, tls, limited);
              return target.connection.call(rangeMethod, request, limited);
            });
            preferred = index;
            return response;
          } catch (thrown) {
            if (signal.aborted) throw new KmsEtcdError("cancelled", "stopped at a safe point");
            failure = rangeError(target.endpoint, thrown);
            if (failure.code !== "unreachable" && failure.code !== "timeout") throw failure;
          }
        }
      }
      throw failure;
    },
    close: () => {
      for (const { connection } of targets) connection?.close();
    },
  };
}

function dial(endpoint: string, tls: EtcdAddress["tls"], signal: AbortSignal): Promise<GrpcConnection> {
  const { protocol, hostname, port } = new URL(endpoint);
  const host = hostname.replace(/^\[|\]$/g, "");
  const secure = protocol === "https:";
  return new Promise((resolve, reject) => {
    const to = { host, port: Number(port || (secure ? 443 : 80)) };
    // A server name is for names, RFC 6066; the certificate is checked against the address all the same.
    const socket = secure
      ? connectTls({ ...to, ...tls, ALPNProtocols: ["h2"], ...(isIP(host) === 0 && { servername: host }) })
      : connectTcp(to);
    const fail = (reason: string) => {
      socket.destroy();
      reject(new KmsEtcdError("unreachable", `etcd at ${endpoint}: ${reason}`));
    };
    const stop = () => fail("no connection in time");
    signal.addEventListener("abort", stop, { once: true });
    socket.setTimeout(connectTimeout, stop);
    socket.once("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    socket.once(secure ? "secureConnect" : "connect", () => {
      signal.removeEventListener("abort", stop);
      socket.removeAllListeners("error");
      socket.setTimeout(0);
      socket.setNoDelay(true);
      resolve(grpcConnection(socket, { peer: `etcd at ${endpoint}`, longestAnswer }));
    });
  });
}

function rangeError(endpoint: string, thrown: unknown): KmsEtcdError {
  if (thrown instanceof KmsEtcdError) return thrown;
  if (!(thrown instanceof GrpcStatusError)) throw thrown;
  const message = `etcd at ${endpoint}: ${thrown.message}`;
  switch (thrown.code) {
    case grpcCode.outOfRange:
      return new KmsEtcdError("conflict", message);
    case grpcCode.resourceExhausted:
      return new KmsEtcdError("throttled", message);
    case grpcCode.unauthenticated:
    case grpcCode.permissionDenied:
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
