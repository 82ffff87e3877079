import assert from "node:assert/strict";
import { describeError, KmsEtcdError } from "../../core/errors";

describe("an error of this product", () => {
  it("is known by instanceof, also when another copy of the class made it", () => {
    const path = require.resolve("../../core/errors");
    const kept = require.cache[path];
    delete require.cache[path];
    const other = require(path) as typeof import("../../core/errors");
    require.cache[path] = kept;
    assert.notEqual(other.KmsEtcdError, KmsEtcdError);
    const error: unknown = new other.KmsEtcdError("throttled", "slow down", { remedy: "wait" });
    assert.ok(error instanceof KmsEtcdError);
    assert.equal(error.code, "throttled");
    assert.equal(describeError(error), "slow down; wait");
    assert.ok(error instanceof Error);
  });

  it("is not any other error or value", () => {
    for (const value of [new Error("x"), { code: "throttled" }, null, undefined, "text", 1]) {
      assert.equal((value as unknown) instanceof KmsEtcdError, false);
    }
  });

  it("is told by its message, and by its remedy where there is one", () => {
    assert.equal(describeError(new KmsEtcdError("internal", "broken")), "broken");
    assert.equal(describeError(new Error("plain")), "plain");
    assert.equal(describeError("text"), "text");
  });
});
