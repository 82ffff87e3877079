import assert from "node:assert/strict";
import { writerOf } from "../../core/encryption-configuration";
import { providerName } from "../../core/provider-name";
import { RewriteMethod } from "../../core/rewrite-method";
import { RotationStage } from "../../core/rotation-stage";
import { isUnreadable } from "../../rotation/declared-readers";
import { planRotation } from "../../rotation/plan";
import { runRotation } from "../../rotation/run";
import type { StoredObjects } from "../../rotation/stored-objects";
import { apiOnly } from "./api-only";
import { goalFor, keyVersion } from "./goals";
import { randomFrom } from "./random";
import { type SimulatedCluster, simulateCluster } from "./simulated-cluster";

const provider = (version: number) => `kms/v2/${providerName("v2", keyVersion(version).key, "secrets")}`;

/** `onRead` comes right before the first pass that reads every object through a pruned server. */
async function run(
  cluster: SimulatedCluster,
  version: number,
  more: Parameters<typeof goalFor>[2] = {},
  onRead: () => void = () => undefined,
) {
  const stored = apiOnly(cluster);
  let pass = 0;
  const goal = goalFor(
    version,
    cluster.hosts.map((host) => host.name),
    more,
  );
  return runRotation({
    goal,
    fleet: cluster.fleet,
    stored: {
      ...stored,
      readThrough: (...args) => {
        if ((pass += 1) === 1) onRead();
        return stored.readThrough(...args);
      },
    },
    clock: cluster.clock,
    onEvent: (event) => cluster.log.push(`        ${event.stage} ${event.kind}: ${event.message}`),
    signal: new AbortController().signal,
  });
}

function assertAllUnder(cluster: SimulatedCluster, version: number): void {
  for (const [name, object] of cluster.objects) assert.equal(object.provider, provider(version), name);
  for (const { name, loaded, plugins } of cluster.hosts) {
    assert.deepEqual(
      cluster.listFor(loaded).map((item) => writerOf([item])),
      [provider(version)],
      name,
    );
    assert.deepEqual([...plugins.keys()], [keyVersion(version).name], name);
  }
}

for (const reload of ["hot", "restart"] as const) {
  for (const hosts of [1, 3]) {
    describe(`${hosts} ${reload} servers that are known through the API alone`, () => {
      const made = () => simulateCluster({ hosts, reload, objects: 12, random: randomFrom(5) });

      it("are encrypted, rotated and rolled back", async () => {
        const cluster = made();
        for (const version of [1, 2, 1]) {
          const outcome = await run(cluster, version);
          assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
          assertAllUnder(cluster, version);
        }
      });

      it("a pruned server that cannot read everything => every declared reader comes back, and the rotation ends", async () => {
        const cluster = made();
        await run(cluster, 1);
        // An object of a key that no server's configuration has any more.
        const onRead = () => cluster.restore("s3", provider(3), "local-3");
        const outcome = await run(cluster, 2, {}, onRead);
        assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
        assertAllUnder(cluster, 2);
        assert.ok(cluster.log.some((line) => line.includes(`start ${keyVersion(3).name}`)));
      });

      it("an old backup restored after all are pruned => every declared reader comes back, and then all is rewritten", async () => {
        const cluster = made();
        await run(cluster, 1);
        const restore = cluster.snapshot();
        await run(cluster, 2);
        restore();
        const outcome = await run(cluster, 2);
        assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
        assertAllUnder(cluster, 2);
      });

      it("a backup from before encryption => plaintext is read again, and then encrypted", async () => {
        const cluster = made();
        const restore = cluster.snapshot();
        await run(cluster, 1);
        restore();
        const outcome = await run(cluster, 1);
        assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
        assertAllUnder(cluster, 1);
      });

      it("objects of a key that nobody has declared => the run ends, saying so, and what it has declared stays readable", async () => {
        const cluster = made();
        await run(cluster, 1);
        cluster.restore("s3", "kms/v2/another", "another");
        const outcome = await run(cluster, 1);
        assert.equal(outcome.kind, "blocked");
        assert.match(outcome.reason ?? "", /no matching prefix|informer-sync/);
        const read = new Set(
          cluster.hosts.flatMap(({ config }) => cluster.listFor(config).map((item) => writerOf([item]))),
        );
        assert.deepEqual([...read].sort(), [1, 2, 3].map(provider).concat("identity").sort());
      });

      it("a declared key that cannot be used does not keep the others from coming back", async () => {
        const cluster = made();
        await run(cluster, 1);
        const restore = cluster.snapshot();
        await run(cluster, 2);
        restore();
        for (const host of cluster.hosts) {
          host.plugins.set(keyVersion(3).name, {
            startedAt: 0,
            material: "local-3",
            image: "first",
            runs: { image: "first", since: 0 },
            answered: false,
            broken: true,
            socketMissing: false,
          });
        }
        const outcome = await run(cluster, 2);
        assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
        assertAllUnder(cluster, 2);
      });

      it("a retired key's reader does not come back", async () => {
        const cluster = made();
        await run(cluster, 1);
        const restore = cluster.snapshot();
        await run(cluster, 2);
        restore();
        const outcome = await run(cluster, 2, { retired: [keyVersion(3).name] });
        assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
        assert.ok(!cluster.log.some((line) => line.includes(`start ${keyVersion(3).name}`)));
      });
    });
  }
}

