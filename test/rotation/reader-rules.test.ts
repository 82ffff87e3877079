import assert from "node:assert/strict";
import { planRotation } from "../../rotation/plan";
import { runRotation } from "../../rotation/run";
import { goalFor } from "./goals";
import { randomFrom } from "./random";
import { simulateCluster } from "./simulated-cluster";

describe("servers that differ are looked at first", function () {
  this.timeout(60_000);
  it("a plugin that is started then => in the stage that the plan has it in", async () => {
    const { signal } = new AbortController();
    const cluster = simulateCluster({ hosts: 2, reload: "restart", objects: 6, random: randomFrom(7), clients: false });
    const { fleet, stored, clock } = cluster;
    const readers = () => cluster.hosts.map((host) => cluster.listFor(host.config).length);
    const acted: string[] = [];
    const run = (version: number, options: object = {}) =>
      runRotation({
        ...{ goal: goalFor(version, ["cp1", "cp2"]), fleet, stored, clock, signal },
        onEvent: ({ kind, stage }) => {
          if (kind === "action") acted.push(stage);
        },
        ...options,
      });
    await run(1);
    while (!readers().includes(2)) await run(2, { maxActions: 1 });
    await run(2, { maxActions: 1 }); // the restart
    await run(2, { maxActions: 0 }); // until the server is back
    assert.deepEqual(readers(), [2, 1], "one server reads a key that the other one does not");
    acted.length = 0;
    const plan = await planRotation({ goal: goalFor(3, ["cp1", "cp2"]), fleet, stored, signal });
    assert.equal((await run(3)).kind, "done");
    assert.deepEqual(
      [...new Set(acted)],
      plan.stages.map(({ stage }) => stage),
    );
    assert.equal(plan.stages[0]?.stage, "Plugin");
  });
});
