/** What an image needs to know of a 64-bit ELF file: the libraries that it asks for, and which of its bytes are loaded. */
import { KmsEtcdError } from "../../core/errors";

export interface ElfFile {
  /** The dynamic loader, for a program. */
  readonly interpreter: string | undefined;
  /** Names of shared libraries, as the loader looks for them. */
  readonly needed: readonly string[];
  /** Nothing behind this offset is loaded: symbol tables, debugging data and the section headers. */
  readonly loadedBytes: number;
}

const segment = { load: 1, dynamic: 2, interpreter: 3 } as const;
const dynamicTag = { end: 0, needed: 1, stringTable: 5 } as const;

export function readElf(bytes: Buffer, name: string): ElfFile {
  if (bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1) {
    throw new KmsEtcdError("corrupt", `${name} is not a 64-bit little-endian ELF file`);
  }
  const segments = Array.from({ length: bytes.readUInt16LE(56) }, (_, index) => {
    const at = word(bytes, 32) + index * bytes.readUInt16LE(54);
    return {
      type: bytes.readUInt32LE(at),
      offset: word(bytes, at + 8),
      address: word(bytes, at + 16),
      size: word(bytes, at + 32),
    };
  });
  const loaded = segments.filter(({ type }) => type === segment.load);
  const interpreter = segments.find(({ type }) => type === segment.interpreter);
  const dynamic = segments.find(({ type }) => type === segment.dynamic);
  const entries = Array.from({ length: (dynamic?.size ?? 0) / 16 }, (_, index) => {
    const at = (dynamic?.offset ?? 0) + index * 16;
    return { tag: word(bytes, at), value: word(bytes, at + 8) };
  });
  const end = entries.findIndex(({ tag }) => tag === dynamicTag.end);
  const live = end < 0 ? entries : entries.slice(0, end);
  // The table is known by its address in memory; the segment that holds the address says where it is in the file.
  const tableAddress = live.find(({ tag }) => tag === dynamicTag.stringTable)?.value ?? 0;
  const home = loaded.find(({ address, size }) => tableAddress >= address && tableAddress < address + size);
  const table = home === undefined ? 0 : tableAddress - home.address + home.offset;
  return {
    interpreter: interpreter && text(bytes, interpreter.offset),
    needed: live.filter(({ tag }) => tag === dynamicTag.needed).map(({ value }) => text(bytes, table + value)),
    loadedBytes: Math.max(...loaded.map(({ offset, size }) => offset + size)),
  };
}

/** The file without what is never loaded, for any architecture: binutils' strip knows its own only. */
export function stripElf(bytes: Buffer, name: string): Buffer {
  const stripped = Buffer.from(bytes.subarray(0, readElf(bytes, name).loadedBytes));
  stripped.writeBigUInt64LE(0n, 40); // no section headers,
  stripped.writeUInt16LE(0, 60); // none of them,
  stripped.writeUInt16LE(0, 62); // and no names for them
  return stripped;
}

function word(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}

function text(bytes: Buffer, at: number): string {
  return bytes.toString("latin1", at, bytes.indexOf(0, at));
}
