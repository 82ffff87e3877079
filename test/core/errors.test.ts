import assert from "node:assert/strict";
import { createRequire } from "node:module";
import type * as errors from "../../core/errors";
import { describeError, KmsEtcdError } from "../../core/errors";

describe("an error of this product", () => {
  it("is known by instanceof, also when another copy of the class made it", () => {
    const other = copyOfErrors();
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

function copyOfErrors(): typeof errors {
  const load = createRequire(__filename);
  const path = load.resolve("../../core/errors");
  const kept = load.cache[path];
  Reflect.deleteProperty(load.cache, path);
  try {
    return load(path) as typeof errors;
  } finally {
    load.cache[path] = kept;
  }
}
