/**
 * A pod's log: one file, readable by its owner only (API servers log request paths, which name Secrets), kept below a size.
 * Pods write to the file themselves, so it is cut by copying and truncating; lines written in between may be lost.
 */
import { closeSync, copyFileSync, fchmodSync, openSync, statSync, truncateSync } from "node:fs";

const largestBytes = 20 * 1024 * 1024;

export interface OpenLog {
  readonly fd: number;
  close(): void;
}

/** Opens for appending; after a truncation the next line lands at the start of the file because of it. */
export function openLog(file: string): OpenLog {
  const fd = openSync(file, "a", 0o600);
  fchmodSync(fd, 0o600);
  return { fd, close: () => closeSync(fd) };
}

/** Moves what is there to `<file>.1` once the log is larger than `limit` bytes. */
export function trimLog(file: string, limit = largestBytes): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined || stat.size <= limit) return;
  copyFileSync(file, `${file}.1`);
  truncateSync(file, 0);
}
