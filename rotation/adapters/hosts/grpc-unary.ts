/**
 * One unary gRPC call over any connection. grpc-js dials for itself and can't be given a stream, such as a socket that SSH
 * forwards; Node's own HTTP/2 client can. Wire format: grpc.io, "gRPC over HTTP2".
 */
import { connect, constants } from "node:http2";
import type { Duplex } from "node:stream";
import { KmsEtcdError } from "../../../core/errors";
import type { UnaryMethod } from "../../../core/kms-protocol";

/** The answers that a KMS plugin gives are far below this: an API server takes 1 kB of ciphertext and 32 kB of annotations. */
const longestAnswer = 1 << 20;

export interface GrpcConnection {
  call<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
    signal: AbortSignal,
  ): Promise<Response>;
  close(): void;
}

/** Takes the connection over: `close` ends it. `peer` is what errors call the other side. */
export function grpcConnection(connection: Duplex, peer: string): GrpcConnection {
  const session = connect("http://localhost", { createConnection: () => connection });
  let broken: Error | undefined;
  session.on("error", (error) => {
    broken = error;
  });
  return {
    call: (method, request, signal) =>
      new Promise((resolve, reject) => {
        const fail = (code: "timeout" | "unreachable" | "corrupt" | "key-unusable", reason: string) =>
          reject(new KmsEtcdError(code, `${peer}: ${reason}`));
        if (broken !== undefined || session.destroyed)
          return fail("unreachable", broken?.message ?? "connection is closed");
        const stream = session.request({
          ":method": "POST",
          ":path": method.path,
          "content-type": "application/grpc",
          te: "trailers",
        });
        const onAbort = () => {
          fail("timeout", `no answer to ${shortName(method.path)} in time`);
          stream.close(constants.NGHTTP2_CANCEL);
        };
        if (signal.aborted) onAbort();
        signal.addEventListener("abort", onAbort, { once: true });
        const chunks: Buffer[] = [];
        let length = 0;
        let status: GrpcStatus | undefined;
        stream.on("response", (headers) => {
          status = grpcStatus(headers) ?? status;
          if (headers[":status"] !== 200)
            fail("unreachable", `answers with HTTP ${String(headers[":status"])}, so it is no gRPC server`);
        });
        stream.on("trailers", (trailers) => {
          status = grpcStatus(trailers) ?? status;
        });
        stream.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          length += chunk.length;
          if (length <= longestAnswer) return;
          fail("corrupt", "the answer is longer than any KMS plugin's may be");
          stream.close(constants.NGHTTP2_CANCEL);
        });
        stream.on("error", (error) => fail("unreachable", error.message));
        stream.on("close", () => {
          signal.removeEventListener("abort", onAbort);
          if (status === undefined)
            return fail("unreachable", broken?.message ?? "the connection ended without an answer");
          if (status.code !== 0)
            return fail("key-unusable", `${shortName(method.path)}: ${status.message} (gRPC code ${status.code})`);
          const frame = Buffer.concat(chunks);
          if (frame.length < 5 || frame[0] !== 0 || frame.readUInt32BE(1) !== frame.length - 5)
            return fail("corrupt", "the answer is no gRPC message");
          try {
            resolve(method.responseDeserialize(frame.subarray(5)));
          } catch (thrown) {
            reject(thrown);
          }
        });
        stream.end(frameOf(method.requestSerialize(request)));
      }),
    close: () => {
      session.destroy();
      connection.destroy();
    },
  };
}

interface GrpcStatus {
  readonly code: number;
  readonly message: string;
}

function grpcStatus(headers: Readonly<Record<string, unknown>>): GrpcStatus | undefined {
  const code = headers["grpc-status"];
  if (code === undefined) return undefined;
  return { code: Number(code), message: percentDecoded(String(headers["grpc-message"] ?? "no message")).slice(0, 300) };
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function frameOf(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function shortName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
