/**
 * The part of the protobuf wire format that Kubernetes' KMS messages use: strings, bytes, maps from string to bytes.
 * Our own, because `core` imports only node builtins, and because the engine reads one field out of a hundred thousand
 * stored values and must not copy the rest. Rules: protobuf.dev, "Encoding".
 */
import { KmsEtcdError } from "./errors";

export const WireType = { varint: 0, fixed64: 1, bytes: 2, startGroup: 3, endGroup: 4, fixed32: 5 } as const;

const none: Uint8Array = Buffer.alloc(0);

/** Walks over the fields of one message without copying it. Throws `corrupt` for bytes that are no protobuf. */
export class ProtobufReader {
  /** Of the field that `next` has just found. */
  field = 0;
  wireType = 0;
  private readonly bytes: Uint8Array;
  private readonly end: number;
  private position: number;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
  }

  /** Goes to the next field; false at the end of the message. The value must then be read or skipped. */
  next(): boolean {
    if (this.position === this.end) return false;
    const tag = this.varint();
    this.field = Math.floor(tag / 8);
    this.wireType = tag % 8;
    if (this.field === 0 || tag > 0xffff_ffff) throw malformed("a field number is out of range");
    return true;
  }

  /** A varint as a number; the bits above 2^53 of a longer one are lost, which no field that we read uses. */
  varint(): number {
    let value = 0;
    let weight = 1;
    for (let index = 0; index < 10; index++) {
      if (this.position >= this.end) throw malformed("a number is cut off");
      const byte = this.bytes[this.position++] ?? 0;
      value += (byte & 0x7f) * weight;
      if (byte < 0x80) return value;
      weight *= 128;
    }
    throw malformed("a number is longer than ten bytes");
  }

  /** A varint with all its 64 bits, as identifiers have them. */
  uint64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.position >= this.end) throw malformed("a number is cut off");
      const byte = this.bytes[this.position++] ?? 0;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw malformed("a number is longer than ten bytes");
  }

  /** The value of a length-delimited field: a view into the message, not a copy. */
  view(): Uint8Array {
    const start = this.enter();
    return this.bytes.subarray(start, this.position);
  }

  /** The value of a length-delimited field as UTF-8 text. */
  text(): string {
    const start = this.enter();
    return start === this.position ? "" : utf8(this.bytes, start, this.position);
  }

  /** Passes over the value of a field that the caller does not know. */
  skip(): void {
    switch (this.wireType) {
      case WireType.varint:
        this.varint();
        return;
      case WireType.fixed64:
        this.advance(8);
        return;
      case WireType.bytes:
        this.enter();
        return;
      case WireType.fixed32:
        this.advance(4);
        return;
      case WireType.startGroup:
        this.skipGroup();
        return;
      default:
        throw malformed("a field has an unknown wire type");
    }
  }

  private enter(): number {
    if (this.wireType !== WireType.bytes) throw malformed(`field ${this.field} has another type than expected`);
    const length = this.varint();
    const start = this.position;
    this.advance(length);
    return start;
  }

  private advance(length: number): void {
    if (length > this.end - this.position) throw malformed(`field ${this.field} is cut off`);
    this.position += length;
  }

  private skipGroup(): void {
    const open = [this.field];
    while (open.length > 0) {
      if (!this.next()) throw malformed("a group is not closed");
      if (this.wireType === WireType.startGroup) open.push(this.field);
      else if (this.wireType !== WireType.endGroup) this.skip();
      else if (open.pop() !== this.field) throw malformed("a group is closed by another field");
    }
  }
}

export type FieldType = "string" | "bytes" | "bytesMap";
export type BytesMap = Readonly<Record<string, Uint8Array>>;

/** The number and the type of each field of a message; `T` has one property for each. */
export type MessageFields<T> = {
  readonly [K in keyof T]: {
    readonly number: number;
    readonly type: T[K] extends string ? "string" : T[K] extends Uint8Array ? "bytes" : "bytesMap";
  };
};

