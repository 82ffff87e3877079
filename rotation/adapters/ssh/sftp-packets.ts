/** The wire form of the file transfer protocol, version 3 (draft-ietf-secsh-filexfer-02), as far as hosts need it. */

export const packetType = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  stat: 17,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attributes: 105,
  extended: 200,
  extendedReply: 201,
} as const;

export const statusCode = { ok: 0, endOfFile: 1, noSuchFile: 2, permissionDenied: 3, failure: 4 } as const;
export const openFlag = { read: 1, write: 2, create: 8, exclusive: 32 } as const;

export interface FileAttributes {
  readonly size?: number;
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Type and permission bits. */
  readonly mode?: number;
  /** In whole seconds since the epoch: the protocol has no more. */
  readonly modifiedSecond?: number;
}

const attributeFlag = { size: 1, owner: 2, mode: 4, times: 8, extended: 0x80000000 };

/** Builds a packet's body. */
export class PacketWriter {
  readonly #parts: Buffer[] = [];

  byte(value: number): this {
    this.#parts.push(Buffer.from([value]));
    return this;
  }

  uint32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32BE(value);
    this.#parts.push(part);
    return this;
  }

  uint64(value: number): this {
    const part = Buffer.alloc(8);
    part.writeBigUInt64BE(BigInt(value));
    this.#parts.push(part);
    return this;
  }

  string(value: string | Uint8Array): this {
    const bytes = typeof value === "string" ? Buffer.from(value, "utf8") : Buffer.from(value);
    this.uint32(bytes.length);
    this.#parts.push(bytes);
    return this;
  }

  attributes({ owner, mode }: FileAttributes): this {
    this.uint32((owner === undefined ? 0 : attributeFlag.owner) | (mode === undefined ? 0 : attributeFlag.mode));
    if (owner !== undefined) this.uint32(owner.uid).uint32(owner.gid);
    if (mode !== undefined) this.uint32(mode);
    return this;
  }

  /** With its length in front. */
  packet(): Buffer {
    const body = Buffer.concat(this.#parts);
    const head = Buffer.alloc(4);
    head.writeUInt32BE(body.length);
    return Buffer.concat([head, body]);
  }
}

/** Reads a packet's body. Throws RangeError where it ends too early. */
export class PacketReader {
  #at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    this.#at += 1;
    return this.#bytes.readUInt8(this.#at - 1);
  }

  uint32(): number {
    this.#at += 4;
    return this.#bytes.readUInt32BE(this.#at - 4);
  }

  uint64(): number {
    this.#at += 8;
    return Number(this.#bytes.readBigUInt64BE(this.#at - 8));
  }

  buffer(): Buffer {
    const length = this.uint32();
    if (this.#at + length > this.#bytes.length) throw new RangeError("a string is longer than its packet");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  string(): string {
    return this.buffer().toString("utf8");
  }

  attributes(): FileAttributes {
    const flags = this.uint32();
    const size = (flags & attributeFlag.size) === 0 ? {} : { size: this.uint64() };
    const owner = (flags & attributeFlag.owner) === 0 ? {} : { owner: { uid: this.uint32(), gid: this.uint32() } };
    const mode = (flags & attributeFlag.mode) === 0 ? {} : { mode: this.uint32() };
    let modifiedSecond: number | undefined;
    if ((flags & attributeFlag.times) !== 0) {
      this.uint32();
      modifiedSecond = this.uint32();
    }
    if (flags >>> 31 === 1) {
      for (let pairs = this.uint32() * 2; pairs > 0; pairs--) this.buffer();
    }
    return { ...size, ...owner, ...mode, ...(modifiedSecond === undefined ? {} : { modifiedSecond }) };
  }
}
