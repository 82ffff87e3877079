/** A caller that says HTTP/2's frames one by one (RFC 9113), in orders and with windows that no library lets one choose. */
import { once } from "node:events";
import { connect } from "node:net";

export const frameType = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6 } as const;

const endStream = 0x1;
const endHeaders = 0x4;
const initialWindowSize = 4;
/** The first that a client may open; nothing here needs a second one. */
const stream = 1;

function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** A literal that nobody puts into a table, its texts shorter than 127 bytes (RFC 7541 section 6.2.2). */
function header(name: string, value: string): Buffer {
  const text = (content: string) => [Buffer.of(content.length), Buffer.from(content)];
  return Buffer.concat([Buffer.of(0), ...text(name), ...text(value)]);
}

export function requestFrames(path: string, body: Uint8Array, { isWhole = true } = {}): Buffer {
  const headers = Object.entries({
    ":method": "POST",
    ":scheme": "http",
    ":path": path,
    ":authority": "localhost",
    "content-type": "application/grpc",
  }).map(([name, value]) => header(name, value));
  return Buffer.concat([
    frame(frameType.headers, endHeaders, stream, Buffer.concat(headers)),
    frame(frameType.data, isWhole ? endStream : 0, stream, body),
  ]);
}

export function resetFrame(code: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code);
  return frame(frameType.reset, 0, stream, payload);
}

export const pingFrame = (): Buffer => frame(frameType.ping, 0, 0, Buffer.alloc(8));

export interface FrameCaller {
  send(...frames: readonly Buffer[]): void;
  /** When the server has sent one of that type, from now on or before. */
  seen(type: number): Promise<void>;
  destroy(): void;
}

/** @param windowBytes how much of an answer the server may send. */
export async function speakFrames(socket: string, { windowBytes = 65_535 } = {}): Promise<FrameCaller> {
  const connection = connect({ path: socket, allowHalfOpen: true });
  await once(connection, "connect");
  connection.on("error", () => undefined);
  let received = Buffer.alloc(0);
  const types = new Set<number>();
  connection.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 9 && received.length >= 9 + received.readUIntBE(0, 3)) {
      const type = received.readUInt8(3);
      received = received.subarray(9 + received.readUIntBE(0, 3));
      types.add(type);
      connection.emit(`frame ${type}`);
    }
  });
  const window = Buffer.alloc(6);
  window.writeUInt16BE(initialWindowSize, 0);
  window.writeUInt32BE(windowBytes, 2);
  connection.write(
    Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(frameType.settings, 0, 0, window)]),
  );
  return {
    send: (...frames) => void connection.write(Buffer.concat(frames)),
    seen: async (type) => {
      if (!types.has(type)) await once(connection, `frame ${type}`);
    },
    destroy: () => connection.destroy(),
  };
}
