import assert from "node:assert/strict";
import { KmsEtcdError } from "../../core/errors";
import { type EngineLeaseOptions, leaseDuration, withEngineLease } from "../../rotation/engine-lease";
import { type ManualClock, manualClock, settled } from "./manual-clock";
import { identity, type MemoryLease, memoryLease } from "./memory-lease";

describe("the engine's Lease", () => {
  let clock: ManualClock;
  let lease: MemoryLease;
  let said: string[];
  beforeEach(() => {
    clock = manualClock();
    lease = memoryLease(clock);
    said = [];
  });

  /** An engine whose work lasts until `finish` is called, or its signal is aborted. */
  function engine(name: string, more: Partial<EngineLeaseOptions> = {}) {
    const state = {
      begun: false,
      lostTo: undefined as string | undefined,
      missing: (): string | undefined => undefined,
      finish: () => {},
    };
    const stop = new AbortController();
    const ended = withEngineLease(
      {
        lease,
        identity: identity(name),
        clock,
        signal: stop.signal,
        onEvent: (kind, message) => said.push(`${name} ${kind}: ${message}`),
        ...more,
      },
      (signal, held) =>
        new Promise<string>((resolve) => {
          state.begun = true;
          state.missing = held.missing;
          state.finish = () => resolve("done");
          signal.addEventListener("abort", () => {
            state.lostTo = held.lostTo();
            resolve("stopped");
          });
        }),
    );
    ended.catch(() => undefined); // looked at by the test later
    return { state, stop, ended };
  }
  const conflict = (thrown: unknown) => thrown instanceof KmsEtcdError && thrown.code === "conflict";

  it("no Lease => taken before the work, renewed while it lasts, gone after it", async () => {
    const a = engine("a");
    await settled();
    assert.equal(a.state.begun, true);
    const { acquiredAt } = lease.record ?? {};
    await clock.advance(60_000);
    assert.equal(lease.record?.holder, "a");
    assert.equal(lease.record.acquiredAt, acquiredAt);
    assert.ok(clock.now() - lease.record.renewedAt <= leaseDuration / 3, "renewed three times in each duration");
    a.state.finish();
    assert.equal(await a.ended, "done");
    assert.equal(lease.record, undefined);
    assert.deepEqual(said, []);
  });

  it("another engine that renews its Lease => refused within a renewal, naming it and the way out, no work begun", async () => {
    const a = engine("root@one, process 7 [x.1]");
    await settled();
    const b = engine("b");
    await clock.advance(leaseDuration / 3 + 1_000);
    await assert.rejects(b.ended, (thrown) => {
      assert.ok(conflict(thrown));
      assert.match((thrown as KmsEtcdError).message, /another engine is at work.*: root@one, process 7, since 19/);
      assert.match((thrown as KmsEtcdError).remedy ?? "", /--break-lease/);
      return true;
    });
    assert.equal(b.state.begun, false);
    a.state.finish();
    assert.equal(await a.ended, "done");
  });

  it("another engine that is known to live => refused at once", async () => {
    lease.put("a", clock.now());
    await assert.rejects(engine("b", { identity: identity("b", { alive: ["a"] }) }).ended, conflict);
  });

  it("an engine that was killed elsewhere => waited for with its name and the time left, for one duration, then taken over", async () => {
    lease.put("a", clock.now());
    const b = engine("b");
    await clock.advance(leaseDuration - 1_000);
    assert.equal(b.state.begun, false);
    assert.match(said[0] ?? "", /^b waiting: a was at work 0 s ago; if it is gone, its Lease ends in 15 s$/);
    assert.match(said.at(-1) ?? "", / ends in 5 s$/);
    assert.equal(said.length, 3);
    await clock.advance(1_000);
    assert.equal(b.state.begun, true);
    assert.equal(lease.record?.holder, "b");
  });

  it("an engine that was killed on this machine, or days ago => taken over without waiting", async () => {
    lease.put("a", clock.now());
    const b = engine("b", { identity: identity("b", { dead: ["a"] }) });
    await settled();
    assert.equal(b.state.begun, true);
    b.state.finish();
    await b.ended;
    lease.put("a", clock.now() - 100_000);
    const c = engine("c");
    await settled();
    assert.equal(c.state.begun, true);
    assert.deepEqual(said, []);
  });

  it("two engines start at the same time => one works, the other is refused", async () => {
    const engines = [engine("a"), engine("b")];
    await clock.advance(leaseDuration);
    assert.deepEqual(engines.map(({ state }) => state.begun).sort(), [false, true]);
    for (const { state, ended } of engines) {
      if (state.begun) state.finish();
      else await assert.rejects(ended, conflict);
    }
  });

  it("break-lease => taken from a living engine, which stops at its next renewal and is told by whom", async () => {
    const a = engine("a");
    await settled();
    const b = engine("b, process 2 [y]", { breakLease: true });
    await settled();
    assert.equal(b.state.begun, true);
    assert.match(said[0] ?? "", /warning: took the Lease from a, which had renewed it 0 s ago/);
    await clock.advance(leaseDuration / 3);
    assert.equal(await a.ended, "stopped");
    assert.equal(a.state.lostTo, "b, process 2");
    assert.equal(lease.record?.holder, "b, process 2 [y]", "what is another's is not released");
  });

  it("no API server answers => the work begins without it and says why; once they answer, the Lease is taken", async () => {
    lease.problem = "cp1: GET /: ECONNREFUSED";
    const a = engine("a");
    await settled();
    assert.equal(a.state.begun, true);
    assert.match(said.join("\n"), /^a warning: going on without the Lease .*repairs only.*ECONNREFUSED$/);
    await clock.advance(leaseDuration / 3);
    assert.match(a.state.missing() ?? "", /ECONNREFUSED/);
    lease.problem = undefined;
    await clock.advance(leaseDuration / 3);
    assert.equal(lease.record?.holder, "a");
    assert.equal(a.state.missing(), undefined);
    assert.equal(said.length, 1);
  });

  it("API servers refuse the Lease => refused with what they lack, no work begun; with withoutLease => the work, and a word", async () => {
    lease.refusal = "cp1: GET /: HTTP 403: forbidden";
    const refused = engine("a");
    await assert.rejects(refused.ended, (thrown) => {
      assert.ok(thrown instanceof KmsEtcdError && thrown.code === "permission-denied");
      assert.match(thrown.message, /refused: cp1.*403/);
      assert.match(thrown.remedy ?? "", /allow it; .*--without-lease/);
      return true;
    });
    assert.equal(refused.state.begun, false);
    const b = engine("b", { withoutLease: true });
    await settled();
    assert.equal(b.state.begun, true);
    assert.equal(b.state.missing(), undefined);
    assert.match(said.join("\n"), /^b warning: going on without the Lease that keeps a second engine out: cp1.*403/);
  });

  it("began without the Lease, and another engine has it once API servers answer => stops", async () => {
    lease.problem = "away";
    const a = engine("a");
    await settled();
    lease.problem = undefined;
    lease.put("b", clock.now());
    await clock.advance(leaseDuration / 3);
    assert.equal(await a.ended, "stopped");
    assert.equal(a.state.lostTo, "b");
  });

  it("API servers away for a renewal or two => not a word; for longer => one warning, the work goes on", async () => {
    const a = engine("a");
    await settled();
    lease.problem = "restarting";
    await clock.advance(leaseDuration - 1_000);
    assert.deepEqual(said, []);
    assert.equal(a.state.missing(), undefined);
    await clock.advance(5 * leaseDuration);
    assert.equal(said.length, 1);
    assert.match(said.join(), /has run out: restarting$/);
    assert.equal(a.state.missing(), "restarting");
    lease.problem = undefined;
    await clock.advance(leaseDuration / 3);
    assert.equal(lease.record?.holder, "a");
    a.state.finish();
    assert.equal(await a.ended, "done");
  });

  it("deleted, rewritten by someone, or an old one restored with etcd => held again at the next renewal", async () => {
    engine("a", { identity: identity("a", { dead: ["dead"] }) });
    await settled();
    for (const disturb of [
      () => {
        lease.record = undefined;
      },
      () => lease.record && lease.put(lease.record.holder, lease.record.renewedAt),
      () => lease.put("long gone", clock.now() - 3_600_000),
      () => lease.put("dead", clock.now()),
    ]) {
      disturb();
      const renewedBefore = clock.now();
      await clock.advance(leaseDuration / 3);
      assert.equal(lease.record?.holder, "a");
      assert.ok(lease.record.renewedAt > renewedBefore);
    }
  });

  it("stopped while waiting => cancelled, no work; stopped while working => its signal, and the Lease is let go", async () => {
    lease.put("a", clock.now());
    const waiting = engine("b");
    await settled();
    waiting.stop.abort();
    await assert.rejects(waiting.ended, (thrown) => thrown instanceof KmsEtcdError && thrown.code === "cancelled");
    assert.equal(lease.record?.holder, "a");
    lease.record = undefined;
    const working = engine("c");
    await settled();
    working.stop.abort();
    assert.equal(await working.ended, "stopped");
    assert.equal(working.state.lostTo, undefined);
    assert.equal(lease.record, undefined);
  });

  it("stopped while a renewal is under way that the API server carries out => the Lease is let go all the same", async () => {
    const a = engine("a");
    await settled();
    const before = lease.record?.version;
    const write = lease.write.bind(lease);
    lease.write = async (expected, holder, signal) => {
      await write(expected, holder, signal);
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("cut off"))));
    };
    await clock.advance(leaseDuration / 3);
    assert.notEqual(lease.record?.version, before, "a renewal was written, and its answer is not there yet");
    a.state.finish();
    assert.equal(await a.ended, "done");
    assert.equal(lease.record, undefined);
  });

  it("the work throws => the same error, and the Lease is let go", async () => {
    const failure = new Error("from the work");
    const options = { lease, identity: identity("a"), clock, signal: new AbortController().signal, onEvent: () => {} };
    await assert.rejects(
      withEngineLease(options, () => Promise.reject(failure)),
      failure,
    );
    assert.equal(lease.record, undefined);
  });
});
