import assert from "node:assert/strict";
import type { Fleet } from "../../rotation/fleet";
import type { RotationEvent } from "../../rotation/run";
import { type AloneBy, runRotationAlone } from "../../rotation/run-alone";
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

  function run(alone: Partial<AloneBy> | undefined, fleet: Fleet = cluster.fleet) {
    return runRotationAlone(
      {
        goal: goalFor(1, ["cp1", "cp2"]),
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
    );
  }

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

  it("no API server answers => goes on, and a warning says so", async () => {
    lease.problem = "cp1: ECONNREFUSED";
    const outcome = await run({});
    assert.equal(outcome.kind, "done", outcome.reason);
    const warnings = events.filter((event) => event.kind === "warning").map((event) => event.message);
    assert.match(warnings.join("\n"), /going on without the Lease .*ECONNREFUSED/);
  });

  it("a platform without a Lease => the rotation as it is", async () => {
    assert.equal((await run(undefined)).kind, "done");
  });
});
