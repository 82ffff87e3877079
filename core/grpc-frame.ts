/**
 * The frame of a message in a gRPC body: a byte that says whether it is compressed, four with its length, the message
 * (grpc/grpc doc/PROTOCOL-HTTP2.md, Length-Prefixed-Message). The plugin's server and the engine's client speak it.
 */

export const frameHeadBytes = 5;

/** Why a body doesn't hold exactly one message that can be read. */
export type FrameFault = "incomplete" | "more than one" | "compressed";

export function frameMessage(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameHeadBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, frameHeadBytes);
  return frame;
}

/** Where the first frame of `bytes` ends: infinite while that can't be known. */
export function frameEnd(bytes: Buffer): number {
  return bytes.length < frameHeadBytes ? Number.POSITIVE_INFINITY : frameHeadBytes + bytes.readUInt32BE(1);
}

/** The one message of a whole body. */
export function unframeMessage(body: Buffer): Buffer | FrameFault {
  const end = frameEnd(body);
  if (body.length < end) return "incomplete";
  if (body.length > end) return "more than one";
  return body[0] === 0 ? body.subarray(frameHeadBytes) : "compressed";
}
