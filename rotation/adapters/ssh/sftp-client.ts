/**
 * A client of sftp-server over any connection: SSH's own subsystem, or `sudo sftp-server` where files belong to root. ssh2's
 * own client speaks over the subsystem alone, and hosts need but a dozen requests of the protocol.
 */
import type { Duplex } from "node:stream";
import { type FileAttributes, openFlag, PacketReader, PacketWriter, packetType, statusCode } from "./sftp-packets";

/** The server's refusal. */
export class SftpStatusError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = "SftpStatusError";
    this.code = code;
  }
}

/** The connection ended, or hangs: nobody knows whether the request was carried out. */
export class SftpConnectionError extends Error {
  /** Whether it just ended, as against one that was no sftp-server's or did not answer. */
  readonly cut: boolean;

  constructor(message: string, cut = false) {
    super(message);
    this.name = "SftpConnectionError";
    this.cut = cut;
  }
}

export interface DirectoryEntry {
  readonly name: string;
  readonly attributes: FileAttributes;
}

export interface SftpClient {
  /** Names of what the server can do beyond the protocol. */
  readonly extensions: ReadonlySet<string>;
  /** A handle. `mode` is for a file that is made. */
  open(path: string, flags: number, mode?: number): Promise<Buffer>;
  close(handle: Buffer): Promise<void>;
  /** The whole of an open file that has `size` bytes; 0 stands for one that does not know. */
  readAll(handle: Buffer, size: number, longest: number): Promise<Buffer>;
  writeAll(handle: Buffer, bytes: Uint8Array): Promise<void>;
  attributesOf(handle: Buffer): Promise<FileAttributes>;
  changeAttributes(handle: Buffer, attributes: FileAttributes): Promise<void>;
  /** Follows no link at the end of the path. */
  stat(path: string): Promise<FileAttributes>;
  list(path: string): Promise<readonly DirectoryEntry[]>;
  remove(path: string): Promise<void>;
  makeDirectory(path: string, mode: number): Promise<void>;
  /** posix-rename@openssh.com: in the place of what is there. */
  rename(from: string, to: string): Promise<void>;
  /** fsync@openssh.com. */
  sync(handle: Buffer): Promise<void>;
  /** statvfs@openssh.com: what is left for this user on the file system of the path. */
  space(path: string): Promise<{ readonly freeBytes: number; readonly freeFiles: number; readonly readOnly: boolean }>;
  isOpen(): boolean;
  end(): void;
}

/** What a server must offer beyond the protocol; every OpenSSH since 6.3 does. */
const needed = ["posix-rename@openssh.com", "fsync@openssh.com"];
const chunk = 32_768;
/** An answer that takes longer will not come. */
const defaultLimit = 15_000;

interface Waiting {
  resolve(reply: { type: number; body: PacketReader }): void;
  reject(reason: Error): void;
  readonly timer: NodeJS.Timeout;
}

