/** The files of an image, before they are a directory for a Dockerfile or a layer of an archive. */
import { chmod, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

export type TreeEntry =
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly content: Buffer }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | { readonly kind: "directory"; readonly path: string; readonly mode: number };

/** Sorted by path, each directory before what is in it; paths have no leading slash. */
export function completeTree(entries: readonly TreeEntry[]): readonly TreeEntry[] {
  const byPath = new Map<string, TreeEntry>();
  for (const entry of entries) {
    for (let path = dirname(entry.path); path !== "."; path = dirname(path)) {
      if (!byPath.has(path)) byPath.set(path, { kind: "directory", path, mode: 0o755 });
    }
    byPath.set(entry.path, entry);
  }
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Makes `directory` hold exactly these entries. */
export async function writeTree(directory: string, entries: readonly TreeEntry[]): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  for (const entry of completeTree(entries)) {
    const path = join(directory, entry.path);
    if (entry.kind === "link") await symlink(entry.target, path);
    else {
      if (entry.kind === "directory") await mkdir(path);
      else await writeFile(path, entry.content);
      // Whatever the umask is.
      await chmod(path, entry.mode);
    }
  }
}
