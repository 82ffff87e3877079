/**
 * What a kept etcd snapshot needs to be readable: the record beside it, by which retiring a key version is refused while a
 * snapshot needs it, and by which people know which keys to keep with a backup. Counts and key ids, no object's name.
 */
import type { WriteKey } from "../core/write-key";

/** Persisted beside users' backups: never change the meaning of a property; a new meaning needs a new `formatVersion`. */
export interface SnapshotRecord {
  readonly formatVersion: 1;
  /** File name of the snapshot, beside the record. */
  readonly snapshot: string;
  readonly bytes: number;
  /** Of the snapshot's file, in hexadecimal. */
  readonly sha256: string;
  readonly takenAt: string;
  readonly clusterId: string;
  /** The snapshot is of this revision or one soon after it. */
  readonly revision: number;
  /** Every key that a value in it may have, with how many values had it at `revision`; plaintext is none. */
  readonly needs: readonly SnapshotNeed[];
  /** Values whose encryption could not be understood: which keys they need is not known. */
  readonly unknown: number;
}

export interface SnapshotNeed extends WriteKey {
  readonly objects: number;
}

/** File name of a snapshot's record. */
export function recordName(snapshot: string): string {
  return `${snapshot}.needs.json`;
}

export function isRecordName(name: string): boolean {
  return name.endsWith(".needs.json");
}

/** Throws where the text is no record: then it is not known what the snapshot needs. */
export function parseSnapshotRecord(text: string): SnapshotRecord {
  const record = JSON.parse(text) as Partial<SnapshotRecord>;
  const isRecord =
    record.formatVersion === 1 &&
    typeof record.snapshot === "string" &&
    typeof record.unknown === "number" &&
    Array.isArray(record.needs) &&
    record.needs.every(
      (need: Partial<SnapshotNeed>) => typeof need.provider === "string" && typeof need.objects === "number",
    );
  if (!isRecord) throw new Error(`it has not the form of a snapshot's record, version 1`);
  return record as SnapshotRecord;
}

/** What no look sees, for people: whether a backup needs a key is known of the snapshots that the engine has taken, and of no other. */
export function backupsNotLookedAt(directories: readonly string[]): string {
  return directories.length === 0
    ? "no directory of etcd snapshots is known (etcdSnapshot), so no backup of etcd is looked at before a key is retired: one that needs the key could not be read any more"
    : `before a key is retired, the records of etcd snapshots in ${directories.join(", ")} are looked at; backups of etcd that others have made are not`;
}

/** The same on a platform that keeps etcd to its machines. */
export const noBackupLookedAt =
  "no backup of etcd is looked at before a key is retired, the platform's own included: one that needs the key could not be read any more";

/** The needs of values with these counts, and of values that `writers` may have stored while the snapshot was taken. */
export function snapshotNeeds(
  counted: readonly { readonly key: WriteKey; readonly objects: number }[],
  writers: readonly WriteKey[],
): readonly SnapshotNeed[] {
  const needs = new Map<string, SnapshotNeed>();
  const add = ({ provider, keyId }: WriteKey, objects: number) => {
    if (provider === "identity") return;
    const id = `${provider} ${keyId ?? ""}`;
    const known = needs.get(id)?.objects ?? 0;
    needs.set(id, { provider, ...(keyId === undefined ? {} : { keyId }), objects: known + objects });
  };
  for (const { key, objects } of counted) add(key, objects);
  for (const writer of writers) {
    // A provider with another key_id has been counted: it is the same need.
    if (
      ![...needs.values()].some(
        (need) => need.provider === writer.provider && (writer.keyId ?? need.keyId) === need.keyId,
      )
    )
      add(writer, 0);
  }
  return [...needs.values()].sort((a, b) => (`${a.provider} ${a.keyId}` < `${b.provider} ${b.keyId}` ? -1 : 1));
}
