/**
 * gRPC calls over any connection: a plugin's unix socket, one that SSH forwards, or TLS to etcd. grpc-js dials for itself
 * and can't be given a stream; Node's own HTTP/2 client can. Wire format: grpc.io, "gRPC over HTTP2".
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from "node:http2";
import type { Duplex } from "node:stream";
import { KmsEtcdError } from "../../../core/errors";
import { frameEnd, frameHeadBytes, frameMessage, unframeMessage } from "../../../core/grpc-frame";

/** The other side's refusal: a status that is not OK. */
export class GrpcStatusError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = "GrpcStatusError";
    this.code = code;
  }
}

export interface GrpcMethod<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (message: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

export interface GrpcConnection {
  /**
   * Throws GrpcStatusError where the other side refuses; KmsEtcdError `unreachable`, `timeout` (when `signal` is aborted),
   * `throttled` for an answer that is too long, `corrupt` for one that is no gRPC message.
   */
  call<Request, Response>(
    method: GrpcMethod<Request, Response>,
    request: Request,
    signal: AbortSignal,
  ): Promise<Response>;
  /**
   * A call with many answers, given one after the other: the next is taken from the wire when `onMessage` has ended. Resolves
   * after the last one; throws as `call` does, and what `onMessage` throws.
   */
  stream<Request, Response>(
    method: GrpcMethod<Request, Response>,
    request: Request,
    onMessage: (message: Response) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
  isOpen(): boolean;
  close(): void;
}

export interface GrpcConnectionOptions {
  /** What errors call the other side. */
  readonly peer: string;
  /** In bytes. */
  readonly longestAnswer: number;
}

/** Far above Node's 64 KiB, which would let only that much be under way in each round trip. */
const window = 8 << 20;

/** Takes the connection over: `close` ends it. */
export function grpcConnection(connection: Duplex, { peer, longestAnswer }: GrpcConnectionOptions): GrpcConnection {
  const session = connect("http://localhost", {
    createConnection: () => connection,
    settings: { enablePush: false, initialWindowSize: window },
  });
  let broken: Error | undefined;
  session.on("error", (error: Error) => {
    broken = error;
  });
  session.on("connect", () => {
    // It comes also when the session was closed meanwhile.
    if (!session.destroyed) session.setLocalWindowSize(window);
  });
  const unreachable = (reason: string) => new KmsEtcdError("unreachable", `${peer}: ${reason}`);
  async function call<Request, Response>(
    method: GrpcMethod<Request, Response>,
    request: Request,
    signal: AbortSignal,
  ): Promise<Response> {
    if (session.destroyed || session.closed) throw unreachable(broken?.message ?? "the connection is closed");
    const name = method.path.slice(method.path.lastIndexOf("/") + 1);
    const answer = await exchange(session, method.path, frameMessage(method.requestSerialize(request)), {
      longestAnswer,
      signal,
    }).catch((thrown: unknown) => {
      if (thrown instanceof TooLong) throw new KmsEtcdError("throttled", `${peer}: the answer to ${name} is too long`);
      if (signal.aborted) throw new KmsEtcdError("timeout", `${peer}: no answer to ${name} in time`);
      throw unreachable((broken ?? (thrown as Error)).message);
    });
    if (answer.httpStatus !== 200) throw unreachable(`HTTP ${answer.httpStatus} instead of a gRPC answer`);
    if (answer.status === undefined) throw unreachable(broken?.message ?? "the connection ended without an answer");
    if (answer.status.code !== 0) throw new GrpcStatusError(answer.status.code, `${name}: ${answer.status.message}`);
    const message = unframeMessage(answer.frame);
    if (!Buffer.isBuffer(message)) {
      throw new KmsEtcdError("corrupt", `${peer}: the answer to ${name} is no gRPC message`);
    }
    return method.responseDeserialize(message);
  }

  async function stream<Request, Response>(
    method: GrpcMethod<Request, Response>,
    request: Request,
    onMessage: (message: Response) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    if (session.destroyed || session.closed) throw unreachable(broken?.message ?? "the connection is closed");
    const name = method.path.slice(method.path.lastIndexOf("/") + 1);
    const answer = await exchangeMany(
      session,
      method.path,
      frameMessage(method.requestSerialize(request)),
      (bytes) => onMessage(method.responseDeserialize(bytes)),
      signal,
    ).catch((thrown: unknown) => {
      if (thrown instanceof WireFailure) {
        if (signal.aborted) throw new KmsEtcdError("timeout", `${peer}: no answer to ${name} in time`);
        throw unreachable((broken ?? thrown).message);
      }
      throw thrown;
    });
    if (answer.httpStatus !== 200) throw unreachable(`HTTP ${answer.httpStatus} instead of a gRPC answer`);
    if (answer.status === undefined) throw unreachable(broken?.message ?? "the connection ended without an answer");
    if (answer.status.code !== 0) throw new GrpcStatusError(answer.status.code, `${name}: ${answer.status.message}`);
  }

  return {
    call,
    stream,
    isOpen: () => !session.destroyed && !session.closed,
    close: () => {
      session.destroy();
      connection.destroy();
    },
  };
}

interface Answer {
  readonly httpStatus: number;
  readonly status: { readonly code: number; readonly message: string } | undefined;
  readonly frame: Buffer;
}

class TooLong extends Error {}

interface Limits {
  readonly longestAnswer: number;
  readonly signal: AbortSignal;
}

function exchange(session: ClientHttp2Session, path: string, body: Buffer, { longestAnswer, signal }: Limits) {
  return new Promise<Answer>((resolve, reject) => {
    const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
    const stream: ClientHttp2Stream = session.request(headers);
    const stop = (reason: Error) => {
      reject(reason);
      stream.close(constants.NGHTTP2_CANCEL);
    };
    const onAbort = () => stop(new Error("aborted"));
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    const chunks: Buffer[] = [];
    let length = 0;
    let httpStatus = 0;
    let status: Answer["status"];
    stream.on("response", (received) => {
      httpStatus = Number(received[":status"]);
      status = grpcStatus(received) ?? status;
    });
    stream.on("trailers", (received: IncomingHttpHeaders) => {
      status = grpcStatus(received) ?? status;
    });
    stream.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length > longestAnswer) stop(new TooLong());
    });
    stream.on("error", reject);
    stream.on("close", () => {
      signal.removeEventListener("abort", onAbort);
      if (httpStatus === 0) reject(new Error("the connection ended without an answer"));
      else resolve({ httpStatus, status, frame: chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks) });
    });
    stream.end(body);
  });
}

