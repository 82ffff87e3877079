import assert from "node:assert/strict";
import fc from "fast-check";
import { writerOf } from "../../core/encryption-configuration";
import { providerName } from "../../core/provider-name";
import { runRotation } from "../../rotation/run";
import { goalFor, keyVersion } from "./goals";
import { randomFrom } from "./random";
import { Killed, type SimulatedCluster, simulateCluster } from "./simulated-cluster";

async function run(cluster: SimulatedCluster, version: number | "identity", more: Parameters<typeof goalFor>[2] = {}) {
  const servers = cluster.hosts.map((host) => host.name);
  return runRotation({
    goal: goalFor(version, servers, more),
    fleet: cluster.fleet,
    stored: cluster.stored,
    clock: cluster.clock,
    onEvent: (event) => cluster.log.push(`        ${event.stage} ${event.kind}: ${event.message}`),
    signal: new AbortController().signal,
  });
}

function assertAtGoal(cluster: SimulatedCluster, version: number | "identity"): void {
  const wanted =
    version === "identity" ? "identity" : `kms/v2/${providerName("v2", keyVersion(version).key, "secrets")}`;
  for (const host of cluster.hosts) {
    assert.deepEqual(
      cluster.listFor(host.loaded).map((item) => writerOf([item])),
      [wanted],
      `${host.name} has loaded only the goal's provider`,
    );
    assert.deepEqual(
      [...host.plugins.keys()],
      version === "identity" ? [] : [keyVersion(version).name],
      `${host.name} runs only the goal's plugin`,
    );
  }
  for (const [name, object] of cluster.objects) assert.equal(object.provider, wanted, name);
}

const runs = Number(process.env["MODEL_RUNS"] ?? 300);

describe("the engine against a simulated cluster", function () {
  this.timeout(60_000);
  for (const reload of ["hot", "restart"] as const) {
    for (const hosts of [1, 3]) {
      it(`enables, rotates 1, 2, 3, rolls back to 2 and disables on ${hosts} ${reload} servers under load`, async () => {
        const cluster = simulateCluster({ hosts, reload, objects: 20, random: randomFrom(7) });
        for (const version of [1, 2, 3, 2, "identity"] as const) {
          const outcome = await run(cluster, version);
          assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
          assert.equal(outcome.evidence.complete, true);
          assertAtGoal(cluster, version);
        }
        if (reload === "hot") assert.equal(cluster.restarts(), 0);
      });
    }
  }

  it("does nothing when the cluster is at the goal", async () => {
    const cluster = simulateCluster({ hosts: 3, reload: "hot", objects: 5, random: randomFrom(1) });
    await run(cluster, 1);
    const before = cluster.effects();
    assert.equal((await run(cluster, 1)).kind, "done");
    assert.equal(cluster.effects(), before);
  });

  it("survives kills anywhere, goals that change and servers that come and go, with every invariant held at every step", async function () {
    this.timeout(600_000);
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom("hot" as const, "restart" as const),
        fc.array(
          fc.record({
            version: fc.constantFrom<(number | "identity")[]>(1, 2, 3, "identity"),
            killAfter: fc.integer({ min: 0, max: 12 }),
          }),
          { maxLength: 6 },
        ),
        fc.constantFrom<(number | "identity")[]>(1, 2, 3, "identity"),
        async (seed, hosts, reload, disturbances, last) => {
          const random = randomFrom(seed);
          const cluster = simulateCluster({ hosts, reload, objects: 8, random });
          for (const { version, killAfter } of disturbances) {
            cluster.faults.killAfter = cluster.effects() + killAfter;
            if (random() < 0.3) crash(cluster, random);
            try {
              await run(cluster, version);
            } catch (thrown) {
              if (!(thrown instanceof Killed)) throw thrown;
            }
            cluster.advance(Math.floor(random() * 90_000));
          }
          cluster.faults.killAfter = Number.POSITIVE_INFINITY;
          const outcome = await run(cluster, last);
          assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-40).join("\n")}`);
          assertAtGoal(cluster, last);
        },
      ),
      { numRuns: runs },
    );
  });
});

/** An API server's process dies; whoever runs static pods starts it again soon. */
function crash(cluster: SimulatedCluster, random: () => number): void {
  const host = cluster.hosts[Math.floor(random() * cluster.hosts.length)];
  if (host === undefined) return;
  host.unseen = random() < 0.5;
  host.downUntil = cluster.clock.now() + 1_000 + Math.floor(random() * 40_000);
}
