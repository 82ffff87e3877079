import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Traffic, TrafficKind } from "../../control-plane/client-traffic";
import { localKeyId, parseLocalKeyFile } from "../../core/local-key-file";
import { RotationStage } from "../../core/rotation-stage";
import { type ClientChoices, underClients } from "../e2e/support/disturbed-rotation";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";
import { useWorkshop } from "../plugin-server/support/plugin-process";

/**
 * Every change that a cluster can go through, on real API servers under readers and writers whose contents are compared, and
 * under an observer who compares what is stored with what each server can read. The servers restart instead of reloading,
 * because a restart takes seconds: a request that meets a restarting server is tried again, one that it has no key for is a loss.
 */
const secret = () => randomBytes(32).toString("base64");

function configuration(providers: string, resources = "[secrets]"): string {
  return `apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: ${resources}\n  providers:\n${providers}`;
}

interface ClusterChoices extends ClientChoices {
  readonly secrets?: number;
  /** Before the clients begin. */
  readonly prepare?: (cluster: RealCluster) => Promise<void>;
}

async function withCluster(
  options: Parameters<typeof realCluster>[0],
  work: (cluster: RealCluster, traffic: Traffic) => Promise<void>,
  { secrets = 30, prepare, ...clients }: ClusterChoices = {},
): Promise<void> {
  const cluster = await realCluster({ hosts: 2, automaticReload: false, ...options });
  try {
    await cluster.createSecrets(secrets);
    await prepare?.(cluster);
    await underClients(cluster, [], (traffic) => work(comparing(cluster, traffic), traffic), clients);
    await assertContents(cluster);
  } finally {
    await cluster.close();
  }
}

/** After each transition everything that was ever written is read through every server and compared. */
function comparing(cluster: RealCluster, traffic: Traffic): RealCluster {
  return {
    ...cluster,
    rotate: async (...args) => {
      const outcome = await cluster.rotate(...args);
      await traffic.compareAll();
      await assertContents(cluster);
      return outcome;
    },
  };
}

