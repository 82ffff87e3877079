import assert from "node:assert/strict";
import type { EtcdMember } from "../../rotation/observation";
import { planRotation } from "../../rotation/plan";
import { runRotation } from "../../rotation/run";
import { goalFor } from "./goals";
import { randomFrom } from "./random";
import { type SimulatedCluster, simulateCluster } from "./simulated-cluster";

const member: EtcdMember = {
  name: "https://10.0.0.1:2379",
  version: "3.6.5",
  state: "voting",
  problems: [],
  underWay: [],
};

describe("somebody else at work on the control plane", function () {
  this.timeout(30_000);

  async function encrypted(): Promise<SimulatedCluster> {
    const cluster = simulateCluster({ hosts: 3, reload: "hot", objects: 5, random: randomFrom(2) });
    assert.equal((await run(cluster, 1)).kind, "done");
    return cluster;
  }
  const goal = (cluster: SimulatedCluster, version: number) =>
    goalFor(
      version,
      cluster.hosts.map(({ name }) => name),
    );
  const run = (cluster: SimulatedCluster, version: number, onWait: (message: string) => void = () => undefined) =>
    runRotation({
      goal: goal(cluster, version),
      fleet: cluster.fleet,
      stored: cluster.stored,
      clock: cluster.clock,
      onEvent: ({ kind, message }) => {
        if (kind === "waiting") onWait(message);
      },
      signal: new AbortController().signal,
    });
  const plan = ({ fleet, stored, ...cluster }: SimulatedCluster, version: number) =>
    planRotation({
      goal: goal({ fleet, stored, ...cluster }, version),
      fleet,
      stored,
      signal: new AbortController().signal,
    });

  it("API servers of two versions => nothing is begun, preview says so, and it goes on once they are of one", async () => {
    const cluster = await encrypted();
    const [first] = cluster.hosts;
    assert.ok(first);
    first.version = "v1.37.0";
    const effects = cluster.effects();
    const refused = await run(cluster, 2);
    assert.equal(refused.kind, "blocked");
    assert.equal(refused.reason, "an upgrade of the API servers is under way: cp1 runs v1.37.0; cp2, cp3 run v1.36.3");
    assert.match(refused.remedy ?? "", /finish it/);
    assert.equal(cluster.effects(), effects);
    assert.match((await plan(cluster, 2)).blocked?.reason ?? "", /an upgrade of the API servers/);
    for (const host of cluster.hosts) host.version = "v1.37.0";
    assert.equal((await run(cluster, 2)).kind, "done");
  });

  it("servers or members of two patch levels => it waits, and goes on when they stay so", async () => {
    for (const mix of ["servers", "members"] as const) {
      const cluster = await encrypted();
      const [first] = cluster.hosts;
      assert.ok(first);
      if (mix === "servers") first.version = "v1.36.4";
      else cluster.faults.etcdMembers = [member, { ...member, version: "3.6.6" }];
      const waits: string[] = [];
      const before = cluster.clock.now();
      const outcome = await run(cluster, 2, (message) => waits.push(message));
      assert.equal(outcome.kind, "done", outcome.reason);
      assert.match(waits[0] ?? "", /an upgrade/);
      assert.ok(cluster.clock.now() - before >= 600_000);
    }
  });

  it("a backup that takes a quarter of an hour is waited for, one that never ends is not", async () => {
    for (const [minutes, kind] of [
      [15, "done"],
      [1_000, "blocked"],
    ] as const) {
      const cluster = await encrypted();
      const until = cluster.clock.now() + minutes * 60_000;
      const stored = {
        ...cluster.stored,
        members: async () => [{ ...member, underWay: cluster.clock.now() < until ? (["snapshot"] as const) : [] }],
      };
      const outcome = await run({ ...cluster, stored }, 2);
      assert.equal(outcome.kind, kind, outcome.reason);
    }
  });

  it("a cluster that is at its goal => no upgrade is in anybody's way", async () => {
    const cluster = await encrypted();
    const [first] = cluster.hosts;
    assert.ok(first);
    first.version = "v1.37.0";
    assert.equal((await run(cluster, 1)).kind, "done");
  });

  it("what repairs is done in the middle of an upgrade too", async () => {
    const cluster = await encrypted();
    const [first, second] = cluster.hosts;
    assert.ok(first && second);
    first.version = "v1.37.0";
    second.garbage = "sha256:00";
    const outcome = await run(cluster, 1);
    assert.deepEqual([outcome.kind, second.garbage], ["done", undefined], outcome.reason);
  });

  for (const [what, members, said] of [
    ["a learner", [member, { ...member, name: "m2", state: "joining" }], /m2 is on its way into the cluster/],
    ["an alarm", [{ ...member, problems: ["memberID:1 alarm:NOSPACE "] }], /alarm:NOSPACE/],
    ["members of two versions", [member, { ...member, version: "3.7.0" }], /its members run 3.6.5 and 3.7.0/],
  ] as const) {
    it(`etcd has ${what} => nothing is begun`, async () => {
      const cluster = await encrypted();
      cluster.faults.etcdMembers = members;
      const effects = cluster.effects();
      const refused = await run(cluster, 2);
      assert.equal(refused.kind, "blocked");
      assert.match(refused.reason ?? "", said);
      assert.equal(cluster.effects(), effects);
      cluster.faults.etcdMembers = [member];
      assert.equal((await run(cluster, 2)).kind, "done");
    });
  }

  it("somebody takes a snapshot of etcd => it is waited for, by name, and then the rotation goes on by itself", async () => {
    const cluster = await encrypted();
    const until = cluster.clock.now() + 30_000;
    const waits: string[] = [];
    const stored = {
      ...cluster.stored,
      members: async () => [{ ...member, underWay: cluster.clock.now() < until ? (["snapshot"] as const) : [] }],
    };
    const outcome = await run({ ...cluster, stored }, 2, (message) => waits.push(message));
    assert.equal(outcome.kind, "done", outcome.reason);
    assert.match(waits[0] ?? "", /a snapshot of etcd on https:\/\/10.0.0.1:2379 to end/);
    const busy = { ...stored, members: async () => [{ ...member, underWay: ["snapshot"] as const }] };
    const planned = await plan({ ...cluster, stored: busy }, 1);
    assert.equal(planned.blocked, undefined);
    assert.match(planned.warnings.join("; "), /the run waits for a snapshot of etcd/);
  });
});
