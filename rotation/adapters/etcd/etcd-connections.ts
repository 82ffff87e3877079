/**
 * Connections to the members of one etcd. A call goes to the member that answered last, and to the others in turn while it
 * does not answer; a step that is each member's own (a status, a defragmentation) names its member.
 */
import { connect as connectTcp, isIP, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { KmsEtcdError } from "../../../core/errors";
import { statusNumbers } from "../../../core/grpc-status-code";
import { ProtobufReader } from "../../../core/protobuf";
import { withDeadline } from "../deadline";
import { type GrpcConnection, type GrpcMethod, GrpcStatusError, grpcConnection } from "../grpc/grpc-connection";
import { readPage } from "./etcd-page";

export interface EtcdAddress {
  /** `https://host:port`, or `http://` for one without TLS. */
  readonly endpoints: readonly string[];
  /** PEM. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  /** The way to an endpoint where it is not its own address. What stands behind # in an endpoint is for this alone. */
  readonly dial?: (endpoint: URL) => Promise<Duplex>;
}

/** Methods throw `conflict` for a revision that has been compacted, `throttled`, `unreachable`, `timeout`, `permission-denied`, `cancelled`. */
export interface EtcdConnections {
  readonly endpoints: readonly string[];
  /** By the first member that answers. `timeout` is of one try, in milliseconds. */
  call<Request, Response>(
    method: GrpcMethod<Request, Response>,
    request: Request,
    signal: AbortSignal,
    timeout?: number,
  ): Promise<Response>;
  /** By this member, once. */
  callAt<Request, Response>(
    endpoint: string,
    method: GrpcMethod<Request, Response>,
    request: Request,
    signal: AbortSignal,
    timeout?: number,
  ): Promise<Response>;
  /** A page of this member's own HTTP side, on the same address. Throws KmsEtcdError where it does not serve it. */
  page(endpoint: string, path: string, signal: AbortSignal): Promise<string>;
  /** A stream of answers of the first member that can be connected to; broken off, it throws. */
  stream<Request, Response>(
    method: GrpcMethod<Request, Response>,
    request: Request,
    onMessage: (message: Response) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
  close(): void;
}

const rounds = 4;
const callTimeout = 30_000;
const connectTimeout = 5_000;
const longestAnswer = 64 << 20;
const pageTimeout = 4_000;

/** Connects when first used. */
export function etcdConnections({ endpoints, tls, dial: by }: EtcdAddress): EtcdConnections {
  for (const endpoint of endpoints) {
    if (new URL(endpoint).protocol === "https:" && tls === undefined) {
      throw new KmsEtcdError("invalid-input", `etcd: ${endpoint} needs a client certificate`, {
        remedy: "give CA, certificate and key",
      });
    }
  }
  const targets = endpoints.map((endpoint) => ({ endpoint, connection: undefined as GrpcConnection | undefined }));
  type Target = (typeof targets)[number];
  let preferred = 0;
  let isClosed = false;

  /** Throws KmsEtcdError only. */
  async function at<Result>(
    target: Target,
    signal: AbortSignal,
    timeout: number,
    work: (connection: GrpcConnection, limited: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    try {
      return await withDeadline(signal, timeout, async (limited) => {
        if (target.connection?.isOpen() !== true) {
          const through = await by?.(new URL(target.endpoint));
          const opened = await dial(target.endpoint, tls, through, limited);
          // Another call may have connected meanwhile, or all have been closed: what nobody knows keeps the process from ending.
          if (isClosed || target.connection?.isOpen() === true) opened.close();
          else target.connection = opened;
        }
        if (target.connection === undefined) throw new KmsEtcdError("cancelled", "the connections to etcd are closed");
        return work(target.connection, limited);
      });
    } catch (thrown) {
      if (signal.aborted) throw new KmsEtcdError("cancelled", "stopped at a safe point");
      throw etcdError(target.endpoint, thrown);
    }
  }

  async function inTurn<Result>(
    signal: AbortSignal,
    tries: number,
    timeout: number,
    work: (connection: GrpcConnection, limited: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    let failure = new KmsEtcdError("invalid-input", "etcd: no endpoint was given");
    for (let round = 0; round < tries; round++) {
      if (round > 0) await delay(125 * 2 ** round, undefined, { signal }).catch(() => undefined);
      for (let step = 0; step < targets.length; step++) {
        const index = (preferred + step) % targets.length;
        const target = targets[index];
        if (target === undefined) continue;
        try {
          const result = await at(target, signal, timeout, work);
          preferred = index;
          return result;
        } catch (thrown) {
          failure = thrown as KmsEtcdError;
          if (failure.code !== "unreachable" && failure.code !== "timeout") throw failure;
        }
      }
    }
    throw failure;
  }

  return {
    endpoints,
    call: (method, request, signal, timeout = callTimeout) =>
      inTurn(signal, rounds, timeout, (connection, limited) => connection.call(method, request, limited)),
    callAt: (endpoint, method, request, signal, timeout = callTimeout) => {
      const target = targets.find((candidate) => candidate.endpoint === endpoint);
      if (target === undefined) throw new KmsEtcdError("invalid-input", `etcd: ${endpoint} is none of its endpoints`);
      return at(target, signal, timeout, (connection, limited) => connection.call(method, request, limited));
    },
    page: (endpoint, path, signal) =>
      withDeadline(signal, pageTimeout, async (limited) => {
        const url = new URL(path, endpoint);
        const through = await by?.(new URL(endpoint));
        const socket = await connectTo(endpoint, tls, through, ["http/1.1"], limited);
        return readPage(url, socket, limited);
      }),
    stream: (method, request, onMessage, signal) =>
      inTurn(signal, 1, longestStream, (connection, limited) => connection.stream(method, request, onMessage, limited)),
    close: () => {
      isClosed = true;
      for (const { connection } of targets) connection?.close();
    },
  };
}

/** A snapshot of 8 GiB, the most that etcd suggests to hold, at 5 MiB/s. */
const longestStream = 1_600_000;

async function dial(
  endpoint: string,
  tls: EtcdAddress["tls"],
  through: Duplex | undefined,
  signal: AbortSignal,
): Promise<GrpcConnection> {
  const socket = await connectTo(endpoint, tls, through, ["h2"], signal);
  return grpcConnection(socket, { peer: `etcd at ${endpoint}`, longestAnswer });
}

function connectTo(
  endpoint: string,
  tls: EtcdAddress["tls"],
  through: Duplex | undefined,
  protocols: string[],
  signal: AbortSignal,
): Promise<Duplex> {
  const { protocol, hostname, port } = new URL(endpoint);
  const host = hostname.replace(/^\[|\]$/g, "");
  const secure = protocol === "https:";
  return new Promise((resolve, reject) => {
    const address = { host, port: Number(port || (secure ? 443 : 80)) };
    const to = through === undefined ? address : { socket: through, host };
    // A server name is for names, RFC 6066; the certificate is checked against the address all the same.
    const socket = secure
      ? connectTls({ ...to, ...tls, ALPNProtocols: protocols, ...(isIP(host) === 0 && { servername: host }) })
      : (through ?? connectTcp(address));
    const fail = (reason: string) => {
      signal.removeEventListener("abort", stop);
      socket.destroy();
      reject(new KmsEtcdError("unreachable", `etcd at ${endpoint}: ${reason}`));
    };
    const stop = () => fail("no connection in time");
    signal.addEventListener("abort", stop, { once: true });
    const timer = setTimeout(stop, connectTimeout);
    socket.once("close", () => clearTimeout(timer));
    socket.once("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    const opened = () => {
      signal.removeEventListener("abort", stop);
      clearTimeout(timer);
      socket.removeAllListeners("error");
      if (socket instanceof Socket) socket.setNoDelay(true);
      resolve(socket);
    };
    if (!secure && through !== undefined) opened();
    else socket.once(secure ? "secureConnect" : "connect", opened);
  });
}

function etcdError(endpoint: string, thrown: unknown): KmsEtcdError {
  if (thrown instanceof KmsEtcdError) return thrown;
  if (!(thrown instanceof GrpcStatusError)) throw thrown;
  const message = `etcd at ${endpoint}: ${thrown.message}`;
  switch (thrown.code) {
    case statusNumbers.OUT_OF_RANGE:
      return new KmsEtcdError("conflict", message);
    case statusNumbers.RESOURCE_EXHAUSTED:
      return new KmsEtcdError("throttled", message);
    case statusNumbers.UNAUTHENTICATED:
    case statusNumbers.PERMISSION_DENIED:
      return new KmsEtcdError("permission-denied", message, {
        remedy: "use a client certificate that may read all keys",
      });
    default:
      return new KmsEtcdError("unreachable", message, { cause: thrown });
  }
}

/** What every answer of etcd begins with (etcdserverpb ResponseHeader). */
export interface EtcdHeader {
  /** In hexadecimal, as etcdctl shows it. */
  readonly clusterId: string;
  readonly revision: number;
}

export function readHeader(header: Uint8Array): EtcdHeader {
  const reader = new ProtobufReader(header);
  let clusterId = "0";
  let revision = 0;
  while (reader.next()) {
    if (reader.field === 1) clusterId = reader.uint64().toString(16);
    else if (reader.field === 3) revision = reader.varint();
    else reader.skip();
  }
  return { clusterId, revision };
}

/** A varint field's value. */
export function varint(value: number): readonly number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}
