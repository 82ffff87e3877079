/**
 * When a call to AWS KMS is tried again. The SDK's own strategy waits 500 ms and more after the first throttling, and knows
 * nothing of the 3 s after which the API server gives up; this one spends a time budget instead.
 */
import type { KMSClientConfig } from "@aws-sdk/client-kms";
import type { RetryBudget } from "../../config/aws";
import { isTimeout, type RetryAdvice, retryAdvice } from "./failure";

type RetryStrategy = Extract<NonNullable<KMSClientConfig["retryStrategy"]>, { acquireInitialRetryToken: unknown }>;
type RetryToken = Awaited<ReturnType<RetryStrategy["acquireInitialRetryToken"]>>;

export interface RetryStrategyOptions {
  /** From the first attempt's start; no attempt starts later. */
  readonly timeBudgetMs: number;
  readonly quota: RetryBudget;
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

/** The first wait; it doubles with each retry. */
const baseDelayMs: Readonly<Record<Exclude<RetryAdvice, "no">, number>> = {
  "at-once": 0,
  transient: 25,
  throttled: 100,
};

/** An attempt that starts with less than this left could not end in time. */
const leastAttemptMs = 50;

export const maxAttempts = 5;

interface CallToken extends RetryToken {
  readonly startedAt: number;
  /** What the retry took from the quota; undefined for a first attempt. */
  readonly cost: number | undefined;
}

/** Tokens as aws-sdk-go-v2 counts them (aws/retry/standard.go and aws/ratelimit): a success gives back what its retry took, or one. */
interface Quota {
  readonly capacity: number;
  readonly retryCost: number;
  readonly timeoutCost: number;
}

function quotaOf(budget: RetryBudget): Quota {
  switch (budget.kind) {
    case "sdk-default":
      return { capacity: 500, retryCost: 5, timeoutCost: 10 };
    case "tokens":
      return { capacity: budget.capacity, retryCost: 5, timeoutCost: 10 };
    case "unit-cost-tokens":
      return { capacity: budget.capacity, retryCost: 1, timeoutCost: 1 };
  }
}

/** Also for calls that go past the SDK. */
export interface CallRetries extends RetryStrategy {
  /** A call has succeeded at its first attempt. */
  succeededAtOnce(): void;
}

export function createRetryStrategy(options: RetryStrategyOptions): CallRetries {
  const now = options.now ?? (() => performance.now());
  const random = options.random ?? Math.random;
  const quota = quotaOf(options.quota);
  let available = quota.capacity;

  const token = (startedAt: number, retries: number, delay: number, cost: number | undefined): CallToken => ({
    startedAt,
    cost,
    getRetryCount: () => retries,
    getRetryDelay: () => delay,
  });

  const giveBack = (cost: number): void => {
    available = Math.min(quota.capacity, available + cost);
  };

  return {
    acquireInitialRetryToken: async () => token(now(), 0, 0, undefined),

    refreshRetryTokenForRetry: async (previous, { error, retryAfterHint }) => {
      const advice = retryAdvice(error);
      if (advice === "no") throw new Error("the failure is final");
      const retries = previous.getRetryCount() + 1;
      if (retries >= maxAttempts) throw new Error("all attempts are used up");
      const { startedAt } = previous as CallToken;
      // Between half and all of the step, so that many callers do not come back together.
      const backOff = baseDelayMs[advice] * 2 ** (retries - 1) * (0.5 + random() / 2);
      const asked = retryAfterHint === undefined ? 0 : retryAfterHint.getTime() - Date.now();
      const delay = Math.max(backOff, asked);
      if (now() + delay + leastAttemptMs > startedAt + options.timeBudgetMs) throw new Error("the time is used up");
      const cost = isTimeout(error) ? quota.timeoutCost : quota.retryCost;
      if (cost > available) throw new Error("the retry quota is used up");
      available -= cost;
      return token(startedAt, retries, delay, cost);
    },

    recordSuccess: (used) => giveBack((used as CallToken).cost ?? 1),
    succeededAtOnce: () => giveBack(1),
  };
}
