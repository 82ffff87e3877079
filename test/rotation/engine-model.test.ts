import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type EncryptionConfiguration,
  type ProviderItem,
  readersOf,
  writerOf,
} from "../../core/encryption-configuration";
import { providerName } from "../../core/provider-name";
import { retirementObstacles } from "../../rotation/retire-keys";
import { runRotation } from "../../rotation/run";
import { disturbanceNames, disturbances, mend } from "./disturbances";
import { goalFor, keyVersion } from "./goals";
import { observationOf } from "./observation-of";
import { randomFrom } from "./random";
import { Killed, plaintextStart, type SimulatedCluster, simulateCluster } from "./simulated-cluster";

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

/** Clusters as others have set them up, and what is wanted of them; every kind of object in them is to have the goal's key. */
const local = (name: string): ProviderItem => ({ kind: "aescbc", keys: [{ name, secret: "c2VjcmV0" }] });
const identity: ProviderItem = { kind: "identity" };
const block = (resources: string[], ...providers: ProviderItem[]) => ({ resources, providers });
const layouts = {
  plain: { start: plaintextStart, kinds: ["secrets"], resources: ["secrets"] },
  "one block for two": {
    start: { blocks: [block(["secrets", "configmaps"], local("a"), identity)] },
    kinds: ["secrets", "configmaps"],
    resources: ["secrets"],
  },
  "a resource in two blocks": {
    start: {
      blocks: [
        block(["configmaps", "deployments.apps"], local("b"), identity),
        block(["secrets", "configmaps"], local("a"), identity),
      ],
    },
    kinds: ["secrets", "configmaps", "deployments.apps"],
    resources: ["secrets"],
  },
  "wildcards beside exact names": {
    start: { blocks: [block(["deployments.apps", "*.batch"], local("a"), identity), block(["secrets"], identity)] },
    kinds: ["secrets", "deployments.apps", "statefulsets.apps", "jobs.batch"],
    resources: ["secrets", "*.apps"],
  },
  everything: { start: plaintextStart, kinds: ["secrets", "configmaps", "jobs.batch"], resources: ["secrets", "*.*"] },
} as const satisfies Record<string, { start: EncryptionConfiguration; kinds: string[]; resources: string[] }>;
type Layout = keyof typeof layouts;

function assertEverythingAtGoal(cluster: SimulatedCluster, version: number | "identity", layout: Layout): void {
  const endpoint = version === "identity" ? undefined : cluster.fleet.endpoint(keyVersion(version));
  for (const { name, loaded } of cluster.hosts) {
    for (const kind of layouts[layout].kinds) {
      const endpoints = cluster.listFor(loaded, kind).map((item) => (item.kind === "kms" ? item.endpoint : undefined));
      assert.deepEqual([...new Set(endpoints)], [endpoint], `${name} has loaded only the goal's provider for ${kind}`);
    }
  }
  const [{ loaded } = { loaded: plaintextStart }] = cluster.hosts;
  const keyId = version === "identity" ? undefined : cluster.presentKeyId(`local-${version}`);
  for (const [name, { resource, provider, keyId: storedKeyId }] of cluster.objects)
    assert.deepEqual([provider, storedKeyId], [writerOf(cluster.listFor(loaded, resource)), keyId], name);
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
    for (const { runs } of host.plugins.values()) assert.equal(runs?.image, cluster.faults.image, host.name);
  }
  const keyId = version === "identity" ? undefined : cluster.presentKeyId(`local-${version}`);
  for (const [name, object] of cluster.objects) {
    assert.equal(object.provider, wanted, name);
    assert.equal(object.keyId, keyId, name);
  }
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

  it("survives the same with blocks of all kinds, which others have made", async function () {
    this.timeout(24 * 3_600_000);
    const made = fc.constantFrom<Layout[]>(...(Object.keys(layouts) as Layout[]).filter((name) => name !== "plain"));
    const property = fc.asyncProperty(
      fc.integer(),
      fc.integer({ min: 1, max: 3 }),
      reloads,
      lives,
      versions,
      made,
      live,
    );
    const settings = { numRuns: Math.ceil(runs / 4), ...(seed === undefined ? {} : { seed: Number(seed) }) };
    await fc.assert(property, settings);
  });

  it("survives kills anywhere, goals that change and all that befalls clusters, with every invariant held at every step", async function () {
    this.timeout(24 * 3_600_000);
    const begun = Date.now();
    const details = await fc.check(
      fc.asyncProperty(
        fc.integer(),
        fc.integer({ min: 1, max: 4 }),
        reloads,
        lives,
        versions,
        fc.constant("plain"),
        live,
      ),
      {
        numRuns: runs,
        ...(seed === undefined ? {} : { seed: Number(seed) }),
        ...(seconds === undefined ? {} : { interruptAfterTimeLimit: Number(seconds) * 1_000 }),
      },
    );
    if (runs > 1_000) console.log(`      ${details.numRuns} lives, seed ${details.seed}, ${Date.now() - begun} ms`);
    if (details.failed) throw new Error(fc.defaultReportMessage(details), { cause: details.errorInstance });
  });
});

