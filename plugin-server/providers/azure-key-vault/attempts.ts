/**
 * One call to a service, in as many attempts as fit into its time. An attempt that hangs does not cost the call: after a
 * while a second one starts beside it, and the first answer counts. That is safe for all calls here, because asking twice
 * changes nothing. The SDKs' own retries are off: they know no overall limit and wait 30 s where the API server waits 3.
 */
import { KmsEtcdError } from "../../../core/errors";

/** Why an attempt failed, and whether another one can help. */
export interface Failure {
  readonly error: KmsEtcdError;
  readonly retry: "never" | "later";
  /** How long the service asks to be left alone; undefined when it does not say. */
  readonly retryAfterMs?: number | undefined;
}

export type Outcome<T> = { readonly ok: T } | { readonly failed: Failure };

export interface AttemptLimits {
  /** The whole call ends within this time. */
  readonly limitMs: number;
  /** An attempt that is silent for so long gets a second one beside it. */
  readonly secondAfterMs: number;
  /** The first pause between attempts; each further one is twice as long. */
  readonly firstPauseMs: number;
}

/** How AbortSignal.timeout says that it was a limit that has passed. */
export function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === "TimeoutError";
}

/** Less time than this is not worth an attempt. */
const shortestAttemptMs = 50;

/** How long to wait after failure number `failures`, or undefined when the wait leaves no time for another attempt. */
export function pauseBefore(
  failure: Failure,
  failures: number,
  leftMs: number,
  firstPauseMs: number,
  random: number,
): number | undefined {
  if (failure.retry === "never") return undefined;
  // Half of the pause is random, so that three API servers which failed together do not come back together.
  const backOff = firstPauseMs * 2 ** (failures - 1) * (0.5 + random / 2);
  const pause = failure.retryAfterMs ?? backOff;
  return pause + shortestAttemptMs > leftMs ? undefined : pause;
}

/**
 * The first success of `attempt`. Rejects with the failure that ended the call, or when time is up with the last failure
 * seen, or else with `outOfTime()`. A `signal` of AbortSignal.timeout ends the call early in the same way; any other means
 * that the caller has gone. All attempts get one signal, which is aborted when the call is over before they are.
 */
export function inAttempts<T>(
  attempt: (signal: AbortSignal) => Promise<Outcome<T>>,
  outOfTime: () => KmsEtcdError,
  signal: AbortSignal,
  limits: AttemptLimits,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const deadline = performance.now() + limits.limitMs;
    let isOver = false;
    let running = 0;
    let failures = 0;
    let secondStarted = false;
    let lastFailure: Failure | undefined;
    let pauseTimer: NodeJS.Timeout | undefined;
    let secondTimer: NodeJS.Timeout | undefined;

    const finish = (settle: () => void): void => {
      if (isOver) return;
      for (const timer of [limitTimer, secondTimer, pauseTimer]) clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      isOver = true;
      settle();
      // Not for nothing: making the reason of an abort takes longer than the rest of a call's bookkeeping.
      if (running > 0) over.abort();
    };
    const giveUp = (): void => finish(() => reject(lastFailure?.error ?? outOfTime()));

    const start = (): void => {
      pauseTimer = undefined;
      running += 1;
      clearTimeout(secondTimer);
      if (!secondStarted) secondTimer = setTimeout(startSecond, limits.secondAfterMs);
      attempt(over.signal).then(ended, broke);
    };
    /** Not a failed attempt but a defect. */
    const broke = (thrown: unknown): void =>
      finish(() =>
        reject(thrown instanceof Error ? thrown : new Error("an attempt threw no error", { cause: thrown })),
      );
    const startSecond = (): void => {
      secondStarted = true;
      start();
    };
    const ended = (outcome: Outcome<T>): void => {
      running -= 1;
      if (isOver) return;
      if (running === 0) clearTimeout(secondTimer);
      if ("ok" in outcome) {
        finish(() => resolve(outcome.ok));
        return;
      }
      lastFailure = outcome.failed;
      failures += 1;
      const left = deadline - performance.now();
      const pause = pauseBefore(outcome.failed, failures, left, limits.firstPauseMs, Math.random());
      // A silent attempt beside this one may still be answered.
      const otherMayAnswer = running > 0 && outcome.failed.retry !== "never";
      if (pause === undefined && !otherMayAnswer) giveUp();
      else if (pause !== undefined) pauseTimer ??= setTimeout(start, pause);
    };

    const abort = (): void => {
      if (isTimeout(signal.reason)) giveUp();
      else finish(() => reject(new KmsEtcdError("cancelled", "the caller has ended the call")));
    };

    const limitTimer = setTimeout(giveUp, limits.limitMs);
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener("abort", abort, { once: true });
    start();
  });
}
