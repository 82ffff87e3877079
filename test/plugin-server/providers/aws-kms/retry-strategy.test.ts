import assert from "node:assert/strict";
import fc from "fast-check";
import type { RetryBudget } from "../../../../plugin-server/config/aws";
import { createRetryStrategy, maxAttempts } from "../../../../plugin-server/providers/aws-kms/retry-strategy";

const failures = {
  throttled: Object.assign(new Error("x"), { name: "ThrottlingException" }),
  broken: Object.assign(new Error("x"), { name: "KMSInternalException", $metadata: { httpStatusCode: 500 } }),
  reset: Object.assign(new Error("x"), { code: "ECONNRESET" }),
  timeout: Object.assign(new Error("x"), { code: "UND_ERR_HEADERS_TIMEOUT" }),
  disabled: Object.assign(new Error("x"), { name: "DisabledException", $metadata: { httpStatusCode: 400 } }),
  clock: Object.assign(new Error("x"), { name: "InvalidSignatureException", $metadata: { clockSkewCorrected: true } }),
} satisfies Record<string, Error>;
type Failure = keyof typeof failures;
type Strategy = ReturnType<typeof createRetryStrategy>;
type ErrorInfo = Parameters<Strategy["refreshRetryTokenForRetry"]>[1];

const sdkDefault: RetryBudget = { kind: "sdk-default" };

/** Plays calls one after another by a clock of its own: each attempt takes `attemptMs` and fails as `outcomes` says. */
async function play(options: {
  readonly outcomes: readonly (readonly Failure[])[];
  readonly attemptMs: number;
  readonly timeBudgetMs: number;
  readonly quota: RetryBudget;
  readonly random?: number;
}): Promise<readonly { readonly attempts: number; readonly lastStart: number; readonly delays: readonly number[] }[]> {
  let now = 0;
  const { timeBudgetMs, quota } = options;
  const strategy = createRetryStrategy({ timeBudgetMs, quota, now: () => now, random: () => options.random ?? 0.5 });
  const results = [];
  for (const outcomes of options.outcomes) {
    const startedAt = now;
    let token = await strategy.acquireInitialRetryToken("");
    let attempts = 0;
    let lastStart = 0;
    const delays: number[] = [];
    for (;;) {
      attempts += 1;
      lastStart = now - startedAt;
      now += options.attemptMs;
      const failure = outcomes[attempts - 1];
      if (failure === undefined) {
        strategy.recordSuccess(token);
        break;
      }
      try {
        const info = { error: failures[failure], errorType: "TRANSIENT" } as ErrorInfo;
        token = await strategy.refreshRetryTokenForRetry(token, info);
      } catch {
        break;
      }
      delays.push(token.getRetryDelay());
      now += token.getRetryDelay();
    }
    results.push({ attempts, lastStart, delays });
  }
  return results;
}

const failure = fc.constantFrom<Failure>("throttled", "broken", "reset", "timeout", "disabled", "clock");
const budget = fc.oneof(
  fc.constant(sdkDefault),
  fc.record({
    kind: fc.constantFrom("tokens" as const, "unit-cost-tokens" as const),
    capacity: fc.integer({ min: 1, max: 40 }),
  }),
);

describe("retries of calls to AWS KMS", () => {
  it("never start an attempt after the time is used up, nor more than the allowed number", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(failure, { maxLength: 8 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 1_500 }),
        fc.integer({ min: 100, max: 2_500 }),
        budget,
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        async (outcomes, attemptMs, timeBudgetMs, quota, random) => {
          for (const call of await play({ outcomes, attemptMs, timeBudgetMs, quota, random })) {
            assert.ok(call.attempts <= maxAttempts);
            assert.ok(call.lastStart <= timeBudgetMs, `attempt at ${call.lastStart} of ${timeBudgetMs}`);
          }
        },
      ),
    );
  });

  it("follow nothing that is final", async () => {
    const [call] = await play({ outcomes: [["disabled"]], attemptMs: 5, timeBudgetMs: 2_000, quota: sdkDefault });
    assert.equal(call?.attempts, 1);
  });

  it("wait 100 ms and double that when throttled, 25 ms when something broke, not at all for the clock", async () => {
    const delaysFor = async (kind: Failure, random: number) => {
      const outcomes = [[kind, kind, kind]];
      return (await play({ outcomes, attemptMs: 1, timeBudgetMs: 2_000, quota: sdkDefault, random }))[0]?.delays;
    };
    assert.deepEqual(await delaysFor("throttled", 0), [50, 100, 200]);
    assert.deepEqual(await delaysFor("broken", 0), [12.5, 25, 50]);
    assert.deepEqual(
      await delaysFor("reset", 0.999999),
      [25, 50, 100].map((most) => most * (0.5 + 0.999999 / 2)),
    );
    assert.deepEqual(await delaysFor("clock", 0.5), [0, 0, 0]);
  });

  it("stop when the quota is spent, and go on after successes have filled it", async () => {
    const broken: readonly Failure[] = ["broken"];
    // Ten tokens are two retries at 5 each; the third call gets none. Every success gives one token back.
    const outcomes = [["broken", "broken", "broken"], broken, ...Array.from({ length: 5 }, () => []), broken] as const;
    const calls = await play({ outcomes, attemptMs: 1, timeBudgetMs: 2_000, quota: { kind: "tokens", capacity: 10 } });
    assert.deepEqual(
      calls.map(({ attempts }) => attempts),
      [3, 1, 1, 1, 1, 1, 1, 2],
    );
  });

  it("cost twice as much after a timeout, and one token each with the deprecated flags", async () => {
    const attemptsFor = async (kind: Failure, quota: RetryBudget) =>
      (await play({ outcomes: [[kind, kind, kind, kind]], attemptMs: 1, timeBudgetMs: 2_000, quota }))[0]?.attempts;
    assert.equal(await attemptsFor("timeout", { kind: "tokens", capacity: 10 }), 2);
    assert.equal(await attemptsFor("broken", { kind: "tokens", capacity: 10 }), 3);
    assert.equal(await attemptsFor("timeout", { kind: "unit-cost-tokens", capacity: 3 }), 4);
  });
});
