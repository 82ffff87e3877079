/**
 * The frame of a message in a gRPC body: a byte that says whether it is compressed, four with its length, the message
 * (grpc/grpc doc/PROTOCOL-HTTP2.md, Length-Prefixed-Message).
 */
import type { GrpcStatus } from "./grpc-status";

export const frameHeadBytes = 5;

export function frameMessage(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameHeadBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, frameHeadBytes);
  return frame;
}

/** The one message of a unary request's whole body, or why there is none. */
export function unframeMessage(body: Buffer): Buffer | GrpcStatus {
  const end = body.length < frameHeadBytes ? Number.POSITIVE_INFINITY : frameHeadBytes + body.readUInt32BE(1);
  if (body.length < end) return { code: "INTERNAL", details: "the request has no whole message" };
  if (body.length > end) return { code: "INTERNAL", details: "the request has more than one message" };
  if (body[0] !== 0)
    return { code: "INTERNAL", details: "the request's message is compressed, and its head says not how" };
  return body.subarray(frameHeadBytes);
}