describe("a rewrite without a way to etcd", () => {
  const made = () => simulateCluster({ hosts: 3, reload: "hot", objects: 12, random: randomFrom(5), clients: false });

  /** What is done to the stored objects, in order, and how many of them a measurement has written. */
  function watched(cluster: SimulatedCluster) {
    const steps: string[] = [];
    let writtenByLooking = 0;
    const stored = apiOnly(cluster);
    const stale = () => [...cluster.objects.values()].filter(({ provider: id }) => id !== provider(1)).length;
    const watching: StoredObjects = {
      ...stored,
      measure: async (...args) => {
        steps.push("measure");
        const before = stale();
        const proof = await stored.measure(...args);
        writtenByLooking += before - stale();
        return proof;
      },
      rewrite: (...args) => {
        steps.push(`rewrite by ${args[4] ?? "nobody in particular"}`);
        return stored.rewrite(...args);
      },
      count: async (targets, servers) => ({
        method: "counted",
        startedAt: cluster.clock.now(),
        finishedAt: cluster.clock.now(),
        servers,
        resources: targets.map(({ resource }) => ({ resource, objects: 12, bytes: 0, keys: [], unknown: 12 })),
      }),
    };
    return { stored: watching, steps, writtenByLooking: () => writtenByLooking };
  }
  const names = (cluster: SimulatedCluster) => cluster.hosts.map((host) => host.name);
  const signal = new AbortController().signal;

  it("is an action of its own, done by whom the goal names; proving finds nothing left to write", async () => {
    const cluster = made();
    const { stored, steps, writtenByLooking } = watched(cluster);
    const goal = goalFor(1, names(cluster), { rewriteBy: RewriteMethod.InTreeMigration });
    const { fleet, clock } = cluster;
    const outcome = await runRotation({ goal, fleet, stored, clock, onEvent: () => undefined, signal });
    assert.equal(outcome.kind, "done", outcome.reason);
    assert.deepEqual(steps.slice(0, 2), ["rewrite by InTreeMigration", "measure"]);
    assert.equal(steps.filter((step) => step.startsWith("rewrite")).length, 1);
    assert.equal(writtenByLooking(), 0);
    const again = steps.length;
    assert.equal((await runRotation({ goal, fleet, stored, clock, onEvent: () => undefined, signal })).kind, "done");
    assert.ok(
      steps.slice(again).every((step) => step === "measure"),
      "at the goal there is nothing to rewrite",
    );
  });

  it("is in the plan, with all that is stored, and in no plan of a cluster at the goal", async () => {
    const cluster = made();
    const { stored } = watched(cluster);
    const { fleet, clock } = cluster;
    const goal = goalFor(1, names(cluster));
    const plan = await planRotation({ goal, fleet, stored, signal });
    const rewriting = plan.stages.find(({ stage }) => stage === RotationStage.Rewrite);
    assert.deepEqual([plan.blocked, rewriting?.objects], [undefined, 12]);
    assert.match(rewriting?.summary ?? "", /cannot be seen without access to etcd, so all are written again/);
    assert.equal(plan.rewrite?.resources[0]?.stale, 12);
    await runRotation({ goal, fleet, stored, clock, onEvent: () => undefined, signal });
    assert.equal((await planRotation({ goal, fleet, stored, signal })).changes, false);
  });

  it("is not begun while somebody upgrades the servers", async () => {
    const cluster = made();
    const { stored, steps } = watched(cluster);
    const { fleet, clock } = cluster;
    const held = goalFor(1, names(cluster), { advanceTo: RotationStage.Write });
    await runRotation({ goal: held, fleet, stored, clock, onEvent: () => undefined, signal });
    (cluster.hosts[0] as { version: string }).version = "v1.37.0";
    const goal = goalFor(1, names(cluster));
    const outcome = await runRotation({ goal, fleet, stored, clock, onEvent: () => undefined, signal });
    assert.deepEqual([outcome.kind, outcome.stage, steps], ["blocked", RotationStage.Rewrite, []]);
  });
});

describe("what counts as unreadable", () => {
  it("is what a server cannot decrypt, of one object or of a list, and no webhook that fails", () => {
    const list = "cp1: GET /api/v1/secrets: 500 InternalError: Internal error occurred: unable to transform key";
    for (const reason of ["500 InternalError: Internal error occurred: no matching prefix found", list, "HTTP 500"])
      assert.ok(isUnreadable({ reason }), reason);
    const webhook = '500 InternalError: failed calling webhook "a.example.com"';
    const election = "cp1: GET /api/v1/secrets: 500 InternalError: etcdserver: leader changed";
    for (const reason of [
      webhook,
      election,
      "403 Forbidden",
      "503 ServiceUnavailable",
      "cp1 does not answer (port 6500)",
    ])
      assert.ok(!isUnreadable({ reason }), reason);
  });
});
