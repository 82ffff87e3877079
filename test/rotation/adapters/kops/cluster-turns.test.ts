import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { inTurn } from "../../../../rotation/adapters/kops/cluster-turns";

describe("rotations of one kOps cluster in one program", () => {
  const never = new AbortController().signal;

  it("three at once => one after the other in their order, each other one says that it waits, and a failure is its own", async () => {
    const log: string[] = [];
    const one = (name: string, fails = false) =>
      inTurn(
        "a",
        never,
        () => log.push(`${name} waits`),
        async () => {
          log.push(`${name} begins`);
          await nextTurn();
          log.push(`${name} ends`);
          if (fails) throw new Error(name);
          return name;
        },
      );
    const ended = await Promise.allSettled([one("key"), one("keypairs", true), one("secret")]);
    assert.deepEqual(
      ended.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.deepEqual(log, [
      ...["keypairs waits", "secret waits"],
      ...["key begins", "key ends", "keypairs begins", "keypairs ends", "secret begins", "secret ends"],
    ]);
    await one("later");
    assert.equal(log.includes("later waits"), false);
  });

  it("another cluster => does not wait; stopped while it waits => nothing is begun", async () => {
    const unexpected = () => assert.fail("it waits");
    let release = () => undefined as unknown;
    const long = inTurn("a", never, unexpected, () => new Promise((resolve) => (release = () => resolve(undefined))));
    await inTurn("b", never, unexpected, async () => undefined);
    const stop = new AbortController();
    const stopped = inTurn(
      "a",
      stop.signal,
      () => undefined,
      async () => assert.fail("begun"),
    );
    stop.abort(new Error("stopped"));
    await nextTurn();
    release();
    await assert.rejects(stopped, /stopped/);
    await long;
  });
});