/** The connection failed, not whoever takes the messages. */
class WireFailure extends Error {}

async function exchangeMany(
  session: ClientHttp2Session,
  path: string,
  body: Buffer,
  onMessage: (bytes: Buffer) => Promise<void>,
  signal: AbortSignal,
): Promise<Omit<Answer, "frame">> {
  const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
  const stream: ClientHttp2Stream = session.request(headers);
  let httpStatus = 0;
  let status: Answer["status"];
  stream.on("response", (received) => {
    httpStatus = Number(received[":status"]);
    status = grpcStatus(received) ?? status;
  });
  stream.on("trailers", (received: IncomingHttpHeaders) => {
    status = grpcStatus(received) ?? status;
  });
  const closed = new Promise<void>((resolve) => stream.once("close", resolve));
  const onAbort = () => stream.destroy(new WireFailure("aborted"));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  stream.end(body);
  let rest: Buffer = Buffer.alloc(0);
  try {
    const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    for (;;) {
      const next = await chunks.next().catch((thrown: unknown) => {
        throw new WireFailure(thrown instanceof Error ? thrown.message : String(thrown));
      });
      if (next.done === true) break;
      rest = rest.length === 0 ? next.value : Buffer.concat([rest, next.value]);
      for (let end = frameEnd(rest); rest.length >= end; end = frameEnd(rest)) {
        await onMessage(rest.subarray(frameHeadBytes, end));
        rest = rest.subarray(end);
      }
    }
    await closed;
  } finally {
    signal.removeEventListener("abort", onAbort);
    stream.destroy();
  }
  return { httpStatus, status };
}

function grpcStatus(headers: IncomingHttpHeaders): Answer["status"] {
  const { "grpc-status": code, "grpc-message": message } = headers;
  if (code === undefined) return undefined;
  return { code: Number(code), message: percentDecoded([message].flat().join() || "no message").slice(0, 300) };
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