/** Bytes of one message type and back. */
export interface MessageCodec<T> {
  readonly encode: (message: T) => Buffer;
  /** Unknown fields are passed over, missing ones get proto3's default. Byte fields are views into `bytes`. */
  readonly decode: (bytes: Uint8Array) => T;
}

export function messageCodec<T extends object>(fields: MessageFields<T>): MessageCodec<T> {
  const entries = Object.entries<{ number: number; type: FieldType }>(fields).map(([name, field]) => ({
    name,
    ...field,
  }));
  const byNumber = new Map(entries.map((entry) => [entry.number, entry]));
  return {
    encode: (message) =>
      encodeFields(entries.map(({ name, number, type }) => [number, type, message[name as keyof T]])),
    decode: (bytes) => {
      const message: Record<string, unknown> = {};
      for (const { name, type } of entries) message[name] = type === "string" ? "" : type === "bytes" ? none : {};
      const reader = new ProtobufReader(bytes);
      while (reader.next()) {
        const entry = byNumber.get(reader.field);
        if (entry === undefined) reader.skip();
        else if (entry.type === "string") message[entry.name] = reader.text();
        else if (entry.type === "bytes") message[entry.name] = reader.view();
        else readMapEntry(reader.view(), message[entry.name] as Record<string, Uint8Array>);
      }
      return message as T;
    },
  };
}

function readMapEntry(entry: Uint8Array, map: Record<string, Uint8Array>): void {
  const reader = new ProtobufReader(entry);
  let key = "";
  let value = none;
  while (reader.next()) {
    if (reader.field === 1) key = reader.text();
    else if (reader.field === 2) value = reader.view();
    else reader.skip();
  }
  // Defined, not assigned: a caller's key "__proto__" must not become the object's prototype.
  Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
}

type FieldValue = readonly [number: number, type: FieldType, value: unknown];

/** One length-delimited field that is ready to be written. */
interface Part {
  readonly tag: number;
  readonly value: Uint8Array | readonly Part[];
  readonly length: number;
}

/** Sizes first, then one buffer for all: a message is encoded for every answer. */
function encodeFields(values: readonly FieldValue[]): Buffer {
  const parts: Part[] = [];
  for (const [number, type, value] of values) {
    if (type === "bytesMap") {
      for (const [key, bytes] of Object.entries(value as BytesMap)) {
        // A map's entry always has both fields, as Go's generator writes it.
        parts.push(part(number, [part(1, Buffer.from(key)), part(2, bytes)]));
      }
    } else {
      const bytes = type === "string" ? Buffer.from(value as string) : (value as Uint8Array);
      if (bytes.length > 0) parts.push(part(number, bytes));
    }
  }
  const buffer = Buffer.allocUnsafe(sizeOf(parts));
  writeParts(buffer, parts, 0);
  return buffer;
}

function part(number: number, value: Uint8Array | readonly Part[]): Part {
  const length = value instanceof Uint8Array ? value.length : sizeOf(value);
  return { tag: number * 8 + WireType.bytes, value, length };
}

function sizeOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { tag, length }) => sum + varintSize(tag) + varintSize(length) + length, 0);
}

function writeParts(buffer: Buffer, parts: readonly Part[], start: number): number {
  let at = start;
  for (const { tag, value, length } of parts) {
    at = writeVarint(buffer, length, writeVarint(buffer, tag, at));
    if (value instanceof Uint8Array) {
      buffer.set(value, at);
      at += length;
    } else {
      at = writeParts(buffer, value, at);
    }
  }
  return at;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) size++;
  return size;
}

function writeVarint(buffer: Buffer, value: number, start: number): number {
  let at = start;
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) buffer[at++] = (rest % 128) | 0x80;
  buffer[at++] = rest;
  return at;
}

function utf8(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.isBuffer(bytes)
    ? bytes.toString("utf8", start, end)
    : Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("utf8");
}

function malformed(reason: string): KmsEtcdError {
  return new KmsEtcdError("corrupt", `a protobuf message is malformed: ${reason}`);
}
