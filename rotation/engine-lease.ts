/**
 * One engine at a time: whoever starts a second one is told who is at work, instead of finding the two undoing each other's
 * files. On one host safety does not rest on it: every file replacement is a compare-and-swap under the host's own lock
 * (invariant 11). The order of steps across hosts does. So an engine that is not allowed to keep the Lease refuses to work,
 * and one that cannot have it because no API server answers, which is when repair is needed most, repairs and goes no further
 * until it has it.
 */
import { describeError, type ErrorCode, KmsEtcdError } from "../core/errors";
import { type Clock, systemClock } from "./clock";

/** Who is at work, as the cluster has it written down. Times are milliseconds since the epoch by the cluster's own clock. */
export interface LeaseRecord {
  readonly holder: string;
  readonly acquiredAt: number;
  readonly renewedAt: number;
  /** How long it holds without being renewed. */
  readonly duration: number;
  /** When it was read. */
  readonly now: number;
  /** What a replacement is compared with. */
  readonly version: string;
}

/** Port: the record in the cluster. Methods throw KmsEtcdError where the cluster gives no answer. */
export interface EngineLease {
  /** Undefined where there is none. */
  read(signal: AbortSignal): Promise<LeaseRecord | undefined>;
  /** Puts `holder` in the place of `expected`, or where there was none. Undefined: it is not as expected any more. */
  write(expected: LeaseRecord | undefined, holder: string, signal: AbortSignal): Promise<LeaseRecord | undefined>;
  /** Removes `expected`; nothing happens where it is not there any more. */
  remove(expected: LeaseRecord, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** This engine, and what can be known of others without asking them. */
export interface EngineIdentity {
  readonly holder: string;
  /** Whether the process behind a holder lives; undefined where only time can tell. */
  isAlive(holder: string): boolean | undefined;
}

export interface EngineLeaseOptions {
  readonly lease: EngineLease;
  readonly identity: EngineIdentity;
  /** Take the Lease whoever holds it. The other engine stops at its next safe point. */
  readonly breakLease?: boolean;
  /** Work without the Lease where it cannot be had: whoever says so sees to it that there is no second engine. */
  readonly withoutLease?: boolean;
  readonly onEvent: (kind: "waiting" | "warning", message: string) => void;
  readonly signal: AbortSignal;
  /** Real time, also where the engine runs in virtual time. @default the system's */
  readonly clock?: Clock;
}

/** How long a Lease holds without being renewed: as long as a killed engine keeps the next one waiting, and no longer. */
export const leaseDuration = 15_000;
const renewInterval = leaseDuration / 3;
const lookInterval = 1_000;
/** How often a wait that goes on is said again. */
const sayAgain = 5_000;
/** By the clocks of several API servers; they may differ by less than this. An older record is nobody's at first sight. */
const forgottenAfter = 60_000;
/** Letting go is a courtesy too. */
const releaseTimeout = 5_000;

/** What a Lease's holder is called in messages: without what only tells processes apart. */
export function describeHolder(holder: string): string {
  return holder.replace(/ \[[^\]]*\]$/, "");
}

/** What the work can ask about its Lease. */
export interface HeldLease {
  /** Who has taken the Lease from this engine. */
  lostTo(): string | undefined;
  /** Why this engine cannot be sure to be alone now; undefined while it holds the Lease, or was told to do without. */
  missing(): string | undefined;
}

/**
 * Runs `work` with the Lease. `work`'s signal is aborted when the caller's is, and when another engine has taken the Lease.
 * Throws `conflict` while another one is at work, `cancelled` when stopped before `work` began, and what the API servers say
 * where they refuse the Lease. Where none answers, `work` begins without it and is told by `missing`.
 */
export async function withEngineLease<T>(
  options: EngineLeaseOptions,
  work: (signal: AbortSignal, held: HeldLease) => Promise<T>,
): Promise<T> {
  const { signal } = options;
  const held = await take(options);
  const stop = new AbortController();
  const working = new AbortController();
  const abort = () => working.abort(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  const keeper = keep(options, held, stop.signal, () => working.abort());
  try {
    return await work(working.signal, keeper);
  } finally {
    signal.removeEventListener("abort", abort);
    stop.abort();
    await keeper.ended;
    // Not released: the next engine sees that this process is gone, or waits for one duration.
    await letGo(options).catch(() => undefined);
  }
}

/** Looks first: a renewal that was cut off may have been carried out, and the record then is newer than what was heard of it. */
async function letGo({ lease, identity }: EngineLeaseOptions): Promise<void> {
  const limit = AbortSignal.timeout(releaseTimeout);
  const seen = await lease.read(limit);
  if (seen?.holder === identity.holder) await lease.remove(seen, limit);
}

/** The record that was written, or why the cluster gives none. */
async function take(options: EngineLeaseOptions): Promise<LeaseRecord | { readonly problem: string }> {
  const { lease, identity, onEvent, signal, breakLease = false, withoutLease = false, clock = systemClock } = options;
  const isStopped = () => signal.aborted;
  let first: { readonly seen: LeaseRecord; readonly at: number } | undefined;
  let said = Number.NEGATIVE_INFINITY;
  for (;;) {
    if (isStopped()) throw new KmsEtcdError("cancelled", "stopped while waiting for another engine");
    try {
      const seen = await lease.read(signal);
      if (seen?.holder === identity.holder) return seen;
      const waited = first === undefined ? 0 : clock.now() - first.at;
      const alive = seen !== undefined && !isFree(seen, identity) && waited < seen.duration;
      if (!alive || breakLease) {
        const written = await lease.write(seen, identity.holder, signal);
        if (written === undefined) continue;
        if (alive)
          onEvent("warning", `took the Lease from ${describeHolder(seen.holder)}, which had renewed it ${ago(seen)}`);
        return written;
      }
      if (identity.isAlive(seen.holder) === true || isRenewed(first?.seen, seen)) throw atWork(seen);
      first ??= { seen, at: clock.now() };
      if (clock.now() - said >= sayAgain) {
        said = clock.now();
        const left = Math.ceil((seen.duration - waited) / 1_000);
        const holder = describeHolder(seen.holder);
        onEvent("waiting", `${holder} was at work ${ago(seen)}; if it is gone, its Lease ends in ${left} s`);
      }
    } catch (thrown) {
      if (isStopped()) continue;
      if (!(thrown instanceof KmsEtcdError) || thrown.code === "conflict") throw thrown;
      if (!noAnswer.has(thrown.code) && !withoutLease) throw refusedLease(thrown);
      const until = withoutLease ? "" : ", for repairs only until it can be had";
      onEvent("warning", `going on without the Lease that keeps a second engine out${until}: ${describeError(thrown)}`);
      return { problem: describeError(thrown) };
    }
    await clock.sleep(lookInterval, signal);
  }
}

interface Keeper extends HeldLease {
  /** Resolves after `stop`, when nothing is renewed any more. */
  readonly ended: Promise<void>;
}

/** Renews until `stop`, and tries to have the Lease where it could not be had. */
function keep(
  { lease, identity, onEvent, withoutLease = false, clock = systemClock }: EngineLeaseOptions,
  taken: LeaseRecord | { readonly problem: string },
  stop: AbortSignal,
  onLost: () => void,
): Keeper {
  let lost: string | undefined;
  const lostTo = () => lost;
  const isStopped = () => stop.aborted;
  const held = "problem" in taken ? undefined : taken;
  let own = held;
  let goodUntil = held === undefined ? 0 : clock.now() + leaseDuration;
  let isSaid = held === undefined;
  let problem = "problem" in taken ? taken.problem : "";

  async function renew(): Promise<LeaseRecord | undefined> {
    const renewed = own && (await lease.write(own, identity.holder, stop));
    if (renewed !== undefined) return renewed;
    // Someone rewrote, deleted or took it, or a restored etcd has brought an older one back.
    const seen = await lease.read(stop);
    if (seen === undefined || seen.holder === identity.holder || isFree(seen, identity)) {
      return lease.write(seen, identity.holder, stop);
    }
    lost = describeHolder(seen.holder);
    return undefined;
  }

  async function loop(): Promise<void> {
    for (;;) {
      await clock.sleep(renewInterval, stop);
      if (isStopped()) return;
      try {
        const renewed = await renew();
        if (lostTo() !== undefined) {
          onLost();
          return;
        }
        if (renewed === undefined) continue;
        own = renewed;
        goodUntil = clock.now() + leaseDuration;
        isSaid = false;
      } catch (thrown) {
        problem = describeError(thrown);
        // While an API server restarts, a renewal or two may fail; a Lease that has run out is worth a word, once.
        if (isStopped() || isSaid || clock.now() < goodUntil) continue;
        isSaid = true;
        onEvent("warning", `the Lease that keeps a second engine out has run out: ${problem}`);
      }
    }
  }

  const missing = () => (withoutLease || clock.now() < goodUntil ? undefined : problem);
  return { lostTo, missing, ended: loop() };
}

/** Then nobody says whether another engine is at work; anything else is an answer. */
const noAnswer: ReadonlySet<ErrorCode> = new Set(["unreachable", "timeout", "throttled"]);

function refusedLease(thrown: KmsEtcdError): KmsEtcdError {
  const remedy = thrown.remedy ?? "see why the API servers refuse it";
  return new KmsEtcdError(thrown.code, `the Lease that keeps a second engine out is refused: ${thrown.message}`, {
    remedy: `${remedy}; where no second engine can be, --without-lease (withoutLease of an EncryptionRollout) does without`,
    cause: thrown,
  });
}

/** Nobody's: its process is known to have ended, or it is older than clocks can differ. */
function isFree(record: LeaseRecord, identity: EngineIdentity): boolean {
  return (
    record.holder === "" || identity.isAlive(record.holder) === false || record.now - record.renewedAt > forgottenAfter
  );
}

/** Watched by our own clock, so that clocks need not agree: it changed while we looked, so its holder lives. */
function isRenewed(first: LeaseRecord | undefined, seen: LeaseRecord): boolean {
  return first !== undefined && (first.holder !== seen.holder || first.renewedAt !== seen.renewedAt);
}

function atWork(seen: LeaseRecord): KmsEtcdError {
  const since = new Date(seen.acquiredAt).toISOString();
  return new KmsEtcdError(
    "conflict",
    `another engine is at work on this cluster: ${describeHolder(seen.holder)}, since ${since}`,
    {
      remedy:
        "let it finish, or end it, then run again; `kms-etcd rotate --break-lease` takes over from one that cannot be ended",
    },
  );
}

function ago({ now, renewedAt }: LeaseRecord): string {
  return `${Math.max(0, Math.round((now - renewedAt) / 1_000))} s ago`;
}
