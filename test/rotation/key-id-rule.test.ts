import assert from "node:assert/strict";
import { planRotation } from "../../rotation/plan";
import { runRotation } from "../../rotation/run";
import { goalFor } from "./goals";
import { randomFrom } from "./random";
import { type SimulatedCluster, simulateCluster } from "./simulated-cluster";

/** The same key by name, the same configuration, and another key_id: nobody asked for a rotation, and one is needed. */
describe("a key management service that changes the key behind a provider", function () {
  this.timeout(30_000);

  function run(cluster: SimulatedCluster, onEvent: (kind: string, message: string) => void = () => undefined) {
    return runRotation({
      goal: goalFor(1, ["cp1", "cp2", "cp3"]),
      fleet: cluster.fleet,
      stored: cluster.stored,
      clock: cluster.clock,
      onEvent: ({ kind, message }) => onEvent(kind, message),
      signal: new AbortController().signal,
    });
  }

  for (const reload of ["hot", "restart"] as const) {
    it(`servers that ${reload === "hot" ? "reload" : "restart"} => a preview sees it, everything is rewritten once all have heard of it, nothing restarts`, async () => {
      const cluster = simulateCluster({ hosts: 3, reload, objects: 20, random: randomFrom(5) });
      assert.equal((await run(cluster)).kind, "done");
      const restarts = cluster.restarts();
      cluster.changeKeyInPlace("local-1", "local-1-new");
      const { fleet, stored } = cluster;
      const plan = await planRotation({
        goal: goalFor(1, ["cp1", "cp2", "cp3"]),
        fleet,
        stored,
        signal: new AbortController().signal,
      });
      assert.deepEqual(
        plan.stages.map(({ stage }) => stage),
        ["Rewrite"],
      );
      const said: string[] = [];
      const outcome = await run(cluster, (kind, message) => said.push(`${kind}: ${message}`));
      assert.equal(outcome.kind, "done", outcome.reason);
      assert.ok(outcome.evidence.complete);
      assert.deepEqual([...new Set([...cluster.objects.values()].map(({ keyId }) => keyId))], ["local-1-new"]);
      assert.ok(said.some((line) => /^waiting: waiting for .*to hear from its plugin that the key_id/.test(line)));
      assert.ok(said.filter((line) => line.startsWith("action:")).length <= 2, said.join("\n"));
      assert.equal(cluster.restarts(), restarts);
    });
  }

  it("a server that never changes over => the run says which, and what to look for", async () => {
    const cluster = simulateCluster({ hosts: 3, reload: "hot", objects: 5, random: randomFrom(5) });
    assert.equal((await run(cluster)).kind, "done");
    cluster.changeKeyInPlace("local-1", "local-1-new");
    const [, deaf] = cluster.hosts;
    assert.ok(deaf);
    deaf.nextStatus = Number.POSITIVE_INFINITY;
    const outcome = await run(cluster);
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /^cp2 still uses another key_id/);
    assert.match(outcome.remedy ?? "", /failed to rotate DEK/);
  });
});
