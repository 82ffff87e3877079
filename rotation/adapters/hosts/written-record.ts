/**
 * What the engine last wrote on a host and what its API server had loaded then, kept beside the backups. A later run needs it
 * for a server that does not start with its file: such a server cannot say itself what it can go back to. It is evidence and
 * no step: it counts only while the file that is there is the one it speaks of.
 */
import { join } from "node:path";
import { fileHash, isFileHash } from "./file-hash";
import type { Host } from "./host";
import { replaceFile } from "./replace-file";

export interface WrittenRecord {
  /** Hash of the file that was written. */
  readonly written: string;
  /** Hash of the file in whose place it was put: still there if the engine was killed in between. */
  readonly replaced: string | undefined;
  /** What the API server had loaded. The same as `written` once it was seen to have loaded that. */
  readonly loaded: string | undefined;
}

const fileName = "written.json";

/** Undefined where there is none, or where it is damaged. */
export async function readWrittenRecord(host: Host, directory: string): Promise<WrittenRecord | undefined> {
  const file = await host.readFile(join(directory, fileName));
  if (file === undefined) return undefined;
  try {
    const { written, replaced, loaded } = JSON.parse(file.bytes.toString("utf8")) as Record<string, unknown>;
    return isFileHash(written) ? { written, replaced: hashOrNone(replaced), loaded: hashOrNone(loaded) } : undefined;
  } catch {
    return undefined;
  }
}

/** Needs the host's lock. */
export async function keepWrittenRecord(host: Host, directory: string, record: WrittenRecord): Promise<void> {
  const path = join(directory, fileName);
  const bytes = Buffer.from(`${JSON.stringify(record)}\n`);
  const present = await host.readFile(path);
  if (present?.bytes.equals(bytes)) return;
  await replaceFile(host, { path, expectedHash: present && fileHash(present.bytes), bytes, mode: 0o600 });
}

/** The record to keep before `written` is put in the place of `replaced`. Without `loaded` what was known before stays known. */
export function nextRecord(
  before: WrittenRecord | undefined,
  { written, replaced, loaded }: WrittenRecord,
): WrittenRecord {
  return { written, replaced, loaded: loaded ?? lastLoaded(before, replaced) };
}

/** What a server whose file is `present` can go back to, by the record alone; undefined where that is its file already. */
export function fallbackHash(record: WrittenRecord | undefined, present: string | undefined): string | undefined {
  const hash = lastLoaded(record, present);
  return hash === present ? undefined : hash;
}

/** Under a file that is not the engine's, the one that the engine wrote last. */
function lastLoaded(record: WrittenRecord | undefined, present: string | undefined): string | undefined {
  if (record === undefined) return undefined;
  return present === record.written || present === record.replaced ? record.loaded : record.written;
}

function hashOrNone(value: unknown): string | undefined {
  return isFileHash(value) ? value : undefined;
}
