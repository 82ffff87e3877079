import assert from "node:assert/strict";
import { busy, terminal } from "../../../rotation/cli/terminal";

describe("the terminal", () => {
  function screen(isTTY: boolean) {
    const seen = { out: "", err: "" };
    let now = 0;
    const on = terminal(
      { write: (text) => (seen.out += text) },
      { isTTY, columns: 20, write: (text) => (seen.err += text) },
      () => now,
    );
    return { seen, on, wait: (milliseconds: number) => (now += milliseconds) };
  }

  it("on a terminal, a passing line => written over by whatever comes next, never wider than the screen", () => {
    const { seen, on } = screen(true);
    on.passing("one, which is longer than the screen is wide");
    on.passing("two");
    on.say("three");
    on.print("result");
    assert.equal(seen.err, "one, which is longe\r\u001b[Ktwo\r\u001b[Kthree\n");
    assert.equal(seen.out, "result\n");
  });

  it("in a log => one passing line in five seconds, whole, and all the others", () => {
    const { seen, on, wait } = screen(false);
    on.passing("1");
    wait(4_000);
    on.passing("2");
    on.say("said");
    wait(1_000);
    on.passing("3");
    assert.equal(seen.err, "1\nsaid\n3\n");
  });

  it("work that is quick => not a word; its result and its failure come through", async () => {
    const { seen, on } = screen(true);
    assert.equal(await busy(on, () => "working", Promise.resolve(7)), 7);
    await assert.rejects(
      busy(on, () => "working", Promise.reject(new Error("broken"))),
      /broken/,
    );
    assert.equal(seen.err, "");
  });

  it("work that takes longer than is quiet => what it does and for how long, again and again until it ends", async () => {
    const { seen, on } = screen(true);
    let ticks = 0;
    let done = () => {};
    const work = new Promise<void>((resolve) => (done = resolve));
    const what = () => {
      ticks += 1;
      if (ticks === 3) done();
      return `counted ${ticks}`;
    };
    await busy(on, what, work, { quietFor: 5, every: 5 });
    assert.equal(seen.err, ["counted 1 (0 s)", "counted 2 (0 s)", "counted 3 (0 s)"].join("\r\u001b[K"));
  });
});
