/** A tar archive that depends on nothing but its entries: same entries, same bytes. POSIX ustar. */
import { completeTree, type TreeEntry } from "./file-tree";

const block = 512;
const typeFlags = { file: "0", link: "2", directory: "5" } as const;

/** All entries belong to root and carry the time `seconds` since 1970. */
export function tarArchive(entries: readonly TreeEntry[], seconds: number): Buffer {
  const parts = completeTree(entries).flatMap((entry) => {
    const content = entry.kind === "file" ? entry.content : Buffer.alloc(0);
    return [header(entry, content.length, seconds), content, Buffer.alloc((block - (content.length % block)) % block)];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

function header(entry: TreeEntry, size: number, seconds: number): Buffer {
  const bytes = Buffer.alloc(block);
  const path = entry.kind === "directory" ? `${entry.path}/` : entry.path;
  // 100 bytes for the name; no path of the image is longer.
  if (Buffer.byteLength(path) > 100) throw new Error(`the path ${path} is too long for the archive`);
  bytes.write(path, 0);
  bytes.write(octal(entry.kind === "link" ? 0o777 : entry.mode, 7), 100);
  bytes.write(octal(0, 7), 108);
  bytes.write(octal(0, 7), 116);
  bytes.write(octal(size, 11), 124);
  bytes.write(octal(seconds, 11), 136);
  bytes.write(" ".repeat(8), 148);
  bytes.write(typeFlags[entry.kind], 156);
  if (entry.kind === "link") bytes.write(entry.target, 157);
  bytes.write("ustar\0", 257);
  bytes.write("00", 263);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${octal(sum, 6)}\0 `, 148);
  return bytes;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}
