/**
 * Compare-and-swap for a file on a host (invariant 11): the new content is whole on the disk under a name of its own, the
 * present file is looked at once more, and one rename puts the new one in its place. Needs the host's lock.
 */
import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { KmsEtcdError } from "../../../core/errors";
import { fileHash } from "./file-hash";
import type { Host } from "./host";

export interface Replacement {
  readonly path: string;
  /** `sha256:<hex>` of the file that may be replaced; undefined: there must be none. */
  readonly expectedHash: string | undefined;
  readonly bytes: Uint8Array;
  /** Of a new file. A file that is there keeps its owner, and its mode without the rights of others. */
  readonly mode: number;
}

/** The dot keeps a kubelet from taking it for a manifest. */
const temporaryPrefix = ".kms-etcd-tmp.";

/** Throws `conflict`, naming host, expected and found hash, when the file is another than expected. */
export async function replaceFile(host: Host, { path, expectedHash, bytes, mode }: Replacement): Promise<void> {
  const directory = dirname(path);
  await removeLeftovers(host, directory);
  const temporary = join(directory, `${temporaryPrefix}${randomBytes(6).toString("hex")}`);
  const before = await expect(host, path, expectedHash);
  await host.createFile(temporary, bytes, before === undefined ? mode : before.mode & 0o770, before?.owner);
  try {
    // Once more: writing took its time, and people edit without our lock.
    await expect(host, path, expectedHash);
    await host.rename(temporary, path);
  } catch (thrown) {
    await host.removeFile(temporary);
    throw thrown;
  }
  await host.syncDirectory(directory);
}

/** Removes a file with this content; one that is gone already is fine. Throws `conflict` where it has another content. */
export async function removeExpected(host: Host, path: string, expectedHash: string): Promise<void> {
  const file = await host.readFile(path);
  if (file === undefined) return;
  if (fileHash(file.bytes) !== expectedHash) throw conflict(host, path, expectedHash, fileHash(file.bytes));
  await host.removeFile(path);
  await host.syncDirectory(dirname(path));
}

async function expect(host: Host, path: string, expectedHash: string | undefined) {
  const file = await host.readFile(path);
  const found = file && fileHash(file.bytes);
  if (found !== expectedHash) throw conflict(host, path, expectedHash, found);
  return file;
}

/** What an engine left that was killed while it wrote: we hold the lock, so no one else is writing. */
async function removeLeftovers(host: Host, directory: string): Promise<void> {
  for (const name of await host.listFiles(directory)) {
    if (name.startsWith(temporaryPrefix)) await host.removeFile(join(directory, name));
  }
}

function conflict(host: Host, path: string, expected: string | undefined, found: string | undefined): KmsEtcdError {
  return new KmsEtcdError(
    "conflict",
    `${host.name}: ${path} is not the file that was observed: expected ${expected ?? "no file"}, found ${found ?? "no file"}`,
    { remedy: "someone else changed it: find out who, then run again, which looks at the new file first" },
  );
}
