import assert from "node:assert/strict";
import { planRotation } from "../../rotation/plan";
import { runRotation } from "../../rotation/run";
import { goalFor } from "./goals";
import { randomFrom } from "./random";
import { simulateCluster } from "./simulated-cluster";

describe("hosts that could not be asked in time", () => {
  const signal = new AbortController().signal;

  for (const hosts of [3, 1]) {
    it(`${hosts} of them => the plan says that, and not that a file is missing`, async () => {
      const cluster = simulateCluster({ hosts, reload: "hot", objects: 10, random: randomFrom(3) });
      const { fleet, stored, clock } = cluster;
      const servers = cluster.hosts.map(({ name }) => name);
      await runRotation({ goal: goalFor(1, servers), fleet, stored, clock, signal, onEvent: () => undefined });
      for (const target of cluster.hosts) {
        target.unseen = true;
        target.downUntil = clock.now() + 60_000;
      }
      const plan = await planRotation({ goal: goalFor(2, servers), fleet, stored, signal });
      assert.match(plan.blocked?.reason ?? "", /^cp1: cannot be reached: connection refused/);
      assert.match(plan.blocked?.remedy ?? "", /bring cp1.* back, or take it out/);
      assert.doesNotMatch(JSON.stringify([plan.blocked, plan.warnings]), /has no encryption configuration file/);
      assert.equal(plan.changes, false);
    });
  }
});
