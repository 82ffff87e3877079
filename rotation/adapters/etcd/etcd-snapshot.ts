/**
 * A snapshot of etcd as a file (etcdserverpb Maintenance.Snapshot), as `etcdctl snapshot save` makes it: the database and, in
 * its last 32 bytes, the SHA-256 over it, which a restore checks again. What is there under the final name is whole.
 */
import { createHash } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { describeError, KmsEtcdError } from "../../../core/errors";
import { ProtobufReader } from "../../../core/protobuf";
import type { Progress } from "../../stored-objects";
import type { GrpcMethod } from "../grpc/grpc-connection";
import type { EtcdConnections } from "./etcd-connections";

export interface SavedSnapshot {
  readonly bytes: number;
  /** SHA-256 of the file as it is, in hexadecimal. */
  readonly sha256: string;
}

interface SnapshotPart {
  readonly remaining: number;
  readonly blob: Uint8Array;
}

const snapshotMethod: GrpcMethod<undefined, SnapshotPart> = {
  path: "/etcdserverpb.Maintenance/Snapshot",
  requestSerialize: () => Buffer.alloc(0),
  responseDeserialize: decodePart,
};

const digestLength = 32;

/** What a snapshot is called while it is being written. */
export function unfinishedName(name: string): string {
  return `.${name}.unfinished`;
}

/**
 * `before` runs before the snapshot gets its name. Throws `corrupt` where the content does not fit its own SHA-256; then there
 * is no file.
 */
export async function saveSnapshot(
  etcd: EtcdConnections,
  file: string,
  before: (saved: SavedSnapshot) => Promise<void>,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<SavedSnapshot> {
  const unfinished = join(dirname(file), unfinishedName(basename(file)));
  try {
    const saved = await download(etcd, unfinished, onProgress, signal);
    await before(saved);
    await rename(unfinished, file);
    await syncDirectory(dirname(file));
    return saved;
  } catch (thrown) {
    if (thrown instanceof KmsEtcdError) throw thrown;
    throw new KmsEtcdError("unsupported", `the etcd snapshot ${file} cannot be written: ${describeError(thrown)}`, {
      remedy: "name a directory that the engine may write to and that has room for the whole database",
    });
  } finally {
    await rm(unfinished, { force: true });
  }
}

async function download(
  etcd: EtcdConnections,
  path: string,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<SavedSnapshot> {
  await rm(path, { force: true });
  // wx and 0600 at once: nobody else can have opened it, and Secrets of kinds that are not encrypted are in it.
  const handle = await open(path, "wx", 0o600);
  const content = createHash("sha256");
  const whole = createHash("sha256");
  let tail = Buffer.alloc(0);
  let bytes = 0;
  try {
    await etcd.stream(
      snapshotMethod,
      undefined,
      async ({ blob, remaining }) => {
        await handle.writeFile(blob);
        whole.update(blob);
        bytes += blob.length;
        // The digest may be cut anywhere, so the last 32 bytes are held back.
        const held = Buffer.concat([tail, blob]);
        const end = Math.max(held.length - digestLength, 0);
        content.update(held.subarray(0, end));
        tail = Buffer.from(held.subarray(end));
        onProgress({ done: bytes, total: bytes + remaining });
      },
      signal,
    );
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (bytes <= digestLength || !content.digest().equals(tail)) {
    throw new KmsEtcdError("corrupt", `the etcd snapshot of ${bytes} bytes does not fit the SHA-256 at its end`, {
      remedy: "run again; if it stays so, see whether etcd is healthy",
    });
  }
  return { bytes, sha256: whole.digest("hex") };
}

function decodePart(bytes: Buffer): SnapshotPart {
  const reader = new ProtobufReader(bytes);
  let remaining = 0;
  let blob: Uint8Array = Buffer.alloc(0);
  while (reader.next()) {
    if (reader.field === 2) remaining = reader.varint();
    else if (reader.field === 3) blob = reader.view();
    else reader.skip();
  }
  return { remaining, blob };
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
