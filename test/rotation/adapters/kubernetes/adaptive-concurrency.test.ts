import assert from "node:assert/strict";
import fc from "fast-check";
import { adaptiveConcurrency } from "../../../../rotation/adapters/kubernetes/adaptive-concurrency";

function rounds(
  concurrency: ReturnType<typeof adaptiveConcurrency>,
  count: number,
  latency: (limit: number) => number,
): void {
  for (let round = 0; round < count; round++) {
    const limit = concurrency.limit();
    for (let answer = 0; answer < limit; answer++) concurrency.answered(latency(limit));
  }
}

describe("adaptive concurrency", () => {
  it("stays between 4 and 64, whatever happens", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant("throttled" as const), fc.integer({ min: 0, max: 5_000 })), { maxLength: 2_000 }),
        (events) => {
          const concurrency = adaptiveConcurrency();
          for (const event of events) {
            if (event === "throttled") concurrency.throttled();
            else concurrency.answered(event);
            assert.ok(concurrency.limit() >= 4 && concurrency.limit() <= 64);
          }
        },
      ),
    );
  });

  it("latency does not grow => up to the most", () => {
    const concurrency = adaptiveConcurrency();
    rounds(concurrency, 60, () => 30);
    assert.equal(concurrency.limit(), 64);
  });

  it("a server that answers so many a second and no more => not more in flight than a few times what keeps it busy", () => {
    const concurrency = adaptiveConcurrency();
    // 5 ms of work for each request, two at a time, after 30 ms of its own: eight in flight keep it about busy.
    rounds(concurrency, 200, (limit) => Math.max(30, limit * 4));
    assert.ok(concurrency.limit() >= 16 && concurrency.limit() <= 40, String(concurrency.limit()));
  });

  it("latency grows to many times the best => fewer", () => {
    const concurrency = adaptiveConcurrency();
    rounds(concurrency, 10, () => 30);
    const before = concurrency.limit();
    rounds(concurrency, 4, () => 400);
    assert.ok(concurrency.limit() < before / 1.5);
  });

  it("one burst of refusals halves it once, a lasting one goes on", () => {
    const concurrency = adaptiveConcurrency();
    rounds(concurrency, 60, () => 30);
    for (let index = 0; index < 60; index++) concurrency.throttled();
    assert.equal(concurrency.limit(), 32);
    for (let index = 0; index < 300; index++) concurrency.throttled();
    assert.equal(concurrency.limit(), 4);
  });
});
