/** A host in memory whose engine can be killed before, in the middle of, or after any step, as a power switch would do it. */
import type { Duplex } from "node:stream";
import { KmsEtcdError } from "../../../../core/errors";
import type { Host, HostFile } from "../../../../rotation/adapters/hosts/host";
import type { LockIdentity } from "../../../../rotation/adapters/hosts/host-lock";
import type { LockOwner } from "../../../../rotation/adapters/hosts/lock-owner";

export class Killed extends Error {}

/** What outlives an engine: the files, and the host's clock. */
export interface MemoryDisk {
  readonly files: Map<string, HostFile>;
  now: number;
}

export function memoryDisk(files: Readonly<Record<string, string>> = {}): MemoryDisk {
  const disk: MemoryDisk = { files: new Map(), now: 1_000_000 };
  for (const [path, text] of Object.entries(files)) put(disk, path, Buffer.from(text), 0o600);
  return disk;
}

export function put(disk: MemoryDisk, path: string, bytes: Buffer, mode: number): void {
  disk.now += 10;
  disk.files.set(path, { bytes, mode, owner: { uid: 0, gid: 0 }, modifiedAt: disk.now });
}

export function textOf(disk: MemoryDisk, path: string): string | undefined {
  return disk.files.get(path)?.bytes.toString("utf8");
}

export type KillMode = "before" | "middle" | "after";

export interface Kill {
  /** The how-manieth step that changes something, from 0. */
  readonly step: number;
  readonly mode: KillMode;
}

export interface MemoryHost extends Host {
  /** Steps that have changed something. */
  steps(): number;
}

/** `turn` runs before every step: another engine may get its turn there. */
export function memoryHost(
  disk: MemoryDisk,
  kill?: Kill,
  turn: () => Promise<void> = async () => {},
  name = "cp1",
): MemoryHost {
  let steps = 0;
  let dead = false;

  async function look<T>(work: () => T): Promise<T> {
    await turn();
    if (dead) throw new Killed();
    return work();
  }

  async function change<T>(work: () => T, half?: () => void): Promise<T> {
    await turn();
    if (dead) throw new Killed();
    const now = kill?.step === steps++;
    if (now && kill.mode !== "after") {
      if (kill.mode === "middle") half?.();
      dead = true;
      throw new Killed();
    }
    const result = work();
    if (now) {
      dead = true;
      throw new Killed();
    }
    return result;
  }

  return {
    name,
    steps: () => steps,
    readFile: (path) => look(() => disk.files.get(path)),
    listFiles: (directory) =>
      look(() =>
        [...disk.files.keys()]
          .filter((path) => path.startsWith(`${directory}/`) && !path.slice(directory.length + 1).includes("/"))
          .map((path) => path.slice(directory.length + 1)),
      ),
    makeDirectory: () => change(() => {}),
    createFile: (path, bytes, mode) =>
      change(
        () => {
          if (disk.files.has(path)) throw new KmsEtcdError("conflict", `${name}: ${path} exists`);
          put(disk, path, Buffer.from(bytes), mode);
        },
        () => put(disk, path, Buffer.from(bytes.subarray(0, bytes.length >> 1)), mode),
      ),
    rename: (from, to) =>
      change(() => {
        const file = disk.files.get(from);
        if (file === undefined) throw new KmsEtcdError("not-found", `${name}: no ${from}`);
        disk.files.delete(from);
        disk.files.set(to, file);
      }),
    removeFile: (path) => change(() => disk.files.delete(path)),
    syncDirectory: () => change(() => {}),
    dialSocket: async (): Promise<Duplex> => {
      throw new KmsEtcdError("unreachable", `${name}: no sockets here`);
    },
    close: async () => {},
  };
}

/** Engines as lock owners; those in `dead` have been killed. */
export function lockIdentity(engine: number, dead: ReadonlySet<number> = new Set()): LockIdentity {
  let nonce = 0;
  return {
    own: (): LockOwner => ({ machine: "0a", pid: engine, startedAt: "1", nonce: `${engine}${(nonce++).toString(16)}` }),
    isAlive: (owner) => !dead.has(owner.pid),
  };
}
