/**
 * The one place that keeps the access token. It is renewed ahead, in the background: no call waits for Entra while a token
 * is still good, and a renewal that fails costs nothing until the token ends. All callers share one request, because a
 * restarting API server once asked Entra so often that it was throttled and stayed down (kubernetes-kms issue 52).
 */
import { KmsEtcdError } from "../../../core/errors";
import { type AttemptLimits, inAttempts, type Outcome } from "./attempts";

export interface Token {
  readonly value: string;
  /** As the issuer counts it. It is measured on a monotonic clock, so a wrong time of day does no harm. */
  readonly lifetimeMs: number;
}

export interface TokenSource {
  /** A token that should be accepted now. Rejects with the reason why there is none, at the latest when `signal` aborts. */
  get(signal: AbortSignal): Promise<string>;
  /** Why calls are waiting for a token; undefined when there is one. */
  missing(): KmsEtcdError | undefined;
  /** The vault took this token. */
  accepted(token: string): void;
  /** The vault did not: the next `get` brings another one, unless that has just been tried in vain. */
  refused(token: string): void;
}

/** Longer than a call, so that the answer of a slow issuer serves the next call. */
const fetchLimits: AttemptLimits = { limitMs: 10_000, secondAfterMs: 1_000, firstPauseMs: 200 };

/** After this part of its life a token is renewed: Entra's hour leaves 15 minutes for it, a managed identity's day 6 hours. */
const renewAfter = 0.75;
/** A token is not used in the last part of its life: it must not end on its way. */
const unusedPart = 0.05;
const longestUnusedMs = 10_000;
/** How soon a renewal that failed is tried again while the old token is good. */
const renewAgainAfterMs = 30_000;
/** How soon the issuer is asked again after it refused, so that a wrong secret does not lead to throttling. */
const askAgainAfterMs = 2_000;
/** How often a refusal by the vault may bring a new token when no token was accepted in between. */
const replaceAgainAfterMs = 30_000;

interface Held {
  readonly value: string;
  readonly renewAt: number;
  readonly usableUntil: number;
  accepted: boolean;
}

export function createTokenSource(
  fetchToken: (signal: AbortSignal) => Promise<Outcome<Token>>,
  issuer: string,
  now: () => number = () => performance.now(),
  limits: AttemptLimits = fetchLimits,
): TokenSource {
  const never = new AbortController().signal;
  let held: Held | undefined;
  let pending: Promise<Held> | undefined;
  let lastError: KmsEtcdError | undefined;
  let askAgainAt = Number.NEGATIVE_INFINITY;
  let replacedAt = Number.NEGATIVE_INFINITY;

  const outOfTime = (): KmsEtcdError =>
    new KmsEtcdError("timeout", `${issuer} gave no token in time`, {
      remedy: "check the network between this host and it",
    });

  const attempt = async (signal: AbortSignal): Promise<Outcome<Token>> => {
    const outcome = await fetchToken(signal);
    if ("failed" in outcome) {
      const { error, retry, retryAfterMs } = outcome.failed;
      lastError = error;
      askAgainAt = now() + (retryAfterMs ?? (retry === "never" ? askAgainAfterMs : 0));
    }
    return outcome;
  };

  const renew = (): Promise<Held> => {
    pending ??= inAttempts(attempt, outOfTime, never, limits)
      .then((token) => {
        lastError = undefined;
        const fetchedAt = now();
        held = {
          value: token.value,
          renewAt: fetchedAt + token.lifetimeMs * renewAfter,
          usableUntil: fetchedAt + token.lifetimeMs - Math.min(longestUnusedMs, token.lifetimeMs * unusedPart),
          accepted: false,
        };
        return held;
      })
      .finally(() => {
        pending = undefined;
      });
    return pending;
  };

  const renewAhead = (): void => {
    if (pending !== undefined || now() < askAgainAt) return;
    renew().catch(() => {
      askAgainAt = Math.max(askAgainAt, now() + renewAgainAfterMs);
    });
  };

  const usable = (): Held | undefined => (held !== undefined && now() < held.usableUntil ? held : undefined);

  return {
    async get(signal) {
      const current = usable();
      if (current !== undefined) {
        if (now() >= current.renewAt) renewAhead();
        return current.value;
      }
      if (pending === undefined && lastError !== undefined && now() < askAgainAt) throw lastError;
      const token = await untilAborted(renew(), signal, () => lastError ?? outOfTime());
      return token.value;
    },
    missing: () => (usable() === undefined ? (lastError ?? outOfTime()) : undefined),
    accepted(token) {
      if (held?.value === token) held.accepted = true;
    },
    refused(token) {
      if (held?.value !== token) return;
      if (!held.accepted && now() < replacedAt + replaceAgainAfterMs) return;
      replacedAt = now();
      held = undefined;
      askAgainAt = Number.NEGATIVE_INFINITY;
    },
  };
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal, reason: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(reason());
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
