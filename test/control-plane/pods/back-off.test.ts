import assert from "node:assert/strict";
import fc from "fast-check";
import {
  backOffSeconds,
  crashesInARow,
  longestDelaySeconds,
  stableAfterSeconds,
} from "../../../control-plane/pods/back-off";

describe("back-off between crashes", () => {
  it("doubles from one second up to its limit", () => {
    assert.deepEqual([1, 2, 3, 4, 5, 6, 7].map(backOffSeconds), [1, 2, 4, 8, 16, 30, 30]);
  });

  it("begins anew after a long run, and never before", () => {
    assert.equal(crashesInARow(5, stableAfterSeconds), 1);
    assert.equal(crashesInARow(5, stableAfterSeconds - 0.1), 6);
  });

  it("is never longer than its limit, and never nothing", () => {
    fc.assert(
      fc.property(fc.nat(), (crashes) => {
        const seconds = backOffSeconds(crashes);
        assert.ok(seconds >= 1 && seconds <= longestDelaySeconds);
      }),
    );
  });
});
