import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { KmsEtcdError } from "../../../core/errors";
import { createCallsUnderWay } from "../../../plugin-server/grpc/calls-under-way";

class Rpc extends EventEmitter {
  cancelled = false;
}

describe("calls under way", () => {
  it("are cut off at their limit, each at its own, and aborted before they hear of it", async () => {
    const calls = createCallsUnderWay(40);
    const cut: string[] = [];
    const begin = (name: string) => {
      const call = calls.begin("v2", name, new Rpc(), (reason) =>
        cut.push(`${name} ${reason.code} ${call.signal.aborted}`),
      );
      assert.equal(call.signal.aborted, false);
    };
    begin("first");
    await delay(25);
    begin("second");
    await delay(25);
    assert.deepEqual(cut, ["first timeout true"]);
    assert.equal(calls.count, 1);
    await delay(30);
    assert.deepEqual(cut, ["first timeout true", "second timeout true"]);
    assert.equal(calls.count, 0);
  });

  it("are left alone when they have ended", async () => {
    const calls = createCallsUnderWay(10);
    calls.begin("v1", "", new Rpc(), () => assert.fail("it has ended")).end();
    await delay(30);
    assert.equal(calls.count, 0);
  });

  it("abort when the caller goes away, also when it went before anybody asked", () => {
    const calls = createCallsUnderWay(1_000);
    const [before, after] = [new Rpc(), new Rpc()];
    before.cancelled = true;
    assert.equal(calls.begin("v2", "", before, () => {}).signal.aborted, true);
    const { signal } = calls.begin("v2", "", after, () => {});
    assert.equal(signal.aborted, false);
    after.emit("cancelled");
    assert.equal(signal.aborted, true);
  });

  it("are not aborted by the cancellation that grpc-js reports when a call has ended", () => {
    const calls = createCallsUnderWay(1_000);
    const rpc = new Rpc();
    const call = calls.begin("v2", "", rpc, () => {});
    const { signal } = call;
    call.end();
    rpc.emit("cancelled");
    assert.equal(signal.aborted, false);
  });

  it("can all be cut off at once", () => {
    const calls = createCallsUnderWay(1_000);
    const cut: string[] = [];
    for (const uid of ["a", "b", "c"]) calls.begin("v2", uid, new Rpc(), (reason) => cut.push(uid + reason.message));
    calls.cutOffAll(new KmsEtcdError("unreachable", "!"));
    assert.deepEqual(cut, ["a!", "b!", "c!"]);
    assert.equal(calls.count, 0);
  });
});
