import assert from "node:assert/strict";
import { readersOf } from "../../core/encryption-configuration";
import { RotationStage } from "../../core/rotation-stage";
import { planRotation } from "../../rotation/plan";
import { runRotation } from "../../rotation/run";
import type { StoredObjects } from "../../rotation/stored-objects";
import { goalFor } from "./goals";
import { randomFrom } from "./random";
import { simulateCluster } from "./simulated-cluster";

describe("custom resources that nobody serves", () => {
  const signal = new AbortController().signal;

  function clusterWith(unproven: readonly string[]) {
    const cluster = simulateCluster({ hosts: 3, reload: "hot", objects: 10, random: randomFrom(5) });
    const stored: StoredObjects = {
      ...cluster.stored,
      measure: async (...input) => ({ ...(await cluster.stored.measure(...input)), unproven }),
    };
    const servers = cluster.hosts.map((host) => host.name);
    const run = (version: number) =>
      runRotation({
        goal: goalFor(version, servers),
        fleet: cluster.fleet,
        stored,
        clock: cluster.clock,
        onEvent: () => undefined,
        signal,
      });
    return { cluster, stored, servers, run };
  }

  it("what they hold is not known => PRUNE does not begin, and old and new key both stay readable", async () => {
    const { cluster, run } = clusterWith(["pandas.example.com"]);
    const outcome = await run(1);
    assert.deepEqual([outcome.kind, outcome.stage], ["blocked", RotationStage.Prune]);
    assert.match(outcome.reason ?? "", /no API server serves pandas\.example\.com/);
    assert.match(outcome.remedy ?? "", /etcd/);
    assert.equal(outcome.evidence.complete, false);
    for (const host of cluster.hosts) assert.ok(readersOf(cluster.listFor(host.config)).has("identity"));
  });

  it("none => the change is carried out", async () => {
    assert.equal((await clusterWith([]).run(1)).kind, "done");
  });
});

describe("the plan's numbers", () => {
  it("have what is stored by resource, who has a say, and the calls to the KMS", async () => {
    const cluster = simulateCluster({ hosts: 3, reload: "hot", objects: 10, random: randomFrom(5) });
    const stored: StoredObjects = {
      ...cluster.stored,
      outlook: async () => ({
        admission: [{ resource: "secrets", mutatingWebhooks: ["m.example.com"], validatingWebhooks: [], policies: [] }],
        reads: { objects: 900, milliseconds: 1_000, all: false, failures: [] },
      }),
    };
    const servers = cluster.hosts.map((host) => host.name);
    const signal = new AbortController().signal;
    const plan = await planRotation({ goal: goalFor(1, servers), fleet: cluster.fleet, stored, signal });
    assert.equal(plan.rewrite?.objectsPerSecond, 300);
    assert.deepEqual(plan.rewrite.resources, [
      {
        resource: "secrets",
        objects: 10,
        stale: 10,
        bytes: 10_000,
        mutatingWebhooks: ["m.example.com"],
        validatingWebhooks: [],
        policies: [],
      },
    ]);
    assert.match(plan.basis, /900 reads\/s just now/);
    assert.match(plan.warnings.join("\n"), /every write of secrets passes mutating webhooks m\.example\.com/);
    // READ, WRITE and PRUNE are a load of one KMS provider on each of three servers.
    assert.equal(plan.kmsCalls.encrypt, 9);
    assert.ok(plan.kmsCalls.status > 9);
    assert.equal(plan.kmsCalls.decrypt, 3);
  });

  it("a look that fails is a warning, not the end of the plan", async () => {
    const cluster = simulateCluster({ hosts: 1, reload: "hot", objects: 10, random: randomFrom(5) });
    const stored: StoredObjects = {
      ...cluster.stored,
      outlook: async () => {
        throw new Error("webhooks may not be listed");
      },
    };
    const signal = new AbortController().signal;
    const plan = await planRotation({ goal: goalFor(1, ["cp1"]), fleet: cluster.fleet, stored, signal });
    assert.ok(plan.changes);
    assert.match(plan.warnings.join("\n"), /could not be looked into: webhooks may not be listed/);
  });
});