async function assertContents(cluster: RealCluster): Promise<void> {
  for (const server of cluster.controlPlane.hosts.keys()) {
    for (let index = 0; index < cluster.secrets(); index += 1) {
      const { status, text } = await cluster.request(server, "GET", `/api/v1/namespaces/default/secrets/s${index}`);
      assert.equal(status, 200, text);
      const { data } = JSON.parse(text) as { data: { value: string } };
      assert.equal(Buffer.from(data.value, "base64").toString(), `plaintext-${index}`);
    }
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

  it("back to v1 in the middle of REWRITE, with objects under both keys", () =>
    withCluster(
      {},
      async (cluster) => {
        await to(cluster, 1);
        const ending = new AbortController();
        const outcome = await cluster.rotate(
          2,
          {},
          {
            signal: ending.signal,
            onEvent: ({ kind, message }) => {
              if (kind === "progress" && message === "objects rewritten") ending.abort();
            },
          },
        );
        assert.equal(outcome.kind, "cancelled", outcome.reason);
        const both = [cluster.providerOf(1), cluster.providerOf(2)].sort();
        assert.deepEqual(Object.keys(await cluster.storedProviders()).sort(), both);
        await to(cluster, 1);
        await assertStored(cluster, 1);
      },
      { secrets: 200 },
    ));

  for (const kind of ["aescbc", "secretbox", "aesgcm"]) {
    it(`${kind} to v1: a local key is left, with what was encrypted under its older key too`, () =>
      withCluster(
        {
          initialEncryptionConfig: configuration(
            `  - ${kind}:\n      keys:\n      - {name: "new:2026", secret: ${secret()}}\n      - {name: old, secret: ${secret()}}\n  - identity: {}\n`,
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

const configMaps: TrafficKind = { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps" };
const pandas: TrafficKind = { apiVersion: "example.com/v1", kind: "Panda", plural: "pandas" };
const panda = "pandas.example.com";

async function definePandas(cluster: RealCluster): Promise<void> {
  const crd = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: panda },
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
  const made = await cluster.request(0, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd);
  assert.equal(made.status, 201, made.text);
  for (const server of cluster.controlPlane.hosts.keys()) {
    for (const until = Date.now() + 120_000; ; ) {
      const { status, text } = await cluster.request(server, "GET", "/apis/example.com/v1/namespaces/default/pandas");
      if (status === 200) break;
      assert.ok(Date.now() < until, text);
      await delay(200);
    }
  }
}

describe("more and fewer resources", function () {
  this.timeout(40 * 60_000);

  it("+configmaps, +a custom resource, -configmaps, +*.*, and back to secrets alone", () =>
    withCluster(
      {},
      async (cluster) => {
        const change = async (version: number, resources: string[]) => {
          const outcome = await cluster.rotate(version, { resources });
          assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
          return outcome.evidence;
        };
        /** Directories in etcd, each with the version and the slot that everything in it is stored with. */
        const stored = async (expected: Record<string, [number, string] | "plaintext">) => {
          for (const [directory, wanted] of Object.entries(expected)) {
            const prefix = wanted === "plaintext" ? wanted : cluster.providerOf(...wanted);
            assert.deepEqual(Object.keys(await cluster.storedProviders(directory)), [prefix], directory);
          }
        };
        await change(1, ["secrets"]);
        await stored({ secrets: [1, "secrets"], configmaps: "plaintext", "example.com/pandas": "plaintext" });
        const two = await change(1, ["secrets", "configmaps"]);
        assert.deepEqual(two.resources.map((entry) => entry.resource).sort(), ["configmaps", "secrets"]);
        await stored({ secrets: [1, "secrets"], configmaps: [1, "configmaps"], "example.com/pandas": "plaintext" });
        const three = await change(1, ["secrets", "configmaps", panda]);
        assert.equal(three.resources.find((entry) => entry.resource === panda)?.objects, 10);
        await stored({ configmaps: [1, "configmaps"], "example.com/pandas": [1, panda] });
        const rotated = await change(2, ["secrets", "configmaps", panda]);
        assert.ok(rotated.resources.every((entry) => entry.keys.length <= 1));
        await stored({
          secrets: [2, "secrets"],
          configmaps: [2, "configmaps"],
          "example.com/pandas": [2, panda],
          namespaces: "plaintext",
        });
        await change(2, ["secrets", panda]);
        await stored({ secrets: [2, "secrets"], configmaps: "plaintext", "example.com/pandas": [2, panda] });
        await change(2, ["secrets", panda, "*.*"]);
        await stored({ secrets: [2, "secrets"], configmaps: [2, "*.*"], "example.com/pandas": [2, panda] });
        await stored({ namespaces: [2, "*.*"], priorityclasses: [2, "*.*"] });
        const one = await change(2, ["secrets"]);
        assert.equal(one.complete, true);
        await stored({ secrets: [2, "secrets"], configmaps: "plaintext", "example.com/pandas": "plaintext" });
        await stored({ namespaces: "plaintext", priorityclasses: "plaintext" });
        const text = readFileSync(cluster.controlPlane.hosts[0]?.encryptionConfigFile ?? "", "utf8");
        assert.doesNotMatch(text, /configmaps|pandas|\*/, "the blocks of what is no longer encrypted are gone");
      },
      {
        prepare: definePandas,
        kinds: [{ apiVersion: "v1", kind: "Secret", plural: "secrets" }, configMaps, pandas],
        resources: ["secrets", "configmaps", panda],
      },
    ));
});

describe("the resources of a group, by its wildcard", function () {
  this.timeout(40 * 60_000);

  it("+*.example.com, rotated, the core group's *. in its place, and back to secrets alone", () =>
    withCluster(
      {},
      async (cluster) => {
        const change = async (version: number, resources: string[]) => {
          const outcome = await cluster.rotate(version, { resources });
          assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
          assert.equal(outcome.evidence.complete, true);
          return outcome.evidence;
        };
        const providers = async (directory: string) => Object.keys(await cluster.storedProviders(directory));
        const grouped = await change(1, ["secrets", "*.example.com"]);
        assert.equal(grouped.resources.find(({ resource }) => resource === "*.example.com")?.objects, 10);
        assert.deepEqual(await providers("example.com/pandas"), [cluster.providerOf(1, "*.example.com")]);
        assert.deepEqual(await providers("configmaps"), ["plaintext"]);
        await change(2, ["secrets", "*.example.com"]);
        assert.deepEqual(await providers("example.com/pandas"), [cluster.providerOf(2, "*.example.com")]);
        await change(2, ["secrets", "*."]);
        assert.deepEqual(await providers("example.com/pandas"), ["plaintext"]);
        for (const directory of ["configmaps", "namespaces", "services/specs"])
          assert.deepEqual(await providers(directory), [cluster.providerOf(2, "*.")], directory);
        assert.deepEqual(await providers("priorityclasses"), ["plaintext"]);
        await assertStored(cluster, 2);
        await change(2, ["secrets"]);
        for (const directory of ["configmaps", "namespaces"])
          assert.deepEqual(await providers(directory), ["plaintext"], directory);
        await assertStored(cluster, 2);
      },
      {
        prepare: definePandas,
        kinds: [{ apiVersion: "v1", kind: "Secret", plural: "secrets" }, configMaps, pandas],
        resources: ["secrets", "configmaps", panda],
      },
    ));
});

describe("from KMS v1 to KMS v2", function () {
  this.timeout(20 * 60_000);
  const workshop = useWorkshop({ endAfterEach: false });
  let directory: string;
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "ke-"));
    const socket = join(directory, "upstream.socket");
    await workshop
      .start("local", `--key-file=${workshop.keyFile}`, `--listen-addr=unix://${socket}`, "-v=1")
      .served(socket);
  });
  after(() => rmSync(directory, { recursive: true }));

  for (const sameKey of [true, false]) {
    it(`with ${sameKey ? "the same" : "another"} key`, () => {
      const kms = `{name: azurekmsprovider, endpoint: "unix://${join(directory, "upstream.socket")}", cachesize: 1000}`;
      return withCluster(
        {
          apiServerArguments: ["--feature-gates=KMSv1=true"],
          initialEncryptionConfig: configuration(`  - kms: ${kms}\n  - identity: {}\n`),
        },
        async (cluster) => {
          const file = workshop.keyFile;
          const keyId = localKeyId(parseLocalKeyFile(readFileSync(file, "utf8"), "key"));
          cluster.useKey(1, { kind: "local", file, keyId });
          assert.deepEqual(Object.keys(await cluster.storedProviders()), ["k8s:enc:kms:v1:azurekmsprovider"]);
          await to(cluster, sameKey ? 1 : 2);
          await assertStored(cluster, sameKey ? 1 : 2);
        },
      );
    });
  }
});
