import assert from "node:assert/strict";
import { retiredKeyTag } from "../../../../core/aws-key-arn";
import { KmsEtcdError } from "../../../../core/errors";
import type { AwsKeyReference } from "../../../../core/key-reference";
import { type AwsKeyAdmin, type AwsKeyLook, awsKeyCustody } from "../../../../rotation/adapters/aws/aws-key-custody";

const key: AwsKeyReference = {
  kind: "aws",
  keyArn: "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
  region: "us-east-1",
};

/** A key in memory that notes what is done to it, and fails where it is told to. */
function keyInMemory(start: AwsKeyLook | undefined) {
  const seen = { state: start?.state, tags: { ...start?.tags } as Record<string, string>, done: [] as string[] };
  const fail = { look: undefined as KmsEtcdError | undefined, setEnabled: undefined as KmsEtcdError | undefined };
  const admin: AwsKeyAdmin = {
    async look() {
      if (fail.look !== undefined) throw fail.look;
      return seen.state === undefined ? undefined : { state: seen.state, tags: { ...seen.tags } };
    },
    async setEnabled(_key, enabled) {
      if (fail.setEnabled !== undefined) throw fail.setEnabled;
      seen.done.push(enabled ? "enable" : "disable");
      seen.state = enabled ? "enabled" : "disabled";
    },
    async setTag(_key, name, value) {
      seen.done.push(value === undefined ? "untag" : "tag");
      if (value === undefined) Reflect.deleteProperty(seen.tags, name);
      else seen.tags[name] = value;
    },
  };
  return { seen, fail, custody: awsKeyCustody(() => admin) };
}

describe("retiring keys in AWS KMS", () => {
  const never = new AbortController().signal;

  it("retire, twice => marked, then disabled, once; reinstate => as it was before", async () => {
    const { seen, custody } = keyInMemory({ state: "enabled", tags: { team: "platform" } });
    await custody.retire(key, never);
    await custody.retire(key, never);
    assert.deepEqual(seen.done, ["tag", "disable"]);
    await custody.reinstate(key, never);
    await custody.reinstate(key, never);
    assert.deepEqual(seen.done.slice(2), ["enable", "untag"]);
    assert.deepEqual([seen.state, seen.tags], ["enabled", { team: "platform" }]);
  });

  it("killed between mark and disabling => the next retirement finishes it, and a reinstatement takes the mark away", async () => {
    const { seen, fail, custody } = keyInMemory({ state: "enabled", tags: {} });
    fail.setEnabled = new KmsEtcdError("unreachable", "no answer");
    await assert.rejects(custody.retire(key, never), /no answer/);
    fail.setEnabled = undefined;
    await custody.retire(key, never);
    assert.deepEqual([seen.state, seen.tags[retiredKeyTag]], ["disabled", "true"]);
    const half = keyInMemory({ state: "enabled", tags: { [retiredKeyTag]: "true" } });
    await half.custody.reinstate(key, never);
    assert.deepEqual(half.seen.done, ["untag"]);
  });

  it("disabled or scheduled for deletion by somebody else => neither retired nor reinstated by us", async () => {
    for (const state of ["disabled", "other"] as const) {
      const { seen, custody } = keyInMemory({ state, tags: {} });
      await custody.retire(key, never);
      await custody.reinstate(key, never);
      assert.deepEqual(seen.done, []);
    }
  });

  it("no such key => retiring says so; one that we may not look at => reinstating goes on", async () => {
    await assert.rejects(keyInMemory(undefined).custody.retire(key, never), { code: "not-found" });
    const { seen, fail, custody } = keyInMemory({ state: "enabled", tags: {} });
    fail.look = new KmsEtcdError("permission-denied", "AccessDeniedException");
    await custody.reinstate(key, never);
    await assert.rejects(custody.retire(key, never), { code: "permission-denied" });
    assert.deepEqual(seen.done, []);
    fail.look = new KmsEtcdError("throttled", "ThrottlingException");
    await assert.rejects(custody.reinstate(key, never), { code: "throttled" });
  });
});
