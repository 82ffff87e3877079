import assert from "node:assert/strict";
import fc from "fast-check";
import { KmsEtcdError } from "../../../../core/errors";
import {
  type Failure,
  inAttempts,
  type Outcome,
  pauseBefore,
} from "../../../../plugin-server/providers/azure-key-vault/attempts";

const later: Failure = { retry: "later", error: new KmsEtcdError("unreachable", "for now") };
const never: Failure = { retry: "never", error: new KmsEtcdError("key-unusable", "for good") };
const outOfTime = () => new KmsEtcdError("timeout", "silence");
const forever = () => new Promise<never>(() => undefined);
const limits = { limitMs: 400, secondAfterMs: 100, firstPauseMs: 5 };
const patient = new AbortController().signal;

/** Plays one behaviour after the other, the last one again and again. */
function script(...behaviours: readonly (() => Promise<Outcome<string>>)[]) {
  const signals: AbortSignal[] = [];
  const attempt = (signal: AbortSignal): Promise<Outcome<string>> => {
    signals.push(signal);
    return (behaviours[Math.min(signals.length, behaviours.length) - 1] ?? forever)();
  };
  return { attempt, signals };
}

const ok = async (): Promise<Outcome<string>> => ({ ok: "answer" });
const fails = (failure: Failure) => async (): Promise<Outcome<string>> => ({ failed: failure });

describe("a call in attempts", () => {
  it("is over with the first answer", async () => {
    const { attempt, signals } = script(fails(later), fails(later), ok);
    assert.equal(await inAttempts(attempt, outOfTime, patient, limits), "answer");
    assert.equal(signals.length, 3);
  });

  it("is over at once when another attempt cannot help", async () => {
    const { attempt, signals } = script(fails(never));
    await assert.rejects(inAttempts(attempt, outOfTime, patient, limits), never.error);
    assert.equal(signals.length, 1);
  });

  it("gets a second attempt beside one that is silent, and only one", async () => {
    const { attempt, signals } = script(forever);
    await assert.rejects(inAttempts(attempt, outOfTime, patient, limits), { code: "timeout" });
    assert.equal(signals.length, 2);
  });

  it("takes the answer of the second attempt, and calls the first one off", async () => {
    const { attempt, signals } = script(forever, ok);
    assert.equal(await inAttempts(attempt, outOfTime, patient, limits), "answer");
    assert.ok(signals[0]?.aborted);
  });

  it("takes the answer of a slow first attempt although the second has failed", async () => {
    const slow = () => new Promise<Outcome<string>>((resolve) => setTimeout(() => resolve({ ok: "slow" }), 200));
    const throttled: Failure = { ...later, retryAfterMs: 60_000 };
    const { attempt } = script(slow, fails(throttled));
    assert.equal(await inAttempts(attempt, outOfTime, patient, limits), "slow");
  });

  it("goes on beside a silent attempt when the second fails for a moment", async () => {
    const { attempt, signals } = script(forever, fails(later), ok);
    assert.equal(await inAttempts(attempt, outOfTime, patient, limits), "answer");
    assert.equal(signals.length, 3);
  });

  it("ends in time with the last failure that was seen, or with none", async () => {
    const started = performance.now();
    const { attempt } = script(fails(later), forever);
    await assert.rejects(inAttempts(attempt, outOfTime, patient, limits), later.error);
    assert.ok(performance.now() - started < 1_000);
  });

  it("ends early when its caller has gone, before and during an attempt", async () => {
    const { attempt, signals } = script(forever);
    await assert.rejects(inAttempts(attempt, outOfTime, AbortSignal.abort(), limits), { code: "cancelled" });
    assert.equal(signals.length, 0);
    const caller = new AbortController();
    const call = inAttempts(attempt, outOfTime, caller.signal, limits);
    caller.abort();
    await assert.rejects(call, { code: "cancelled" });
    assert.ok(signals[0]?.aborted);
  });

  it("ends early at its caller's own limit, with the reason", async () => {
    const { attempt } = script(fails(later), forever);
    await assert.rejects(inAttempts(attempt, outOfTime, AbortSignal.timeout(50), limits), later.error);
  });

  it("passes a defect on as it is", async () => {
    const defect = new TypeError("a defect");
    await assert.rejects(
      inAttempts(() => Promise.reject(defect), outOfTime, patient, limits),
      defect,
    );
  });

  it("leaves no timer and no listener behind", async () => {
    const added: string[] = [];
    const signal = new AbortController().signal;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      added.push(args[0]);
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      added.pop();
      remove(...args);
    };
    // Mocha starts its own timer after the test's first turn.
    await new Promise((resolve) => setImmediate(resolve));
    const before = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    await inAttempts(ok, outOfTime, signal, { limitMs: 60_000, secondAfterMs: 50_000, firstPauseMs: 1 });
    assert.deepEqual(added, []);
    assert.equal(process.getActiveResourcesInfo().filter((name) => name === "Timeout").length, before);
  });
});

describe("the pause before another attempt", () => {
  const random = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });

  it("never reaches beyond the call's time", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 5_000 }),
        random,
        fc.option(fc.nat(5_000)),
        (failures, left, chance, asked) => {
          const pause = pauseBefore({ ...later, retryAfterMs: asked ?? undefined }, failures, left, 100, chance);
          assert.ok(pause === undefined || pause < left);
        },
      ),
    );
  });

  it("is never shorter than what the service asks for", () => {
    fc.assert(
      fc.property(fc.nat(5_000), random, (asked, chance) => {
        const pause = pauseBefore({ ...later, retryAfterMs: asked }, 1, 10_000, 100, chance);
        assert.ok(pause !== undefined && pause >= asked);
      }),
    );
  });

  it("doubles, and half of it is chance", () => {
    for (const failures of [1, 2, 3]) {
      const whole = 100 * 2 ** (failures - 1);
      assert.equal(pauseBefore(later, failures, 10_000, 100, 0), whole / 2);
      assert.equal(pauseBefore(later, failures, 10_000, 100, 1), whole);
    }
  });

  it("is none where another attempt cannot help", () => {
    assert.equal(pauseBefore(never, 1, 10_000, 100, 0), undefined);
  });
});