/** Says hello. Takes the connection over; throws SftpConnectionError where no sftp-server answers on it. */
export async function sftpClient(connection: Duplex, limit = defaultLimit): Promise<SftpClient> {
  const waiting = new Map<number, Waiting>();
  let broken: Error | undefined;
  let nextId = 1;
  let rest: Buffer = Buffer.alloc(0);
  let onVersion: ((body: PacketReader) => void) | undefined;

  function breakOff(reason: Error): void {
    broken ??= reason;
    for (const { reject, timer } of waiting.values()) {
      clearTimeout(timer);
      reject(broken);
    }
    waiting.clear();
    connection.destroy();
  }

  function receive(packet: Buffer): void {
    const body = new PacketReader(packet);
    const type = body.byte();
    if (type === packetType.version) return onVersion?.(body);
    const id = body.uint32();
    const request = waiting.get(id);
    waiting.delete(id);
    clearTimeout(request?.timer);
    request?.resolve({ type, body });
  }

  connection.on("data", (data: Buffer) => {
    rest = rest.length === 0 ? data : Buffer.concat([rest, data]);
    while (rest.length >= 4) {
      const length = rest.readUInt32BE(0);
      // A shell that greets, or sudo that asks, is no packet.
      if (length > 1 << 20) return breakOff(new SftpConnectionError(`no sftp-server: ${printable(rest)}`));
      if (rest.length < 4 + length) return;
      const packet = rest.subarray(4, 4 + length);
      rest = rest.subarray(4 + length);
      try {
        receive(packet);
      } catch {
        return breakOff(new SftpConnectionError("an answer of sftp-server cannot be understood"));
      }
    }
  });
  const cut = () => breakOff(new SftpConnectionError("the connection was cut", true));
  connection.on("error", cut);
  connection.on("end", cut);
  connection.on("close", cut);

  function request(type: number, fill: (writer: PacketWriter) => PacketWriter) {
    if (broken !== undefined) return Promise.reject(broken);
    const id = nextId++;
    return new Promise<{ type: number; body: PacketReader }>((resolve, reject) => {
      const late = () => breakOff(new SftpConnectionError(`no answer in ${limit / 1_000} s`));
      waiting.set(id, { resolve, reject, timer: setTimeout(late, limit) });
      connection.write(fill(new PacketWriter().byte(type).uint32(id)).packet());
    });
  }

  async function ask(type: number, expected: number, fill: (writer: PacketWriter) => PacketWriter) {
    const { type: answered, body } = await request(type, fill);
    if (answered === expected && answered !== packetType.status) return body;
    if (answered !== packetType.status) throw new SftpConnectionError("an answer of sftp-server is of the wrong kind");
    const code = body.uint32();
    if (code === statusCode.ok && expected === packetType.status) return body;
    throw new SftpStatusError(code, body.done ? "" : body.string());
  }

  const order = async (type: number, fill: (writer: PacketWriter) => PacketWriter): Promise<void> => {
    await ask(type, packetType.status, fill);
  };

  const extensions = await new Promise<ReadonlySet<string>>((resolve, reject) => {
    const late = () => breakOff(new SftpConnectionError(`no answer in ${limit / 1_000} s`));
    waiting.set(0, { resolve: () => undefined, reject, timer: setTimeout(late, limit) });
    onVersion = (body) => {
      clearTimeout(waiting.get(0)?.timer);
      waiting.delete(0);
      body.uint32();
      const names = new Set<string>();
      while (!body.done) {
        names.add(body.string());
        body.buffer();
      }
      resolve(names);
    };
    connection.write(new PacketWriter().byte(packetType.init).uint32(3).packet());
  });
  const missing = needed.filter((name) => !extensions.has(name));
  if (missing.length > 0) {
    const reason = new SftpConnectionError(`sftp-server lacks ${missing.join(" and ")}`);
    breakOff(reason);
    throw reason;
  }

  const client: SftpClient = {
    extensions,
    open: async (path, flags, mode) =>
      (
        await ask(packetType.open, packetType.handle, (writer) =>
          writer
            .string(path)
            .uint32(flags)
            .attributes(mode === undefined ? {} : { mode }),
        )
      ).buffer(),
    close: (handle) => order(packetType.close, (writer) => writer.string(handle)),
    readAll: async (handle, size, longest) => {
      const parts: Buffer[] = [];
      for (let at = 0; ; ) {
        const offset = at;
        const part = await ask(packetType.read, packetType.data, (writer) =>
          writer.string(handle).uint64(offset).uint32(chunk),
        ).then(
          (body) => body.buffer(),
          (thrown: unknown) => {
            if (thrown instanceof SftpStatusError && thrown.code === statusCode.endOfFile) return undefined;
            throw thrown;
          },
        );
        if (part === undefined || part.length === 0) return Buffer.concat(parts);
        parts.push(part);
        at += part.length;
        if (at === size) return Buffer.concat(parts);
        if (at > longest) throw new SftpStatusError(statusCode.failure, `longer than ${longest} bytes`);
      }
    },
    writeAll: async (handle, bytes) => {
      for (let at = 0; at < bytes.length; at += chunk) {
        const offset = at;
        await order(packetType.write, (writer) =>
          writer
            .string(handle)
            .uint64(offset)
            .string(bytes.subarray(offset, offset + chunk)),
        );
      }
    },
    attributesOf: async (handle) =>
      (await ask(packetType.fstat, packetType.attributes, (writer) => writer.string(handle))).attributes(),
    changeAttributes: (handle, attributes) =>
      order(packetType.fsetstat, (writer) => writer.string(handle).attributes(attributes)),
    stat: async (path) =>
      (await ask(packetType.lstat, packetType.attributes, (writer) => writer.string(path))).attributes(),
    list: async (path) => {
      const opened = await ask(packetType.opendir, packetType.handle, (writer) => writer.string(path));
      const handle = opened.buffer();
      const entries: DirectoryEntry[] = [];
      try {
        for (;;) {
          const body = await ask(packetType.readdir, packetType.name, (writer) => writer.string(handle));
          for (let left = body.uint32(); left > 0; left--) {
            const name = body.string();
            body.buffer();
            entries.push({ name, attributes: body.attributes() });
          }
        }
      } catch (thrown) {
        if (!(thrown instanceof SftpStatusError) || thrown.code !== statusCode.endOfFile) throw thrown;
        return entries;
      } finally {
        if (broken === undefined) await client.close(handle);
      }
    },
    remove: (path) => order(packetType.remove, (writer) => writer.string(path)),
    makeDirectory: (path, mode) => order(packetType.mkdir, (writer) => writer.string(path).attributes({ mode })),
    rename: (from, to) =>
      order(packetType.extended, (writer) => writer.string("posix-rename@openssh.com").string(from).string(to)),
    sync: (handle) => order(packetType.extended, (writer) => writer.string("fsync@openssh.com").string(handle)),
    space: async (path) => {
      const body = await ask(packetType.extended, packetType.extendedReply, (writer) =>
        writer.string("statvfs@openssh.com").string(path),
      );
      const [, blockSize = 0, , , available = 0, , , freeFiles = 0, , flags = 0] = Array.from({ length: 11 }, () =>
        body.uint64(),
      );
      return { freeBytes: blockSize * available, freeFiles, readOnly: (flags & 1) === 1 };
    },
    isOpen: () => broken === undefined,
    end: () => breakOff(new SftpConnectionError("the connection was closed")),
  };
  return client;
}

/** For opening: what exists, or what must not exist yet. */
export const openFor = {
  reading: openFlag.read,
  making: openFlag.write | openFlag.create | openFlag.exclusive,
} as const;

function printable(bytes: Buffer): string {
  return JSON.stringify(bytes.toString("latin1", 0, 80).replace(/[^\x20-\x7e]/g, "."));
}
