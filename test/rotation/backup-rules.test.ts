import assert from "node:assert/strict";
import { planRotation } from "../../rotation/plan";
import { runRotation } from "../../rotation/run";
import type { StoredObjects } from "../../rotation/stored-objects";
import { goalFor } from "./goals";
import { randomFrom } from "./random";
import { simulateCluster } from "./simulated-cluster";

describe("a snapshot of etcd before PRUNE", function () {
  this.timeout(60_000);
  const { signal } = new AbortController();
  const directory = "/snapshots";

  /** Two servers at version 1, and snapshots that count how many providers each file had when they were taken. */
  async function clusterAtOne() {
    const cluster = simulateCluster({ hosts: 2, reload: "restart", objects: 6, random: randomFrom(7), clients: false });
    const taken: (readonly number[])[] = [];
    const readers = () => cluster.hosts.map((host) => cluster.listFor(host.config).length);
    const stored: StoredObjects = {
      ...cluster.stored,
      async snapshot(request) {
        taken.push(readers());
        const etcd = await cluster.stored.position?.(signal);
        if (etcd === undefined) throw new Error("no etcd");
        const record = {
          formatVersion: 1,
          snapshot: "etcd-1.db",
          bytes: 1,
          sha256: "",
          takenAt: "",
          unknown: 0,
        } as const;
        return { directory: request.directory, record: { ...record, ...etcd, needs: [] }, etcd };
      },
    };
    const messages: string[] = [];
    const goal = (version: number, more: object = {}) => goalFor(version, ["cp1", "cp2"], more);
    const run = (version: number, more: object = {}, options: object = {}) => {
      const { fleet, clock } = cluster;
      const onEvent = ({ message }: { readonly message: string }) => void messages.push(message);
      return runRotation({ goal: goal(version, more), fleet, stored, clock, onEvent, signal, ...options });
    };
    await run(1);
    return { cluster, run, taken, messages, readers, goal, stored };
  }

  it("asked for from the beginning => one, while every server still reads the old key; at the goal no other", async () => {
    const { run, taken } = await clusterAtOne();
    assert.equal((await run(2, { etcdSnapshot: { directory } })).kind, "done");
    assert.deepEqual(taken, [[2, 2]]);
    assert.equal((await run(2, { etcdSnapshot: { directory } })).snapshot, undefined);
    assert.equal(taken.length, 1);
  });

  it("asked for when an earlier run has pruned the first server => one is kept before the next lets go, and said so", async () => {
    const { cluster, run, taken, messages, readers, goal, stored } = await clusterAtOne();
    await run(2, { advanceTo: "Verify" });
    assert.deepEqual(readers(), [2, 2]);
    while (!readers().includes(1)) await run(2, {}, { maxActions: 1 });
    assert.deepEqual(readers(), [1, 2]);
    const wanted = goal(2, { etcdSnapshot: { directory } });
    const plan = await planRotation({ goal: wanted, fleet: cluster.fleet, stored, signal });
    assert.deepEqual([plan.blocked, taken.length], [undefined, 0]);
    const { kind, snapshot } = await run(2, { etcdSnapshot: { directory } });
    assert.deepEqual([kind, snapshot?.directory, taken], ["done", directory, [[1, 2]]]);
    assert.match(
      messages.join("\n"),
      /before anything more leaves a configuration \(cp1 has let go already, in an earlier run\)/,
    );
  });
});
