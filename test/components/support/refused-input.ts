import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";

/** For assert.throws: an InputPropertyError at `path` whose reason is as expected. */
export function refusedInput(path: string, reason: RegExp): (thrown: unknown) => true {
  return (thrown) => {
    assert.ok(pulumi.InputPropertyError.isInstance(thrown));
    assert.equal(thrown.propertyPath, path);
    assert.match(thrown.reason, reason);
    return true;
  };
}
