import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { KmsEtcdError } from "../../../core/errors";
import { type Caller, createCallsUnderWay } from "../../../plugin-server/grpc/calls-under-way";

function caller({ timeoutMs = Number.POSITIVE_INFINITY, hasLeft = false } = {}): Caller & { leave(): void } {
  let told: () => void = () => assert.fail("nobody asked to be told");
  return {
    timeoutMs,
    hasLeft,
    onLeaving: (listener) => {
      told = listener;
    },
    leave: () => told(),
  };
}

describe("calls under way", () => {
  it("are cut off at their limit, each at its own, and aborted before they hear of it", async () => {
    const calls = createCallsUnderWay(200);
    const cut: string[] = [];
    const begin = (name: string) => {
      const call = calls.begin("v2", name, caller(), (reason) =>
        cut.push(`${name} ${reason.code} ${call.signal.aborted}`),
      );
      assert.equal(call.signal.aborted, false);
    };
    begin("first");
    await delay(125);
    begin("second");
    await delay(125);
    assert.deepEqual(cut, ["first timeout true"]);
    assert.equal(calls.count, 1);
    await delay(150);
    assert.deepEqual(cut, ["first timeout true", "second timeout true"]);
    assert.equal(calls.count, 0);
  });

  it("are left alone when they have ended", async () => {
    const calls = createCallsUnderWay(10);
    calls.begin("v1", "", caller(), () => assert.fail("it has ended")).end();
    await delay(30);
    assert.equal(calls.count, 0);
  });

  it("abort when the caller goes away, also when it went before anybody asked", () => {
    const calls = createCallsUnderWay(1_000);
    const [before, after] = [caller({ hasLeft: true }), caller()];
    assert.equal(calls.begin("v2", "", before, () => {}).signal.aborted, true);
    const { signal } = calls.begin("v2", "", after, () => {});
    assert.equal(signal.aborted, false);
    after.leave();
    assert.equal(signal.aborted, true);
  });

  it("are cut off when their callers stop waiting, however long the others may take", async () => {
    const calls = createCallsUnderWay(300);
    const cut: string[] = [];
    const begin = (timeoutMs: number) =>
      calls.begin("v2", "", caller({ timeoutMs }), ({ message }) => cut.push(message));
    for (const ms of [Number.POSITIVE_INFINITY, 25, 150, 20_000]) begin(ms);
    while (calls.count > 0) await delay(5);
    assert.deepEqual(
      cut,
      ["its caller's 25", "its caller's 150", "300", "300"].map((limit) => `the key did not answer within ${limit} ms`),
    );
  });

  it("can all be cut off at once", () => {
    const calls = createCallsUnderWay(1_000);
    const cut: string[] = [];
    for (const uid of ["a", "b", "c"]) calls.begin("v2", uid, caller(), (reason) => cut.push(uid + reason.message));
    calls.cutOffAll(new KmsEtcdError("unreachable", "!"));
    assert.deepEqual(cut, ["a!", "b!", "c!"]);
    assert.equal(calls.count, 0);
  });
});