/** For long runs: `MODEL_RUNS=10000 MODEL_SECONDS=3600`; a failure names its seed for `MODEL_SEED`. */
const seed = process.env["MODEL_SEED"];
const seconds = process.env["MODEL_SECONDS"];
const reloads = fc.constantFrom("hot" as const, "restart" as const);
const versions = fc.constantFrom<(number | "identity")[]>(1, 2, 3, "identity");
const lives = fc.array(
  fc.record({
    version: versions,
    killAfter: fc.integer({ min: 0, max: 16 }),
    /** Before the run, and after so many effects in it. */
    before: fc.constantFrom(...disturbanceNames),
    meanwhile: fc.constantFrom(...disturbanceNames),
    after: fc.integer({ min: 1, max: 12 }),
    etcd: fc.constantFrom("goes on", "goes on", "goes on", "is restored before", "is restored meanwhile"),
    joins: fc.integer({ min: 0, max: 9 }).map((number) => number === 0),
  }),
  { maxLength: 6 },
);
type Life = typeof lives extends fc.Arbitrary<infer T> ? T : never;

async function live(
  number: number,
  hosts: number,
  reload: "hot" | "restart",
  life: Life,
  last: number | "identity",
  layout: Layout,
): Promise<void> {
  const random = randomFrom(number);
  const { start, kinds, resources } = layouts[layout];
  const cluster = simulateCluster({ hosts, reload, objects: 8, random, start, resources: kinds });
  const snapshots: (() => void)[] = [];
  /** One that needs a key of others' is left out: once pruned, that key is in nothing that the engine was given. */
  const keepSnapshot = () => {
    if ([...cluster.objects.values()].some(({ provider }) => provider.startsWith("aescbc/"))) return;
    snapshots.push(cluster.snapshot());
  };
  keepSnapshot();
  for (const { version, killAfter, before, meanwhile, after, etcd, joins } of life) {
    cluster.faults.killAfter = cluster.effects() + killAfter;
    if (joins && cluster.hosts.length < 5) cluster.join();
    disturbances[before](cluster, random);
    const restore = snapshots[Math.floor(random() * snapshots.length)];
    if (etcd === "is restored before") restore?.();
    const strike = () => {
      disturbances[meanwhile](cluster, random);
      if (etcd === "is restored meanwhile") restore?.();
    };
    cluster.faults.strike = { after: cluster.effects() + after, work: strike };
    try {
      await run(cluster, version, { resources });
    } catch (thrown) {
      if (!(thrown instanceof Killed)) throw thrown;
    }
    cluster.faults.strike = undefined;
    await assertRetirementIsSound(cluster, version, resources);
    keepSnapshot();
    mend(cluster);
    cluster.advance(Math.floor(random() * 90_000));
  }
  cluster.faults.killAfter = Number.POSITIVE_INFINITY;
  const outcome = await run(cluster, last, { resources });
  assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-40).join("\n")}`);
  if (layout === "plain") assertAtGoal(cluster, last);
  assertEverythingAtGoal(cluster, last, layout);
  for (const version of [1, 2, 3]) {
    const obstacles = await obstaclesTo(cluster, last, version, resources);
    assert.equal(obstacles.length === 0, version !== last, `version ${version}: ${obstacles.join("; ")}`);
  }
}

async function obstaclesTo(
  cluster: SimulatedCluster,
  active: number | "identity",
  version: number,
  resources: readonly string[],
) {
  const servers = cluster.hosts.map((host) => host.name);
  const goal = goalFor(active, servers, { resources });
  const observed = await observationOf(cluster, goal);
  const view = { observed, goal, endpointOf: cluster.fleet.endpoint.bind(cluster.fleet), snapshots: [] };
  return retirementObstacles(view, { version, plugin: keyVersion(version) });
}

/** Whatever state a run has left: a key that may be retired is one that nothing stored and no server needs. */
async function assertRetirementIsSound(
  cluster: SimulatedCluster,
  active: number | "identity",
  resources: readonly string[],
): Promise<void> {
  for (const version of [1, 2, 3]) {
    if ((await obstaclesTo(cluster, active, version, resources)).length > 0) continue;
    const { key } = keyVersion(version);
    const provider = `kms/v2/${providerName("v2", key, "secrets")}`;
    for (const [name, object] of cluster.objects)
      assert.notEqual(object.provider, provider, `${name} needs ${version}`);
    for (const host of cluster.hosts) {
      for (const config of [host.config, host.loaded])
        assert.ok(!readersOf(cluster.listFor(config)).has(provider), `${host.name} reads with ${version}`);
    }
  }
}
