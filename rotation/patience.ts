/** How long an engine, whichever it is, goes on when something fails that may pass, or when what it does has no effect. */
import { type ErrorCode, KmsEtcdError } from "../core/errors";

/** An action that has to be repeated more often than this has no effect. Conflicts with someone else's edits count too. */
export const sameActions = 5;
export const transientRetries = 5;

/** Errors that may pass by themselves: the next look says whether a server is away, and then the engine waits for it. */
const passing: ReadonlySet<ErrorCode> = new Set(["unreachable", "timeout", "throttled"]);

export function mayPass(thrown: unknown): boolean {
  return thrown instanceof KmsEtcdError && passing.has(thrown.code);
}

/** Counts how often in a row the same action was asked for, this time included. */
export function countRepetitions(): (action: object) => number {
  let last = "";
  let times = 0;
  return (action) => {
    const text = JSON.stringify(action);
    times = text === last ? times + 1 : 1;
    last = text;
    return times;
  };
}

/** A look that fails for a reason that may pass, or another that `isWorthwhile`, is tried again, each time after a longer sleep. */
export async function withRetries<Seen>(
  look: () => Promise<Seen>,
  sleep: (tries: number) => Promise<void>,
  signal: AbortSignal,
  isWorthwhile: (thrown: unknown) => boolean = mayPass,
): Promise<Seen> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await look();
    } catch (thrown) {
      if (!isWorthwhile(thrown) || tries > transientRetries || signal.aborted) throw thrown;
      await sleep(tries);
    }
  }
}
