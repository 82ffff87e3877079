/** Etcd snapshots in a directory of the machine that the engine runs on, each with the record of the keys that it needs. */
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { describeError, KmsEtcdError } from "../../../core/errors";
import type { StoredKey, TakenSnapshot } from "../../observation";
import {
  isRecordName,
  parseSnapshotRecord,
  recordName,
  type SnapshotRecord,
  snapshotNeeds,
} from "../../snapshot-record";
import type { Progress, SnapshotRequest } from "../../stored-objects";
import { writeWholeFile } from "../whole-file";
import type { EtcdConnections } from "./etcd-connections";
import { etcdPosition } from "./etcd-maintenance";
import { type SavedSnapshot, saveSnapshot, unfinishedName } from "./etcd-snapshot";

/** `countAll` counts every value that this etcd holds, by its key. The record is there before the snapshot is. */
export async function keepSnapshot(
  etcd: EtcdConnections,
  { directory, writers }: SnapshotRequest,
  countAll: () => Promise<{ readonly keys: readonly StoredKey[]; readonly unknown: number }>,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<TakenSnapshot> {
  const position = await etcdPosition(etcd, signal);
  const takenAt = new Date();
  const prefix = `etcd-${position.clusterId}-`;
  await prepare(directory, prefix);
  const counted = await countAll();
  const snapshot = `${prefix}${position.revision}-${takenAt.toISOString().replace(/[-:]|\.\d+/g, "")}.db`;
  const recordOf = (saved: SavedSnapshot): SnapshotRecord => ({
    formatVersion: 1,
    snapshot,
    ...saved,
    takenAt: takenAt.toISOString(),
    clusterId: position.clusterId,
    revision: position.revision,
    needs: snapshotNeeds(counted.keys, writers),
    unknown: counted.unknown,
  });
  const saved = await saveSnapshot(
    etcd,
    join(directory, snapshot),
    (done) =>
      writeWholeFile(
        join(directory, recordName(snapshot)),
        join(directory, unfinishedName(recordName(snapshot))),
        `${JSON.stringify(recordOf(done), undefined, 2)}\n`,
      ),
    onProgress,
    signal,
  );
  return { directory, record: recordOf(saved), etcd: position };
}

/** Makes the directory, and removes what an engine left that was killed while it wrote a snapshot of this cluster. */
async function prepare(directory: string, prefix: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(directory)) {
      if (name.startsWith(`.${prefix}`)) await rm(join(directory, name), { force: true });
    }
  } catch (thrown) {
    throw new KmsEtcdError("unsupported", `etcd snapshots cannot be kept in ${directory}: ${describeError(thrown)}`, {
      remedy: "name a directory that the engine may write to",
    });
  }
}

/** Every kept snapshot's record, and the directories of which nothing can be said: their snapshots may need any key. */
interface KeptSnapshots {
  readonly snapshots: readonly SnapshotRecord[];
  readonly unseenSnapshots: readonly string[];
}

/** A directory that is not there may be on another machine, or not mounted: that is not the same as an empty one. */
export async function keptSnapshots(directories: readonly string[]): Promise<KeptSnapshots> {
  const looks = await Promise.all(
    [...new Set(directories)].map(async (directory) => ({ directory, records: await readSnapshotRecords(directory) })),
  );
  return {
    snapshots: looks.flatMap(({ records }) => records ?? []),
    unseenSnapshots: looks.flatMap(({ directory, records }) => (records === undefined ? [directory] : [])),
  };
}

/**
 * The records of the snapshots in `directory`; undefined where there is no such directory. A record counts as long as it is
 * there, because the snapshot itself may be kept elsewhere. Throws `corrupt` for a record that cannot be understood, because
 * the snapshot beside it may need any key.
 */
export async function readSnapshotRecords(directory: string): Promise<readonly SnapshotRecord[] | undefined> {
  let names: readonly string[];
  try {
    names = (await readdir(directory)).filter(isRecordName).sort();
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new KmsEtcdError("unreachable", `${directory} cannot be listed: ${describeError(thrown)}`, { cause: thrown });
  }
  return Promise.all(
    names.map(async (name) => {
      try {
        return parseSnapshotRecord(await readFile(join(directory, name), "utf8"));
      } catch (thrown) {
        throw new KmsEtcdError("corrupt", `${join(directory, name)} cannot be read: ${describeError(thrown)}`, {
          remedy: "put it back from where the snapshots are kept, or remove it together with its snapshot",
        });
      }
    }),
  );
}
