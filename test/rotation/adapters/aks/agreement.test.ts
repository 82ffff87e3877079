import assert from "node:assert/strict";
import { createAgreement } from "../../../../rotation/adapters/aks/agreement";

const mostPasses = 40;

/** Always the same numbers for the same seed. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Passes over `count` Secrets, each of which is offered to one of `servers` by chance: these are the keys that they write with. The first `busy`
 * are changed by clients in every pass. How many passes it took until they were taken to agree; undefined where they never were.
 */
function passesUntilAgreed(count: number, servers: readonly string[], busy: number, random: () => number) {
  const agreement = createAgreement();
  const stored = Array<string>(count).fill("older");
  for (let pass = 1, disturbed = 0; pass <= mostPasses && disturbed < 8; pass += 1) {
    const again = stored.flatMap((under, index) => {
      const key = servers[Math.floor(random() * servers.length)] ?? "";
      stored[index] = key;
      return under !== key || index < busy ? [`default/s${index}`] : [];
    });
    const named = again.length > 0 && again.length <= 20 ? { rewrittenNames: again } : {};
    const said = agreement.passed({ offered: count, rewritten: again.length, ...named, failures: [] }, true);
    if (said === "agreed") return pass;
    if (said === "disturbed") disturbed += 1;
  }
  return undefined;
}

describe("whether API servers behind one address write with one key", () => {
  for (const [count, servers] of [
    [1, ["new", "old"]],
    [3, ["new", "old"]],
    [5, ["new", "old"]],
    [8, ["new", "old"]],
    [20, ["new", "new", "old"]],
    [100, ["new", "new", "new", "old"]],
    [300, ["new", "old"]],
  ] as const) {
    it(`${count} Secrets, servers that write with ${servers.join(", ")} => never taken to agree, in 500 runs`, () => {
      const random = chance(count);
      for (let run = 0; run < 500; run += 1) assert.equal(passesUntilAgreed(count, servers, 0, random), undefined);
    });
  }

  for (const [count, busy, passes] of [
    [0, 0, 1],
    [1, 0, 25],
    [5, 0, 6],
    [8, 0, 4],
    [30, 0, 2],
    [1_000, 0, 2],
    [2, 1, 33],
    [8, 1, 6],
    [20, 5, 6],
    [300, 6, 3],
    [10_000, 200, 3],
  ] as const) {
    it(`${count} Secrets, ${busy} of them changed by clients all the time => agreed after ${passes} passes`, () => {
      assert.equal(passesUntilAgreed(count, ["new"], busy, chance(1)), passes);
    });
  }

  it("most Secrets are changed by clients all the time => nobody can tell", () => {
    assert.equal(passesUntilAgreed(3, ["new"], 2, chance(1)), undefined);
  });

  it("a pass that fails, or that began too early => what went before does not count", () => {
    const agreement = createAgreement();
    const clean = { offered: 12, rewritten: 0, failures: [] };
    assert.equal(agreement.passed(clean, true), "open");
    const failures = [{ resource: "secrets", namespace: "a", name: "b", reason: "no" }];
    assert.equal(agreement.passed({ ...clean, failures }, true), "disturbed");
    assert.equal(agreement.passed(clean, true), "open");
    assert.equal(agreement.passed(clean, false), "disturbed");
    assert.equal(agreement.passed(clean, true), "open");
    assert.equal(agreement.passed(clean, true), "agreed");
  });
});
