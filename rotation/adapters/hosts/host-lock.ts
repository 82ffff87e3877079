/**
 * One writer a host at a time, so that two engines' compare-and-swaps cannot interleave. Each contender makes a file of its
 * own and then looks for others; because making comes before looking, two can't both see themselves alone. No file is
 * ever taken over, so a dead owner's file can be removed by anyone at any time.
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KmsEtcdError } from "../../../core/errors";
import type { Host } from "./host";
import { isAlive, type LockOwner, lockFileName, ownLock, parseLockFileName } from "./lock-owner";

export interface LockSettings {
  /** How long to wait for another engine, in milliseconds. @default 15_000 */
  readonly patience?: number;
  /** A lock from another machine is dead when it is older than this by the host's clock. A write takes less than a second. @default 60_000 */
  readonly abandonedAfter?: number;
  /** Who asks, and who of the others lives. @default this process */
  readonly identity?: LockIdentity;
}

export interface LockIdentity {
  own(): LockOwner;
  isAlive(owner: LockOwner): boolean | undefined;
}

const thisProcess: LockIdentity = { own: ownLock, isAlive };

/** The locks that this process has now: one of its files that is not among them was left when a connection was cut. */
const held = new Set<string>();

/** Runs `action` while no other engine writes on this host. `directory` is made if it is missing. Throws `conflict` out of patience. */
export async function withHostLock<T>(
  host: Host,
  directory: string,
  action: () => Promise<T>,
  { patience = 15_000, abandonedAfter = 60_000, identity = thisProcess }: LockSettings = {},
): Promise<T> {
  await host.makeDirectory(directory);
  const deadline = Date.now() + patience;
  for (let attempt = 1; ; attempt++) {
    const name = lockFileName(identity.own());
    let ended = false;
    held.add(name);
    try {
      await host.createFile(join(directory, name), new Uint8Array(), 0o600);
      const other = await liveRival(host, directory, name, abandonedAfter, identity);
      if (other === undefined) {
        const result = await action();
        ended = true;
        return result;
      }
      if (Date.now() > deadline) {
        throw new KmsEtcdError("conflict", `${host.name}: another engine is writing (${join(directory, other)})`, {
          remedy: "let it finish, or end it, and run again",
        });
      }
    } finally {
      held.delete(name);
      // The file is nobody's from now on. Where the action failed because the connection is gone, that is what there is to say.
      const removing = host.removeFile(join(directory, name));
      await (ended ? removing : removing.catch(() => false));
    }
    // Two that saw each other both step back; a random time lets one of them go first.
    await delay(Math.min(20 * attempt, 250) * (0.5 + Math.random()));
  }
}

/** The name of a lock whose owner lives; locks of dead ones are removed on the way. */
async function liveRival(
  host: Host,
  directory: string,
  own: string,
  abandonedAfter: number,
  identity: LockIdentity,
): Promise<string | undefined> {
  let now: number | undefined;
  for (const name of await host.listFiles(directory)) {
    const owner = name === own ? undefined : parseLockFileName(name);
    if (owner === undefined) continue;
    let alive = isOfThisProcess(owner, name) ? held.has(name) : identity.isAlive(owner);
    if (alive === undefined) {
      const file = await host.readFile(join(directory, name));
      if (file === undefined) continue;
      // Our own lock was made a moment ago: its time is the host's clock, which need not be ours.
      now ??= (await host.readFile(join(directory, own)))?.modifiedAt ?? file.modifiedAt;
      alive = now - file.modifiedAt <= abandonedAfter;
    }
    if (alive) return name;
    await host.removeFile(join(directory, name));
  }
  return undefined;
}

/** Another machine's process may have the same pid; a name that this process made has its start in it too. */
function isOfThisProcess(owner: LockOwner, name: string): boolean {
  return lockFileName({ ...ownLock(), nonce: owner.nonce }) === name;
}
