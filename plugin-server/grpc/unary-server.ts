/**
 * gRPC's unary calls over Node's HTTP/2, without compression (grpc/grpc doc/PROTOCOL-HTTP2.md): grpc-js takes longer for them
 * (docs/adr/0013).
 */
import {
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import { type FrameFault, frameHeadBytes, unframeMessage } from "../../core/grpc-frame";
import type { UnaryMethod } from "../../core/kms-protocol";
import type { GrpcStatus } from "./grpc-status";
import { grpcTimeoutMs } from "./grpc-timeout";
import { refuse, UnaryCall } from "./unary-call";

export type UnaryHandler<Request, Response> = (call: UnaryCall<Request, Response>) => void;

/** A handler for each method. */
export type UnaryHandlers<Service> = {
  readonly [Name in keyof Service]: Service[Name] extends UnaryMethod<infer Request, infer Response>
    ? UnaryHandler<Request, Response>
    : never;
};

export interface UnaryServerLimits {
  /** Bytes of a request's message. */
  readonly longestRequest: number;
  /** Calls of one connection at once: more wait on the caller's side. */
  readonly concurrentCalls: number;
}

export interface UnaryServer {
  serve<Service extends object>(service: Service, handlers: UnaryHandlers<Service>): void;
  /** The socket is there when this returns, and open to callers when the promise resolves. */
  listen(socket: string): Promise<void>;
  /** Takes no new call, and resolves when those under way have ended. Removes the file at the socket's path. */
  close(): Promise<void>;
  /** Ends all connections. */
  destroy(): void;
}

interface ServedMethod {
  readonly method: UnaryMethod<unknown, unknown>;
  readonly handler: UnaryHandler<unknown, unknown>;
}

/** Megabytes of a connection, beyond which Node refuses its calls: a hundred with all they may hold are 13. */
const maxSessionMemory = 32;
/** An answer's headers have to fit into what callers accept. */
const longestPathTold = 200;
const grpcContent = /^application\/grpc(?:[+;]|$)/;

export function createUnaryServer({ longestRequest, concurrentCalls }: UnaryServerLimits): UnaryServer {
  const methods = new Map<string | undefined, ServedMethod>();
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer({ settings: { maxConcurrentStreams: concurrentCalls }, maxSessionMemory });
  // A connection that can't be accepted is its caller's loss: without a listener it would end the process.
  server.on("error", ignore);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  server.on("stream", (stream, headers) => {
    // A caller that leaves is told by "aborted"; without a listener its error would end the process.
    stream.on("error", ignore);
    if (notGrpc(stream, headers)) return;
    const path = headers[":path"];
    const served = methods.get(path);
    const timeoutMs = grpcTimeoutMs(headers["grpc-timeout"]?.toString());
    const encoding = headers["grpc-encoding"] ?? "identity";
    if (served === undefined)
      refuse(stream, {
        code: "UNIMPLEMENTED",
        details: `there is no method ${(path ?? "").slice(0, longestPathTold)}`,
      });
    else if (timeoutMs === undefined) refuse(stream, { code: "INTERNAL", details: "grpc-timeout can't be read" });
    else if (encoding !== "identity")
      refuse(
        stream,
        { code: "UNIMPLEMENTED", details: "compressed requests are not read" },
        { "grpc-accept-encoding": "identity" },
      );
    else receive(stream, longestRequest, (body) => begin(stream, served, body, timeoutMs));
  });
  return {
    serve(service, handlers) {
      for (const [name, method] of Object.entries(service) as [keyof typeof handlers, ServedMethod["method"]][])
        methods.set(method.path, { method, handler: handlers[name] });
    },
    listen: (socket) =>
      new Promise((resolve, reject) => {
        server.once("error", reject).listen(socket, () => {
          server.off("error", reject);
          resolve();
        });
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.close();
      }),
    destroy() {
      // Not their sessions: one that is closed already, and whose calls have ended, waits for its caller all the same.
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Whether it was answered as such, in HTTP's own terms: who asks this way doesn't read a gRPC status. */
function notGrpc(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
  const post = headers[":method"] === "POST";
  if (post && grpcContent.test(headers["content-type"] ?? "")) return false;
  if (stream.closed) return true;
  stream.respond(
    { ":status": post ? constants.HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE : constants.HTTP_STATUS_METHOD_NOT_ALLOWED },
    { endStream: true },
  );
  return true;
}

/** Calls `received` with the whole body, or refuses the request. */
function receive(stream: ServerHttp2Stream, longest: number, received: (body: Buffer) => void): void {
  let body: Buffer | undefined;
  stream.on("data", (chunk: Buffer) => {
    body = body === undefined ? chunk : Buffer.concat([body, chunk]);
    if (body.length > frameHeadBytes + longest)
      refuse(stream, { code: "RESOURCE_EXHAUSTED", details: `the request has more than ${longest} bytes` });
  });
  stream.on("end", () => {
    // A request that was refused ends too, and one whose caller has left.
    if (!stream.closed) received(body ?? Buffer.alloc(0));
  });
}

function begin(stream: ServerHttp2Stream, { method, handler }: ServedMethod, body: Buffer, timeoutMs: number): void {
  const message = unframeMessage(body);
  if (!Buffer.isBuffer(message)) {
    refuse(stream, { code: "INTERNAL", details: faults[message] });
    return;
  }
  let request: unknown;
  try {
    request = method.requestDeserialize(message);
  } catch {
    refuse(stream, unreadable);
    return;
  }
  handler(new UnaryCall(stream, request, timeoutMs, method.responseSerialize));
}

const faults: Readonly<Record<FrameFault, string>> = {
  incomplete: "the request has no whole message",
  "more than one": "the request has more than one message",
  compressed: "the request's message is compressed, and its head says not how",
};

const unreadable: GrpcStatus = { code: "INTERNAL", details: "the request's message is malformed" };

const ignore = (): void => undefined;
