import assert from "node:assert/strict";
import { createHttpHeaders } from "@azure/core-rest-pipeline";
import { Agent } from "undici";
import {
  dataEncryptionApiVersion,
  kmsSettingsOf,
  stableApiVersion,
  withKmsSettings,
} from "../../../../rotation/adapters/aks/kms-settings";
import { managedCluster } from "../../../../rotation/adapters/aks/managed-cluster";
import { type ArmBody, type ArmClient, createArmClient } from "../../../../rotation/adapters/azure/arm-client";
import { armCodeOf } from "../../../../rotation/adapters/azure/arm-error";
import { azureCloud } from "../../../../rotation/adapters/azure/azure-cloud";
import { createCredential } from "../../../../rotation/adapters/azure/credential";
import { ArmError } from "../../../fakes/arm/arm-error";
import { type ArmRequests, armRequests } from "../../../fakes/arm/arm-requests";
import { type FakeArm, startFakeArm } from "../../../fakes/arm/fake-arm";
import { roles } from "../../../fakes/arm/roles";
import { loadSecondOpinion } from "../../../fakes/arm/second-opinion";
import { type JsonObject, textAt } from "../../../fakes/arm/shape";
import { sdkHttpClient } from "../../../fakes/azure/sdk-http-client";

describe("our ARM client, with the real Azure SDK, on the fake ARM", function () {
  this.timeout(60_000);
  let fake: FakeArm;
  let arm: ArmRequests;
  let agent: Agent;
  let client: ArmClient;
  let group: string;
  let identity: string;
  let principalId: string;
  const never = new AbortController().signal;

  before(async () => {
    fake = await startFakeArm({ secondOpinion: "cached" });
    arm = armRequests(fake);
    agent = new Agent({ connect: fake.azure.connect });
    const environment = fake.credentials();
    const calls = { httpClient: sdkHttpClient(agent) };
    const cloud = azureCloud(environment);
    client = createArmClient(createCredential(environment, cloud, calls), cloud, calls, 50);
    group = await arm.group();
    identity = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kms`;
    const { body } = await arm.put(identity, "2023-01-31", { location: "westeurope" });
    principalId = textAt(body, "properties", "principalId");
  });
  after(async () => {
    await agent.close();
    await arm.close();
    await fake.close();
  });

  async function cluster(name: string): Promise<string> {
    const id = `${group}/providers/Microsoft.ContainerService/managedClusters/${name}`;
    const body: JsonObject = {
      location: "westeurope",
      tags: { team: "platform" },
      identity: { type: "UserAssigned", userAssignedIdentities: { [identity]: {} } },
      properties: {
        dnsPrefix: "kms",
        kubernetesVersion: "1.34",
        agentPoolProfiles: [{ name: "system", mode: "System", count: 1, vmSize: "Standard_D2s_v5" }],
        securityProfile: { imageCleaner: { enabled: true, intervalHours: 48 } },
      },
    };
    const { status, message } = await arm.put(id, stableApiVersion, body);
    assert.equal(status, 200, message);
    return id;
  }

  async function vaultKey(name: string, granted: boolean): Promise<string> {
    const id = `${group}/providers/Microsoft.KeyVault/vaults/${name}`;
    const properties = {
      tenantId: fake.tenantId,
      sku: { family: "A", name: "standard" },
      enableRbacAuthorization: true,
    };
    await arm.put(id, "2024-11-01", { location: "westeurope", properties });
    if (granted) fake.arm.access.grant(principalId, roles.keyVaultCryptoUser, id);
    const { body } = await arm.put(`${id}/keys/etcd`, "2024-11-01", { properties: { kty: "RSA" } });
    return textAt(body, "properties", "keyUriWithVersion");
  }

  const at = (body: ArmBody, ...names: string[]) => textAt(body as JsonObject, ...names);

  it("KMS settings => set, the operation followed to its end, and everything else as it was", async () => {
    const id = await cluster("whole");
    const keyId = await vaultKey("armclient1", true);
    const before = (await client.get(id, stableApiVersion, never)) ?? assert.fail();
    fake.arm.operations.durationMs = 100;
    const settings = { mode: "legacy", keyId, networkAccess: "Public" } as const;
    const after = await client.update(id, stableApiVersion, (body) => withKmsSettings(body, settings), never);
    fake.arm.operations.durationMs = 0;
    assert.equal(at(after, "properties", "provisioningState"), "Succeeded");
    assert.deepEqual(kmsSettingsOf((await client.get(id, dataEncryptionApiVersion, never)) ?? {}), settings);
    const others = (body: ArmBody) => {
      const { securityProfile, ...properties } = body["properties"] as Record<string, unknown>;
      const { azureKeyVaultKms: _kms, ...profile } = securityProfile as Record<string, unknown>;
      return { ...body, eTag: "", systemData: "", properties: { ...properties, securityProfile: profile } };
    };
    assert.deepEqual(others(after), others(before));
  });

  it("a change that changes nothing => nothing is sent", async () => {
    const id = await cluster("same");
    const puts = () => fake.azure.requests.filter(({ method }) => method === "PUT").length;
    const before = puts();
    await client.update(id, stableApiVersion, (body) => body, never);
    assert.equal(puts(), before);
  });

  it("somebody else is faster between GET and PUT => their change stays, and ours comes on top of it", async () => {
    const id = await cluster("raced");
    const keyId = await vaultKey("armclient2", true);
    let first = true;
    const updates: Promise<unknown>[] = [];
    const after = await client.update(
      id,
      stableApiVersion,
      (body) => {
        // Their ETag is taken by the time that ours arrives.
        const mine = first ? { ...body, eTag: '"someone-elses"' } : body;
        if (first) updates.push(arm.put(id, stableApiVersion, { ...(body as JsonObject), tags: { team: "other" } }));
        first = false;
        return withKmsSettings(mine, { mode: "legacy", keyId, networkAccess: "Public" });
      },
      never,
    );
    await Promise.all(updates);
    assert.equal(at(after, "tags", "team"), "other");
    assert.equal(at(after, "properties", "securityProfile", "azureKeyVaultKms", "keyId"), keyId);
  });

  it("another operation is under way => it waits, says so, and then does its own", async () => {
    const id = await cluster("busy");
    const keyId = await vaultKey("armclient3", true);
    const body = (await client.get(id, stableApiVersion, never)) as JsonObject;
    fake.arm.operations.durationMs = 300;
    await arm.ask("PUT", id, stableApiVersion, { body: { ...body, tags: { team: "busy" } } });
    const said: string[] = [];
    const settings = { mode: "legacy", keyId, networkAccess: "Public" } as const;
    const after = await client.update(
      id,
      stableApiVersion,
      (found) => withKmsSettings(found, settings),
      never,
      (message) => said.push(message),
    );
    fake.arm.operations.durationMs = 0;
    assert.match(said.join(), /OperationNotAllowed/);
    assert.deepEqual([at(after, "tags", "team"), kmsSettingsOf(after).mode], ["busy", "legacy"]);
  });

  it("the identity has no access to the key => AKS's own code and words, by which a caller can tell a grant that is on its way", async () => {
    const id = await cluster("denied");
    const keyId = await vaultKey("armclient4", false);
    await assert.rejects(
      client.update(
        id,
        stableApiVersion,
        (body) => withKmsSettings(body, { mode: "legacy", keyId, networkAccess: "Public" }),
        never,
      ),
      (thrown: unknown) => {
        assert.match(String(armCodeOf(thrown)), /AzureKeyVaultKmsValidateIdentityPermission/);
        assert.match((thrown as Error).message, new RegExp(id.split("/").at(-1) ?? ""));
        return true;
      },
    );
  });

  it("an action => its result, at once or where ARM says that it will be; a refusal => ARM's words", async () => {
    const id = await cluster("action");
    const { kubeconfigs } = await client.post(`${id}/listClusterUserCredential`, stableApiVersion, undefined, never);
    assert.equal((kubeconfigs as { name: string }[])[0]?.name, "clusterUser");
    const ran = await client.post(`${id}/runCommand`, stableApiVersion, { command: "true" }, never);
    assert.equal(at(ran, "properties", "provisioningState"), "Succeeded");
    await assert.rejects(client.post(`${id}/runCommand`, stableApiVersion, {}, never), /parameter command is missing/);
  });

  it("a collection => all of its pages; a next page at another host => refused, because our token would go there", async () => {
    await cluster("listed-1");
    await cluster("listed-2");
    const clusters = `${group}/providers/Microsoft.ContainerService/managedClusters`;
    fake.arm.pageSize = 1;
    const names = (await client.list(clusters, stableApiVersion, never)).map(({ name }) => name);
    fake.arm.pageSize = 100;
    assert.ok(names.includes("listed-1") && names.includes("listed-2"), names.join());
    const cloud = { ...azureCloud(fake.credentials()), resourceManager: "https://management.usgovcloudapi.net" };
    const answer = { value: [], nextLink: "https://elsewhere.example/more" };
    const led = createArmClient(
      { getToken: async () => ({ token: "t", expiresOnTimestamp: Date.now() + 3_600_000 }) },
      cloud,
      {
        httpClient: {
          sendRequest: async (request) => {
            assert.equal(new URL(request.url).origin, cloud.resourceManager);
            return { request, status: 200, headers: createHttpHeaders(), bodyAsText: JSON.stringify(answer) };
          },
        },
      },
    );
    await assert.rejects(led.list(clusters, stableApiVersion, never), /leads to https:\/\/elsewhere\.example/);
  });

  it("too many requests => asked again when ARM says, for the PUT as for the operation behind it", async () => {
    const id = await cluster("throttled");
    const keyId = await vaultKey("armclient7", true);
    const throttled = () =>
      new ArmError(429, "TooManyRequests", "The request is being throttled.", { "retry-after": "0" });
    // More often than the SDK's own retries.
    fake.arm.failNext(throttled(), ({ method, path }) => method === "PUT" && path === id, 6);
    fake.arm.failNext(throttled(), ({ path }) => path.includes("/operations/"), 6);
    const settings = { mode: "legacy", keyId, networkAccess: "Public" } as const;
    const after = await client.update(id, stableApiVersion, (body) => withKmsSettings(body, settings), never);
    assert.equal(kmsSettingsOf(after).mode, "legacy");
  });

  describe("a cluster of AKS", () => {
    const limits = { spreadMs: 10_000, pauseMs: 50, busyMs: 10_000 };

    it("the grant arrives late => set asks again until AKS sees it; the settings are there afterwards", async () => {
      const id = await cluster("late");
      const keyId = await vaultKey("armclient5", false);
      const aks = managedCluster(client, id, limits);
      const settings = { mode: "legacy", keyId, networkAccess: "Public" } as const;
      const said: string[] = [];
      await aks.set({ to: settings }, never, (message) => {
        said.push(message);
        const vault = `${group}/providers/Microsoft.KeyVault/vaults/armclient5`;
        fake.arm.access.grant(principalId, roles.keyVaultCryptoUser, vault);
      });
      assert.match(said.join(), /waiting until AKS sees that the cluster's identity may use the key and the vault/);
      const { provisioningState, kms } = await aks.observe(never);
      assert.deepEqual([provisioningState, kms], ["Succeeded", settings]);
      await aks.set({ to: { mode: "off" }, from: settings }, never, () => undefined);
      assert.deepEqual((await aks.observe(never)).kms, { mode: "off" });
    });

    it("the grant never arrives => AKS's own words when the time is over", async () => {
      const id = await cluster("never");
      const keyId = await vaultKey("armclient6", false);
      const aks = managedCluster(client, id, { ...limits, spreadMs: 200 });
      const settings = { mode: "legacy", keyId, networkAccess: "Public" } as const;
      await assert.rejects(
        aks.set({ to: settings }, never, () => undefined),
        /AzureKeyVaultKmsValidateIdentityPermission/,
      );
    });

    for (const [version, properties] of [
      ["2026-08-01", { schedulerProfile: { upstream: { schedulerConfigMode: "Default" } } }],
      ["2026-05-02-preview", { hostedSystemProfile: { enabled: false } }],
    ] as const) {
      it(`something of the cluster is known to version ${version} of the API only => it is still there when KMS was set`, async () => {
        const id = await cluster(`since-${version}`);
        const keyId = await vaultKey(`since${version.replaceAll("-", "").slice(0, 8)}`, true);
        const { body } = await arm.ask("GET", id, version);
        const whole = { ...body, properties: { ...(body["properties"] as JsonObject), ...properties } };
        const { code, message } = await arm.put(id, version, whole);
        assert.equal(code, "", message);
        const said: string[] = [];
        const settings = { mode: "legacy", keyId, networkAccess: "Public" } as const;
        await managedCluster(client, id, limits).set({ to: settings }, never, (text) => said.push(text));
        const after = (await arm.ask("GET", id, version)).body["properties"] as JsonObject;
        for (const [name, value] of Object.entries(properties)) assert.deepEqual(after[name], value);
        assert.match(
          said.join(),
          new RegExp(`${stableApiVersion} .* does not show properties\\.${Object.keys(properties).join()}`),
        );
        assert.deepEqual(kmsSettingsOf((await client.get(id, dataEncryptionApiVersion, never)) ?? {}), settings);
      });
    }

    it("Azure's versions may not be listed => said, and the versions of this package are compared", async () => {
      const id = await cluster("unlisted");
      const keyId = await vaultKey("unlisted1", true);
      const refusal = new ArmError(403, "AuthorizationFailed", "You may not.");
      fake.arm.failNext(refusal, ({ path }) => path.endsWith("/providers/Microsoft.ContainerService"));
      const said: string[] = [];
      const settings = { mode: "legacy", keyId, networkAccess: "Public" } as const;
      await managedCluster(client, id, limits).set({ to: settings }, never, (text) => said.push(text));
      assert.match(said.join(), /could not be asked/);
      assert.equal((await managedCluster(client, id, limits).observe(never)).kms.mode, "legacy");
    });

    it("a cluster that is not there => named, with the command that prints ids", async () => {
      const none = `${group}/providers/Microsoft.ContainerService/managedClusters/none`;
      await assert.rejects(
        managedCluster(client, none, limits).observe(never),
        /there is no cluster .*managedClusters\/none/,
      );
    });
  });

  it("a misspelt property that ARM's model lets through => our client's own bodies are held against the publisher's models too", async function () {
    if ((await loadSecondOpinion("cached")) === undefined) return this.skip();
    const other = await startFakeArm({ secondOpinion: "cached" });
    const door = armRequests(other);
    const connected = new Agent({ connect: other.azure.connect });
    const environment = other.credentials();
    const calls = { httpClient: sdkHttpClient(connected) };
    const ours = createArmClient(
      createCredential(environment, azureCloud(environment), calls),
      azureCloud(environment),
      calls,
      20,
    );
    const id = `${await door.group()}/providers/Microsoft.ContainerService/managedClusters/misspelt`;
    await door.put(id, stableApiVersion, {
      location: "westeurope",
      identity: { type: "SystemAssigned" },
      properties: { dnsPrefix: "a", agentPoolProfiles: [{ name: "system", mode: "System" }] },
    });
    const misspell = (body: ArmBody): ArmBody => ({
      ...body,
      properties: { ...(body["properties"] as ArmBody), autoScalerProfile: { "scan-intervall": "10s" } },
    });
    await ours.update(id, stableApiVersion, misspell, never);
    await connected.close();
    await door.close();
    await assert.rejects(other.close(), /PUT .*managedClusters\/misspelt: .*scan-intervall is unknown/);
  });

  it("no such cluster => get says so by nothing, update by an error; ^C => stops", async () => {
    const id = `${group}/providers/Microsoft.ContainerService/managedClusters/none`;
    assert.equal(await client.get(id, stableApiVersion, never), undefined);
    await assert.rejects(
      client.update(id, stableApiVersion, (body) => body, never),
      /is not there/,
    );
    const stopped = AbortSignal.abort();
    await assert.rejects(client.get(id, stableApiVersion, stopped), /stopped while asking for Azure Resource Manager/);
  });
});
