/**
 * Every encryption configuration that was ever in place or was written by the engine, kept on the host by its hash, so that the
 * one an API server has loaded can be read, and put back, when the file is another by now. 0600: it may hold key material.
 */
import { join } from "node:path";
import { KmsEtcdError } from "../../../core/errors";
import { fileHash } from "./file-hash";
import type { Host } from "./host";
import { replaceFile } from "./replace-file";

/** Keeps the bytes. Needs the host's lock. A damaged backup with the same name is replaced. */
export async function keepBackup(host: Host, directory: string, bytes: Uint8Array): Promise<void> {
  const hash = fileHash(bytes);
  const path = backupPath(directory, hash);
  const present = await host.readFile(path);
  if (present !== undefined && fileHash(present.bytes) === hash) return;
  await replaceFile(host, { path, expectedHash: present && fileHash(present.bytes), bytes, mode: 0o600 });
}

/** The bytes with this hash; undefined without a backup, or where it is damaged. */
export async function readBackup(host: Host, directory: string, hash: string): Promise<Buffer | undefined> {
  const file = await host.readFile(backupPath(directory, hash));
  return file !== undefined && fileHash(file.bytes) === hash ? file.bytes : undefined;
}

function backupPath(directory: string, hash: string): string {
  const hex = /^sha256:([0-9a-f]{64})$/.exec(hash)?.[1];
  if (hex === undefined) throw new KmsEtcdError("invalid-input", `"${hash}" is not a hash of the form sha256:<hex>`);
  return join(directory, `${hex}.yaml`);
}
