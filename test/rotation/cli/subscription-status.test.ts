import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { Agent } from "undici";
import { subscriptionClusters } from "../../../rotation/adapters/aks/subscription-clusters";
import { createArmAccess } from "../../../rotation/adapters/azure/arm-access";
import { runCli } from "../../../rotation/cli/program";
import { type ArmRequests, armRequests } from "../../fakes/arm/arm-requests";
import { type FakeArm, startFakeArm } from "../../fakes/arm/fake-arm";
import { roles } from "../../fakes/arm/roles";
import { type JsonObject, textAt } from "../../fakes/arm/shape";
import { sdkHttpClient } from "../../fakes/azure/sdk-http-client";

/** The command with the real Azure SDK, on the fake ARM. */
describe("kms-etcd status --subscription", function () {
  this.timeout(60_000);
  let fake: FakeArm;
  let arm: ArmRequests;
  let agent: Agent;
  let keyId: string;

  before(async () => {
    fake = await startFakeArm({ secondOpinion: "cached" });
    arm = armRequests(fake);
    agent = new Agent({ connect: fake.azure.connect });
    // More than a page of it.
    fake.arm.pageSize = 2;
    const group = await arm.group();
    const identity = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kms`;
    const made = await arm.put(identity, "2023-01-31", { location: "westeurope" });
    const vault = `${group}/providers/Microsoft.KeyVault/vaults/listedvault`;
    const properties = {
      tenantId: fake.tenantId,
      sku: { family: "A", name: "standard" },
      enableRbacAuthorization: true,
    };
    await arm.put(vault, "2024-11-01", { location: "westeurope", properties });
    fake.arm.access.grant(textAt(made.body, "properties", "principalId"), roles.keyVaultCryptoUser, vault);
    const key = await arm.put(`${vault}/keys/etcd-v1`, "2024-11-01", { properties: { kty: "RSA" } });
    keyId = textAt(key.body, "properties", "keyUriWithVersion");
    const cluster = async (name: string, apiVersion: string, securityProfile?: JsonObject) => {
      const { code, message } = await arm.put(
        `${group}/providers/Microsoft.ContainerService/managedClusters/${name}`,
        apiVersion,
        {
          location: "westeurope",
          identity: { type: "UserAssigned", userAssignedIdentities: { [identity]: {} } },
          properties: {
            dnsPrefix: name,
            kubernetesVersion: "1.34",
            agentPoolProfiles: [{ name: "system", mode: "System", count: 1, vmSize: "Standard_D2s_v5" }],
            ...(securityProfile === undefined ? {} : { securityProfile }),
          },
        },
      );
      assert.equal(code, "", message);
    };
    await cluster("plain", "2025-09-01");
    await cluster("keyed", "2025-09-01", {
      azureKeyVaultKms: { enabled: true, keyId, keyVaultNetworkAccess: "Public" },
    });
    await cluster("platform", "2026-05-02-preview", {
      kubernetesResourceObjectEncryptionProfile: { infrastructureEncryption: "Enabled" },
    });
  });
  after(async () => {
    await agent.close();
    await arm.close();
    await fake.close();
  });

  async function status(subscription: string, ...more: readonly string[]) {
    const seen = { stdout: "", stderr: "" };
    const access = createArmAccess(fake.credentials(), { httpClient: sdkHttpClient(agent) });
    const code = await runCli(["status", "--subscription", subscription, ...more], {
      stdout: { write: (text) => (seen.stdout += text) },
      stderr: { write: (text) => (seen.stderr += text) },
      signal: new AbortController().signal,
      version: "0.0.0-test",
      subscription: (id, signal) => subscriptionClusters(access.arm, id, signal),
    });
    return { code, ...seen };
  }

  it("three clusters on two pages => each with its mode, its key and its vault's network", async () => {
    const { code, stdout, stderr } = await status(fake.subscriptionId);
    assert.equal(code, 0, stderr);
    const row = (name: string) => stdout.split("\n").find((line) => line.split(/ +/)[1] === name) ?? "";
    assert.match(row("plain"), /^rg +plain +1\.34\.2 +Succeeded +Off +- +-$/);
    assert.match(row("keyed"), /^rg +keyed +1\.34\.2 +Succeeded +KmsPlugin +Public +https:\/\/listedvault\S+etcd-v1\//);
    assert.match(row("platform"), /^rg +platform +1\.34\.2 +Succeeded +PlatformManagedKey +- +-$/);
    assert.match(stdout, /^3 clusters, 1 of them without a key$/m);
  });

  it("--json => one document, sorted by group and name", async () => {
    const { clusters } = JSON.parse((await status(fake.subscriptionId, "--json")).stdout) as {
      clusters: Record<string, unknown>[];
    };
    assert.deepEqual(
      clusters.map(({ name, mode }) => [name, mode]),
      [
        ["keyed", "KmsPlugin"],
        ["plain", "Off"],
        ["platform", "PlatformManagedKey"],
      ],
    );
    assert.equal(clusters[0]?.["keyId"], keyId);
  });

  it("no id of a subscription, or a cluster named besides => a mistake in what was given; nothing is asked", async () => {
    const before = fake.azure.requests.length;
    const { code, stderr } = await status("production", "--config", "kms-etcd.yaml");
    assert.equal(code, 2);
    assert.match(stderr, /--subscription is no id of a subscription/);
    assert.match(stderr, /--config names one cluster/);
    assert.equal(fake.azure.requests.length, before);
  });

  it("a subscription that is not there => an error that says so", async () => {
    const { code, stderr } = await status(randomUUID());
    assert.equal(code, 1);
    assert.match(stderr, /^error: .*subscription/im);
  });
});
