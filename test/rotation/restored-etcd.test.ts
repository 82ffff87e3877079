import assert from "node:assert/strict";
import { defaultLimits } from "../../rotation/goal";
import { runRotation } from "../../rotation/run";
import { goalFor } from "./goals";
import { randomFrom } from "./random";
import { simulateCluster } from "./simulated-cluster";

describe("an etcd that is restored from before a rotation, under servers that reload by restarts", () => {
  for (const hosts of [1, 3]) {
    it(`${hosts} servers => waited for once, then each is restarted as soon as it has its file`, async () => {
      const cluster = simulateCluster({ hosts, reload: "restart", objects: 10, random: randomFrom(3) });
      const restarts: number[] = [];
      const rotate = (version: number) =>
        runRotation({
          goal: goalFor(
            version,
            cluster.hosts.map(({ name }) => name),
          ),
          fleet: cluster.fleet,
          stored: cluster.stored,
          clock: cluster.clock,
          onEvent: ({ kind, message, at }) => {
            if (kind === "action" && message.includes("restart the API server")) restarts.push(at);
          },
          signal: new AbortController().signal,
        });
      await rotate(1);
      const restore = cluster.snapshot();
      await rotate(2);
      restore();
      const begun = cluster.clock.now();
      restarts.length = 0;
      const outcome = await rotate(2);
      assert.equal(outcome.kind, "done", outcome.reason);
      const waited = restarts.slice(0, hosts).map((at) => at - begun);
      assert.ok(Math.min(...waited) > defaultLimits.ready, "the first may come back by itself");
      assert.ok(
        Math.max(...waited) < defaultLimits.ready + hosts * 20_000,
        `${waited.join(", ")} ms until the restarts`,
      );
    });
  }
});
