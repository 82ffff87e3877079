/** Taking a set-up back: the file from before it returns, also when another engine did it, and however far that came. */
import { KmsEtcdError } from "../../../core/errors";
import { keepBackup, readBackup } from "./config-backups";
import { fileHash } from "./file-hash";
import type { FleetHost } from "./fleet-host";
import { apiServerDefinition, applyDefinition, noDefinition } from "./read-api-server";
import { removeExpected, replaceFile } from "./replace-file";
import { isInPlace, keepSetUpRecord, noFile, presentHash, readSetUpRecord, removeSetUpRecord } from "./set-up-record";

/** Needs the host's lock. Does nothing without a record of a set-up. Throws `conflict` where somebody has changed the file since. */
export async function undoSetUp(at: FleetHost): Promise<void> {
  const { host, backupDirectory } = at;
  const record = await readSetUpRecord(at);
  if (record === undefined) return;
  const definition = await apiServerDefinition(at);
  if (definition === undefined) throw new KmsEtcdError("not-found", `${host.name}: ${noDefinition(at)}`);
  const { path, bytes: present } = definition;
  const { replaced } = record;
  if (!isInPlace(record, presentHash(present))) {
    throw new KmsEtcdError("conflict", `${host.name}: ${path} is not what it was set up with any more`, {
      remedy: "someone else changed it: find out who, then run again, which looks at the new file first",
    });
  }
  if (presentHash(present) !== replaced) {
    const before = replaced === noFile ? undefined : await readBackup(host, backupDirectory, replaced);
    if (before === undefined && replaced !== noFile) {
      throw new KmsEtcdError("not-found", `${host.name}: ${backupDirectory} has no backup of ${path} (${replaced})`, {
        remedy: `put back to ${path} by hand what was there before the engine set the API server up, then run again`,
      });
    }
    // What the server did not start with can be looked at afterwards.
    if (present !== undefined) await keepBackup(host, backupDirectory, present);
    await keepSetUpRecord(at, { ...record, undoing: true });
    const expectedHash = present && fileHash(present);
    if (before !== undefined) await replaceFile(host, { path, expectedHash, bytes: before, mode: 0o600 });
    else if (expectedHash !== undefined) await removeExpected(host, path, expectedHash);
  }
  await applyDefinition(at);
  await removeSetUpRecord(at);
}
