import assert from "node:assert/strict";
import { KmsEtcdError } from "../../core/errors";
import type { Fleet } from "../../rotation/fleet";
import type { KeyWork } from "../../rotation/key-work";
import { type AloneBy, runRotationAlone } from "../../rotation/run-alone";
import type { RotationEvent } from "../../rotation/run-events";
import { goalFor } from "./goals";
import { type ManualClock, manualClock } from "./manual-clock";
import { identity, type MemoryLease, memoryLease } from "./memory-lease";
import { randomFrom } from "./random";
import { type SimulatedCluster, simulateCluster } from "./simulated-cluster";

describe("a rotation as the one engine at work", () => {
  let cluster: SimulatedCluster;
  let clock: ManualClock;
  let lease: MemoryLease;
  let events: RotationEvent[];
  /** Who held the Lease at each event. */
  let holders: Set<string | undefined>;
  beforeEach(() => {
    cluster = simulateCluster({ hosts: 2, reload: "hot", objects: 10, random: randomFrom(5) });
    clock = manualClock();
    lease = memoryLease(clock);
    events = [];
    holders = new Set();
  });

  function run(alone: Partial<AloneBy> | undefined, fleet: Fleet = cluster.fleet, version = 1, keys?: KeyWork) {
    return runRotationAlone(
      {
        goal: goalFor(version, ["cp1", "cp2"]),
        fleet,
        stored: cluster.stored,
        clock: cluster.clock,
        signal: new AbortController().signal,
        onEvent: (event) => {
          events.push(event);
          holders.add(lease.record?.holder);
        },
      },
      alone && { lease, identity: identity("us"), clock, ...alone },
      keys,
    );
  }

  /** Notes who held the Lease, and how much the run had done by then. */
  function keyWork(refusal?: KmsEtcdError) {
    const calls: [string, string | undefined, boolean][] = [];
    const note = (what: string) => calls.push([what, lease.record?.holder, cluster.effects() > 0]);
    const keys: KeyWork = {
      reinstate: async () => void note("reinstate"),
      retire: async () => {
        note("retire");
        if (refusal !== undefined) throw refusal;
      },
    };
    return { calls, keys };
  }

  it("keys to reinstate and to retire => before and after the run, under the same Lease", async () => {
    const { calls, keys } = keyWork();
    assert.equal((await run({}, cluster.fleet, 1, keys)).kind, "done");
    assert.deepEqual(calls, [
      ["reinstate", "us", false],
      ["retire", "us", true],
    ]);
    assert.equal(lease.record, undefined);
  });

  it("a retirement that is refused => blocked with why, and what the run has proven is not thrown away", async () => {
    const { keys } = keyWork(new KmsEtcdError("blocked", "3 stored objects need it", { remedy: "wait" }));
    const { kind, reason, remedy, evidence } = await run({}, cluster.fleet, 1, keys);
    assert.deepEqual([kind, reason, remedy], ["blocked", "3 stored objects need it", "wait"]);
    assert.equal(evidence.complete, true);
  });

  it("another engine at work => no key is touched; no Lease to be had => reinstated, which helps, and none retired", async () => {
    lease.put("them, process 3 [x]", clock.now());
    const others = keyWork();
    await run({ identity: identity("us", { alive: ["them, process 3 [x]"] }) }, cluster.fleet, 1, others.keys);
    assert.deepEqual(others.calls, []);
    lease.record = undefined;
    await run({});
    lease.problem = "cp1: ECONNREFUSED";
    const without = keyWork();
    const { kind, reason } = await run({}, cluster.fleet, 1, without.keys);
    assert.equal(kind, "blocked");
    assert.match(reason ?? "", /no key is retired without the Lease .*ECONNREFUSED/);
    assert.deepEqual(
      without.calls.map(([what]) => what),
      ["reinstate"],
    );
  });

  it("nobody else => the rotation, with the Lease held all the way through", async () => {
    const outcome = await run({});
    assert.equal(outcome.kind, "done", outcome.reason);
    assert.equal(outcome.evidence.complete, true);
    assert.deepEqual([...holders], ["us"]);
    assert.equal(lease.record, undefined);
  });

  it("another engine at work => blocked with its name and a remedy, and the cluster was not touched", async () => {
    lease.put("them, process 3 [x]", clock.now());
    const outcome = await run({ identity: identity("us", { alive: ["them, process 3 [x]"] }) });
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /another engine is at work on this cluster: them, process 3, since/);
    assert.match(outcome.remedy ?? "", /let it finish/);
    assert.equal(outcome.evidence.method, "none");
    assert.equal(cluster.effects(), 0);
  });

  it("another engine takes the Lease in the middle => stops at a safe point and says who; a later run goes on", async () => {
    let looks = 0;
    const fleet: Fleet = {
      ...cluster.fleet,
      observe: async (signal) => {
        looks += 1;
        // The run is in virtual time of its own, so the Lease's time is moved on by hand.
        if (looks === 10) lease.put("them", clock.now());
        if (looks === 10) await clock.advance(6_000);
        return cluster.fleet.observe(signal);
      },
    };
    const outcome = await run({}, fleet);
    assert.equal(outcome.kind, "cancelled");
    assert.match(outcome.reason ?? "", /safe point, because them has taken over/);
    cluster.checkReadable("after the other engine took over");
    lease.record = undefined;
    assert.equal((await run({})).kind, "done");
  });

  it("no API server answers => what repairs is done, everything else waits for the Lease, then the run says so", async () => {
    await run({});
    const target = cluster.hosts[0];
    if (target === undefined) throw new Error("no host");
    target.garbage = "sha256:00";
    lease.problem = "cp1: ECONNREFUSED";
    const outcome = await run({}, cluster.fleet, 2);
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /only repairs are done without the Lease .*ECONNREFUSED/);
    assert.match(outcome.remedy ?? "", /--without-lease/);
    assert.equal(target.garbage, undefined, "the file was repaired");
    assert.ok(
      cluster.hosts.every((host) => host.plugins.size === 1),
      "no step of the rotation was done",
    );
    lease.problem = undefined;
    assert.equal((await run({}, cluster.fleet, 2)).kind, "done");
  });

  it("no API server answers, and whoever started it answers for being alone => goes on", async () => {
    lease.problem = "cp1: ECONNREFUSED";
    const outcome = await run({ withoutLease: true });
    assert.equal(outcome.kind, "done", outcome.reason);
    const warnings = events.filter((event) => event.kind === "warning").map((event) => event.message);
    assert.match(warnings.join("\n"), /going on without the Lease .*ECONNREFUSED/);
  });

  it("API servers refuse the Lease => blocked with the permission that is missing, and the cluster was not touched", async () => {
    lease.refusal = "cp1: HTTP 403";
    const outcome = await run({});
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /refused: cp1: HTTP 403/);
    assert.equal(cluster.effects(), 0);
  });

  it("a platform without a Lease => the rotation as it is", async () => {
    assert.equal((await run(undefined)).kind, "done");
  });
});
