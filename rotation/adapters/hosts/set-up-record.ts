/**
 * What a set-up put in the place of what, kept beside the backups from before it is done until its server has been seen well
 * with it. Whoever wrote a manifest with which the server does not start may have been cut off or killed before it could take
 * that back, and nobody else would know how. It is evidence and no step: it counts only while the file that is there is one
 * that it speaks of.
 */
import { join } from "node:path";
import { fileHash, isFileHash } from "./file-hash";
import type { FleetHost } from "./fleet-host";
import { removeExpected, replaceFile } from "./replace-file";

/** Stands for a hash where there was no file. */
export const noFile = "no file";

export interface SetUpRecord {
  /** Hashes of what the engine has put there: the set-up, and the same with later requests to restart. */
  readonly written: readonly string[];
  /** Hash of what was there before, of which there is a backup, or `noFile`. */
  readonly replaced: string;
  /** It is being taken back: what was there before may be back in its place, and not yet in force. */
  readonly undoing?: true;
}

type Place = Pick<FleetHost, "host" | "backupDirectory">;

/** The file's hash, or `noFile`. */
export function presentHash(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? noFile : fileHash(bytes);
}

/** Undefined where there is none, or where it is damaged. */
export async function readSetUpRecord(at: Place): Promise<SetUpRecord | undefined> {
  const file = await at.host.readFile(pathOf(at));
  if (file === undefined) return undefined;
  try {
    const { written, replaced, undoing } = JSON.parse(file.bytes.toString("utf8")) as Record<string, unknown>;
    if (!Array.isArray(written) || !written.every(isFileHash) || !(replaced === noFile || isFileHash(replaced)))
      return undefined;
    return { written, replaced, ...(undoing === true && { undoing }) };
  } catch {
    return undefined;
  }
}

/** Needs the host's lock. */
export async function keepSetUpRecord(at: Place, record: SetUpRecord): Promise<void> {
  const path = pathOf(at);
  const present = await at.host.readFile(path);
  const bytes = Buffer.from(`${JSON.stringify(record)}\n`);
  await replaceFile(at.host, { path, expectedHash: present && fileHash(present.bytes), bytes, mode: 0o600 });
}

/** The server has been seen well with it, or it has been taken back. Needs the host's lock. */
export async function removeSetUpRecord(at: Place): Promise<void> {
  const path = pathOf(at);
  const present = await at.host.readFile(path);
  if (present !== undefined) await removeExpected(at.host, path, fileHash(present.bytes));
}

/** Whether the file that is there, by its `presentHash`, is what the set-up left, or what is left of it while it is taken back. */
export function isInPlace(record: SetUpRecord | undefined, present: string): record is SetUpRecord {
  if (record === undefined) return false;
  return record.written.includes(present) || (record.undoing === true && record.replaced === present);
}

/** The record to keep before a set-up puts `written` in the place of `present`. One on top of another goes back to before both. */
export function nextSetUpRecord(before: SetUpRecord | undefined, present: string, written: string): SetUpRecord {
  if (before?.written.includes(present) !== true) return { written: [written], replaced: present };
  return { written: [...before.written, written], replaced: before.replaced };
}

function pathOf({ backupDirectory }: Place): string {
  return join(backupDirectory, "set-up.json");
}
