/**
 * When a key expires, looked up now and then in the background. Health does not hang on it: only a probe says whether a key
 * can be used. It is there so that somebody hears of an expiry before the probe does.
 */
import { describeError, KmsEtcdError } from "../../core/errors";
import type { KeyProvider } from "../key-provider";
import type { Log } from "../log";
import type { Clock } from "./clock";

export interface KeyExpiry {
  /** Begins to look, at once. */
  start(): void;
  stop(): void;
}

/** People move an expiry date days ahead of it. */
const intervalMs = 3_600_000;
/** A permission that is missing is so on purpose, mostly. */
const afterDenialMs = 6 * intervalMs;
/** As at the start of a host whose network is not there yet. */
const afterFailureMs = 300_000;

export function createKeyExpiry(
  provider: KeyProvider,
  options: { readonly timeoutMs: number; readonly log: Log; readonly onExpiry: (at: Date | "never") => void },
  clock: Clock,
): KeyExpiry {
  const { timeoutMs, log, onExpiry } = options;
  const look = provider.expiry?.bind(provider);
  const stopped = new AbortController();
  let callOff = nothing;

  async function lookOnce(ask: NonNullable<typeof look>): Promise<void> {
    let pauseMs = intervalMs;
    try {
      const at = await ask(AbortSignal.any([stopped.signal, AbortSignal.timeout(timeoutMs)]));
      if (!stopped.signal.aborted) onExpiry(at);
    } catch (thrown) {
      pauseMs = thrown instanceof KmsEtcdError && thrown.code === "permission-denied" ? afterDenialMs : afterFailureMs;
      if (!stopped.signal.aborted)
        log.write("info", "when the key expires is not known", {
          key_id: provider.keyId,
          error: describeError(thrown),
        });
    }
    if (!stopped.signal.aborted) callOff = clock.after(pauseMs, () => void lookOnce(ask));
  }

  return {
    start: () => {
      if (look !== undefined) void lookOnce(look);
    },
    stop: () => {
      stopped.abort();
      callOff();
    },
  };
}

/** There is nothing to call off. */
function nothing(): void {
  return;
}
