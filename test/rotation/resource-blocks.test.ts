import assert from "node:assert/strict";
import type { EncryptionConfiguration, ProviderItem } from "../../core/encryption-configuration";
import { providerName } from "../../core/provider-name";
import { planRotation } from "../../rotation/plan";
import { runRotation } from "../../rotation/run";
import { goalFor, keyVersion } from "./goals";
import { randomFrom } from "./random";
import { type SimulatedCluster, simulateCluster } from "./simulated-cluster";

const identity: ProviderItem = { kind: "identity" };
const local = (name: string): ProviderItem => ({ kind: "aescbc", keys: [{ name, secret: "c2VjcmV0" }] });
const kinds = ["secrets", "configmaps", "pods", "deployments.apps", "statefulsets.apps", "jobs.batch"];

type Version = number | "identity";

function startWith(blocks: [string[], ProviderItem[]][], reload: "hot" | "restart" = "hot", hosts = 2) {
  const start: EncryptionConfiguration = {
    blocks: blocks.map(([resources, providers]) => ({ resources, providers })),
  };
  return simulateCluster({ hosts, reload, objects: 3, random: randomFrom(5), start, resources: kinds });
}

function goal(cluster: SimulatedCluster, version: Version, resources: readonly string[]) {
  const servers = cluster.hosts.map(({ name }) => name);
  return { goal: goalFor(version, servers, { resources }), signal: new AbortController().signal };
}

const plan = (cluster: SimulatedCluster, version: Version, resources: readonly string[]) =>
  planRotation({ ...goal(cluster, version, resources), fleet: cluster.fleet, stored: cluster.stored });

const run = (cluster: SimulatedCluster, version: Version, resources: readonly string[]) =>
  runRotation({
    ...goal(cluster, version, resources),
    fleet: cluster.fleet,
    stored: cluster.stored,
    clock: cluster.clock,
    onEvent: () => undefined,
  });

/** What plan and run say; the run gets to the end, and every kind is stored under the name of the slot that it is said to have. */
async function reaches(
  cluster: SimulatedCluster,
  version: Version,
  resources: readonly string[],
  stored: Readonly<Record<string, string>>,
): Promise<readonly string[]> {
  const { blocked, warnings } = await plan(cluster, version, resources);
  assert.equal(blocked, undefined);
  const { kind, reason } = await run(cluster, version, resources);
  assert.equal(kind, "done", reason);
  for (const { resource, provider } of cluster.objects.values()) {
    const slot = stored[resource];
    const name = slot && version !== "identity" && providerName("v2", keyVersion(version).key, slot);
    assert.equal(provider, name ? `kms/v2/${name}` : "identity", resource);
  }
  return warnings;
}

const blocksOf = (cluster: SimulatedCluster) =>
  cluster.hosts.map(({ loaded }) => loaded.blocks.map(({ resources }) => resources.join()).join(" "));

describe("blocks of an encryption configuration, as API servers read them", function () {
  this.timeout(120_000);

  for (const reload of ["hot", "restart"] as const) {
    it(`a wildcard beside a block with something that it covers, ${reload} => every server loads what is written`, async () => {
      const cluster = startWith(
        [
          [
            ["deployments.apps", "*.batch"],
            [local("a"), identity],
          ],
        ],
        reload,
        1,
      );
      const mixed = "*.batch,deployments.apps";
      const stored = { "deployments.apps": mixed, "jobs.batch": mixed, "statefulsets.apps": "*.apps" };
      const warnings = await reaches(cluster, 1, ["*.apps"], stored);
      assert.deepEqual(blocksOf(cluster), ["deployments.apps,*.batch *.apps"]);
      assert.match(warnings.join(), /^\*\.batch: not in resources, but in one block .* is encrypted and rotated along/);
    });

    it(`a resource in two blocks, ${reload} => its blocks move together, and it is stored by the first`, async () => {
      const cluster = startWith(
        [
          [
            ["configmaps", "pods"],
            [local("b"), identity],
          ],
          [
            ["secrets", "configmaps"],
            [local("a"), identity],
          ],
        ],
        reload,
      );
      const first = { configmaps: "configmaps,pods", pods: "configmaps,pods" };
      const stored = { ...first, secrets: "configmaps,secrets" };
      const warnings = await reaches(cluster, 1, ["secrets"], stored);
      assert.match(warnings.join(), /^configmaps, pods: not in resources/);
      await reaches(cluster, 2, ["secrets", "configmaps"], stored);
      const off = await reaches(cluster, "identity", ["secrets"], {});
      assert.match(off.join(), /configmaps, pods: .* so every object of it is written back in plaintext too/);
    });
  }

  it("the same resource in two blocks, one of them its own, under a new wildcard => each keeps its providers", async () => {
    const cluster = startWith([
      [["secrets"], [local("a"), identity]],
      [
        ["secrets", "configmaps"],
        [local("b"), identity],
      ],
    ]);
    const everything = Object.fromEntries(kinds.map((kind) => [kind, "*.*"]));
    await reaches(cluster, 1, ["*.*"], { ...everything, secrets: "secrets", configmaps: "configmaps,secrets" });
    await reaches(cluster, 2, ["*.*"], { ...everything, secrets: "secrets", configmaps: "configmaps,secrets" });
  });

  it("from a wildcard to single resources => refused with the way there, which is plaintext; then it goes", async () => {
    const cluster = startWith([[["*.*"], [local("a"), identity]]]);
    await reaches(cluster, 1, ["*.*"], Object.fromEntries(kinds.map((kind) => [kind, "*.*"])));
    const effects = cluster.effects();
    const { stages, blocked } = await plan(cluster, 1, ["secrets"]);
    assert.deepEqual(stages, []);
    const outcome = await run(cluster, 1, ["secrets"]);
    assert.equal(outcome.kind, "blocked");
    assert.deepEqual(blocked, { reason: outcome.reason, remedy: outcome.remedy });
    assert.match(outcome.remedy ?? "", /one run with "\*\.\*" still in resources and enabled: false/);
    assert.equal(cluster.effects(), effects);
    await reaches(cluster, "identity", ["*.*"], {});
    await reaches(cluster, 1, ["secrets"], { secrets: "secrets" });
    assert.deepEqual(blocksOf(cluster), ["secrets *.*", "secrets *.*"]);
  });

  it("a name that API servers refuse => said before anything is changed, in plan and run alike", async () => {
    const cluster = startWith([[["secrets"], [identity]]]);
    const resources = ["secrets", "events.events.k8s.io"];
    const { stages, blocked } = await plan(cluster, 1, resources);
    const outcome = await run(cluster, 1, resources);
    assert.deepEqual([stages, outcome.kind, cluster.effects()], [[], "blocked", 0]);
    assert.deepEqual(blocked, { reason: outcome.reason, remedy: outcome.remedy });
    assert.match(outcome.reason ?? "", /resources secrets, events\.events\.k8s\.io: .* stored as "events"/);
  });

  it("stored with a provider that only another block has => where it is, and no word of deleting", async () => {
    const cluster = startWith([
      [["secrets"], [identity]],
      [["configmaps"], [local("a"), identity]],
    ]);
    cluster.restore("s1", "aescbc/a", undefined);
    const { reason, remedy } = await run(cluster, 1, ["secrets"]);
    assert.match(
      reason ?? "",
      /1 stored object of secrets needs aescbc\/a, which the configuration of cp1 has for configmaps alone/,
    );
    assert.doesNotMatch(remedy ?? "", /delete/);
  });
});
