import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startTraffic, type Traffic } from "../../control-plane/client-traffic";
import { RotationStage } from "../../core/rotation-stage";
import { localPluginManifest } from "../../rotation/adapters/hosts/plugin-manifest";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

/**
 * Every change that a cluster can go through, on real API servers under readers and writers whose contents are compared. The
 * servers restart instead of reloading, because a restart takes seconds: requests that meet a restarting server do not count.
 */
const secret = () => randomBytes(32).toString("base64");

function configuration(providers: string, resources = "[secrets]"): string {
  return `apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: ${resources}\n  providers:\n${providers}`;
}

async function withCluster(
  options: Parameters<typeof realCluster>[0],
  work: (cluster: RealCluster, traffic: Traffic) => Promise<void>,
): Promise<void> {
  const cluster = await realCluster({ hosts: 2, automaticReload: false, ...options });
  try {
    await cluster.createSecrets(30);
    const traffic = startTraffic(cluster.controlPlane, { countUnreachable: false });
    await work(cluster, traffic);
    const report = await traffic.stop();
    assert.deepEqual(
      report.failures.filter((failure) => !/: (5\d\d|429|401) /.test(failure)),
      [],
    );
    for (let index = 0; index < 30; index += 1) {
      const { text } = await cluster.request(index % 2, "GET", `/api/v1/namespaces/default/secrets/s${index}`);
      assert.equal(
        Buffer.from((JSON.parse(text) as { data: { value: string } }).data.value, "base64").toString(),
        `plaintext-${index}`,
      );
    }
  } finally {
    await cluster.close();
  }
}

async function to(
  cluster: RealCluster,
  version: number | "identity",
  more: Parameters<RealCluster["goal"]>[1] = {},
): Promise<void> {
  const outcome = await cluster.rotate(version, more);
  assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
}

async function assertStored(cluster: RealCluster, version: number | "identity"): Promise<void> {
  assert.deepEqual(Object.keys(await cluster.storedProviders()), [
    version === "identity" ? "plaintext" : cluster.providerOf(version),
  ]);
}

