import assert from "node:assert/strict";
import { isEtcdTrouble, isUndecryptable } from "../../rotation/failure-text";

describe("what an API server says of a failure", () => {
  it("etcd that elects a leader or is slow is etcd's trouble; a KMS plugin that is silent is not", () => {
    for (const text of [
      "500 InternalError: etcdserver: leader changed",
      "500 InternalError: etcdserver: request timed out",
      "500 InternalError: context deadline exceeded",
      "500 InternalError: rpc error: code = Unavailable desc = error reading from server: EOF",
    ])
      assert.ok(isEtcdTrouble(text) && !isUndecryptable(text), text);
    for (const text of [
      "500 InternalError: failed to decrypt DEK, error: rpc error: code = DeadlineExceeded",
      'unable to transform key "/registry/secrets/a/b": context deadline exceeded',
      "500 InternalError: no matching prefix found",
    ])
      assert.ok(!isEtcdTrouble(text), text);
    assert.ok(isUndecryptable("500 InternalError: no matching prefix found"));
  });
});
