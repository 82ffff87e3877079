/** One process at a time, across processes: a lock that its owner's death releases. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { lock } from "proper-lockfile";
import { KmsEtcdError } from "../core/errors";

const defaultStaleSeconds = 10;
/** How often an owner says that it lives. */
const touchMilliseconds = 1_000;
const retryMilliseconds = 250;

/** What the lock is called in the directory that it locks. */
export const lockName = ".lock";

export interface LockOptions {
  /** Called about once a second while another process has the lock. */
  readonly onWait?: (seconds: number) => void;
  readonly signal?: AbortSignal;
  /** A lock whose owner has not touched it for so long belongs to nobody. At least 2. @default 10 */
  readonly staleSeconds?: number;
}

/** Runs `work` while no other process holds the lock of `directory`, which is made when it is not there. */
export async function withLock<T>(directory: string, work: () => Promise<T>, options: LockOptions = {}): Promise<T> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  let lost: (reason: Error) => void = () => undefined;
  const compromised = new Promise<never>((_, reject) => {
    lost = reject;
  });
  compromised.catch(() => undefined); // it may come when nobody waits for it any more
  const release = await acquire(directory, options, (cause) =>
    lost(
      new KmsEtcdError("conflict", `the lock of ${directory} was lost: this process stood still for too long`, {
        cause,
        remedy: "run it again",
      }),
    ),
  );
  try {
    return await Promise.race([work(), compromised]);
  } finally {
    await release().catch(() => undefined);
  }
}

async function acquire(
  directory: string,
  options: LockOptions,
  onCompromised: (cause: Error) => void,
): Promise<() => Promise<void>> {
  const begun = Date.now();
  let reported = 0;
  for (;;) {
    options.signal?.throwIfAborted();
    try {
      return await lock(directory, {
        realpath: false,
        lockfilePath: join(directory, lockName),
        stale: (options.staleSeconds ?? defaultStaleSeconds) * 1_000,
        update: touchMilliseconds,
        onCompromised,
      });
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "ELOCKED") throw thrown;
    }
    const seconds = Math.floor((Date.now() - begun) / 1000);
    if (seconds > reported) {
      reported = seconds;
      options.onWait?.(seconds);
    }
    await delay(retryMilliseconds, undefined, { ...(options.signal && { signal: options.signal }) });
  }
}