describe("every change of the write key", function () {
  this.timeout(20 * 60_000);

  it("identity to v1, v1 to v3, back to v1 before, during and after REWRITE, and to identity", () =>
    withCluster({}, async (cluster) => {
      await to(cluster, 1);
      await to(cluster, 3);
      await assertStored(cluster, 3);
      await to(cluster, 1);
      for (const stage of [RotationStage.Read, RotationStage.Write, RotationStage.Rewrite, RotationStage.Verify]) {
        await to(cluster, 2, { advanceTo: stage });
        await to(cluster, 1);
        await assertStored(cluster, 1);
      }
      await to(cluster, "identity");
      await assertStored(cluster, "identity");
    }));

  for (const kind of ["aescbc", "secretbox", "aesgcm"]) {
    it(`${kind} to v1: a local key is left, with what was encrypted under its older key too`, () =>
      withCluster(
        {
          initialEncryptionConfig: configuration(
            `  - ${kind}:\n      keys:\n      - {name: new, secret: ${secret()}}\n      - {name: old, secret: ${secret()}}\n  - identity: {}\n`,
          ),
        },
        async (cluster) => {
          assert.match(Object.keys(await cluster.storedProviders()).join(), new RegExp(`k8s:enc:${kind}`));
          await to(cluster, 1);
          await assertStored(cluster, 1);
        },
      ));
  }

  it("a foreign configuration, with comments and names of its own, is adopted and left for v1", () =>
    withCluster(
      {
        initialEncryptionConfig: `# kept by the platform team\n${configuration(`  - aesgcm:\n      keys:\n      - {name: legacy, secret: ${secret()}}\n`, "[secrets, configmaps]")}`,
      },
      async (cluster) => {
        await to(cluster, 1);
        const [host] = cluster.controlPlane.hosts;
        const text = readFileSync(host?.encryptionConfigFile ?? "", "utf8");
        assert.match(text, /^# kept by the platform team/);
        assert.match(text, /configmaps/, "its other resources stay encrypted, with the new key");
        assert.doesNotMatch(text, /aesgcm|legacy/);
      },
    ));
});

describe("more and fewer resources", function () {
  this.timeout(20 * 60_000);

  const count = async (cluster: RealCluster, version: number | "identity", resources: string[]) => {
    const outcome = await cluster.rotate(version, { resources });
    assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
    return outcome.evidence;
  };

  it("+configmaps, +a custom resource, +*.*, and back to secrets alone", () =>
    withCluster({}, async (cluster) => {
      const crd = {
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "CustomResourceDefinition",
        metadata: { name: "pandas.example.com" },
        spec: {
          group: "example.com",
          scope: "Namespaced",
          names: { plural: "pandas", kind: "Panda" },
          versions: [
            {
              name: "v1",
              served: true,
              storage: true,
              schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
            },
          ],
        },
      };
      assert.equal(
        (await cluster.request(0, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)).status,
        201,
      );
      let made = 0;
      for (
        const until = Date.now() + 30_000;
        made < 5 && Date.now() < until;
        await new Promise((resolve) => setTimeout(resolve, 200))
      ) {
        const panda = { apiVersion: "example.com/v1", kind: "Panda", metadata: { name: `p${made}` }, food: "bamboo" };
        if ((await cluster.request(0, "POST", "/apis/example.com/v1/namespaces/default/pandas", panda)).status === 201)
          made += 1;
      }
      assert.equal(made, 5);
      await count(cluster, 1, ["secrets"]);
      const two = await count(cluster, 1, ["secrets", "configmaps"]);
      assert.deepEqual(two.resources.map((entry) => entry.resource).sort(), ["configmaps", "secrets"]);
      const three = await count(cluster, 1, ["secrets", "configmaps", "pandas.example.com"]);
      assert.equal(three.resources.find((entry) => entry.resource === "pandas.example.com")?.objects, 5);
      const rotated = await count(cluster, 2, ["secrets", "configmaps", "pandas.example.com"]);
      assert.ok(rotated.resources.every((entry) => entry.keys.length <= 1));
      await count(cluster, 2, ["secrets", "configmaps", "pandas.example.com", "*.*"]);
      const one = await count(cluster, 2, ["secrets"]);
      assert.equal(one.complete, true);
      const text = readFileSync(cluster.controlPlane.hosts[0]?.encryptionConfigFile ?? "", "utf8");
      assert.doesNotMatch(text, /configmaps|pandas|\*/, "the blocks of what is no longer encrypted are gone");
    }));
});

describe("from KMS v1 to KMS v2", function () {
  this.timeout(20 * 60_000);

  for (const sameKey of [true, false]) {
    it(`with ${sameKey ? "the same" : "another"} key`, () =>
      withCluster({ apiServerArguments: ["--feature-gates=KMSv1=true"] }, async (cluster) => {
        const plugin = cluster.keyVersion(1);
        for (const host of cluster.controlPlane.hosts) {
          const { pluginSocketDirectory } = host;
          const manifest = localPluginManifest(
            { ...plugin, name: "upstream-plugin", socketFile: "upstream.socket" },
            { pluginSocketDirectory, pluginCommand: cluster.controlPlane.pluginCommand },
          );
          writeFileSync(join(host.manifestDirectory, "upstream-plugin.yaml"), manifest);
          writeFileSync(
            host.encryptionConfigFile,
            configuration(
              `  - kms: {name: azurekmsprovider, endpoint: "unix://${pluginSocketDirectory}/upstream.socket", cachesize: 1000}\n  - identity: {}\n`,
            ),
          );
        }
        // Hand-made so far: what was written in plaintext stays so until the engine rewrites it.
        await to(cluster, sameKey ? 1 : 2);
        await assertStored(cluster, sameKey ? 1 : 2);
      }));
  }
});
