import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type ArmRequests, type ArmResponse, armRequests } from "./arm-requests";
import { type FakeArm, startFakeArm } from "./fake-arm";
import { roles } from "./roles";
import { type JsonObject, textAt } from "./shape";

const version = "2025-09-01";
const newVersion = "2026-08-01";

describe("managed clusters of the fake ARM", function () {
  this.timeout(60_000);
  let fake: FakeArm;
  let arm: ArmRequests;
  let group: string;
  let identity: string;
  let principalId: string;
  let count = 0;
  before(async () => {
    fake = await startFakeArm({ secondOpinion: "cached" });
    arm = armRequests(fake);
    group = await arm.group();
    identity = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kms`;
    const { body } = await arm.put(identity, "2023-01-31", { location: "westeurope" });
    principalId = textAt(body, "properties", "principalId");
  });
  after(async () => {
    await arm.close();
    await fake.close();
  });

  interface Vault {
    readonly path: string;
    readonly name: string;
    key(name: string, properties?: JsonObject): Promise<string>;
  }

  async function vault(
    granted: readonly (typeof roles)[keyof typeof roles][] = [roles.keyVaultCryptoUser],
    more: JsonObject = {},
  ): Promise<Vault> {
    count += 1;
    const name = `clustervault${count}`;
    const path = `${group}/providers/Microsoft.KeyVault/vaults/${name}`;
    const properties = {
      tenantId: fake.tenantId,
      sku: { family: "A", name: "standard" },
      enableRbacAuthorization: true,
      ...more,
    };
    await arm.put(path, "2024-11-01", { location: "westeurope", properties });
    for (const role of granted) fake.arm.access.grant(principalId, role, path);
    return {
      path,
      name,
      async key(keyName, given = { kty: "RSA" }) {
        const { body } = await arm.put(`${path}/keys/${keyName}`, "2024-11-01", { properties: given });
        return textAt(body, "properties", "keyUriWithVersion");
      },
    };
  }

  const userAssigned = () => ({ type: "UserAssigned", userAssignedIdentities: { [identity]: {} } });
  const bodyOf = (properties: JsonObject = {}, more: JsonObject = {}): JsonObject => ({
    location: "westeurope",
    identity: userAssigned(),
    properties: {
      dnsPrefix: "kms",
      kubernetesVersion: "1.34",
      agentPoolProfiles: [{ name: "system", mode: "System", count: 1, vmSize: "Standard_D2s_v5" }],
      ...properties,
    },
    ...more,
  });
  const kmsOf = (keyId: string, more: JsonObject = {}): JsonObject => ({
    securityProfile: { azureKeyVaultKms: { enabled: true, keyId, keyVaultNetworkAccess: "Public", ...more } },
  });
  const clusterPath = (name: string) => `${group}/providers/Microsoft.ContainerService/managedClusters/${name}`;
  const put = (path: string, body: JsonObject, apiVersion = version): Promise<ArmResponse> =>
    arm.put(path, apiVersion, body);

  async function cluster(properties: JsonObject = {}, more: JsonObject = {}): Promise<string> {
    count += 1;
    const path = clusterPath(`aks-${count}`);
    const { status, code, message } = await put(path, bodyOf(properties, more));
    assert.deepEqual([status, code], [200, ""], message);
    return path;
  }

  const stateOf = async (path: string) =>
    textAt((await arm.ask("GET", path, version)).body, "properties", "provisioningState");

  it("is made in the background, and filled in by AKS", async () => {
    count += 1;
    const path = clusterPath(`aks-${count}`);
    const answer = await arm.ask("PUT", path, version, { body: bodyOf() });
    assert.equal(answer.status, 201);
    assert.equal(textAt(answer.body, "properties", "provisioningState"), "Creating");
    assert.equal(answer.headers["retry-after"], "0");
    await arm.follow(answer);
    const { body } = await arm.ask("GET", path, version);
    assert.equal(textAt(body, "properties", "provisioningState"), "Succeeded");
    assert.match(textAt(body, "properties", "fqdn"), /^kms-.*\.hcp\.westeurope\.azmk8s\.io$/);
    assert.equal(textAt(body, "properties", "nodeResourceGroup"), `MC_rg_aks-${count}_westeurope`);
    assert.equal(textAt(body, "identity", "userAssignedIdentities", identity, "principalId"), principalId);
  });

  it("refuses unknown properties in AKS's own form, without an error object", async () => {
    const answer = await put(clusterPath("typo"), bodyOf({ securityProfile: { azureKeyvaultKms: { enabled: true } } }));
    assert.deepEqual([answer.status, answer.code], [400, "UnmarshalError"]);
    assert.match(answer.message, /properties\.securityProfile\.azureKeyvaultKms/);
    assert.equal(answer.body["error"], undefined);
  });

  it("one operation at a time: PUT and DELETE meanwhile => 409 OperationNotAllowed", async () => {
    const path = await cluster();
    fake.arm.operations.durationMs = 300;
    const first = await arm.ask("PUT", path, version, { body: bodyOf({}, { tags: { a: "1" } }) });
    const second = await arm.ask("PUT", path, version, { body: bodyOf() });
    const third = await arm.ask("DELETE", path, version);
    fake.arm.operations.durationMs = 0;
    assert.deepEqual([second.status, second.code, third.code], [409, "OperationNotAllowed", "OperationNotAllowed"]);
    assert.equal(await stateOf(path), "Updating");
    await arm.follow(first);
    assert.equal(await stateOf(path), "Succeeded");
  });

  it("If-Match with an ETag that is no longer the cluster's => 412; each change makes another one", async () => {
    const path = await cluster();
    const eTag = textAt((await arm.ask("GET", path, version)).body, "eTag");
    const headers = { "if-match": eTag };
    const taken = await arm.put(path, version, bodyOf({}, { tags: { a: "1" } }), { headers });
    assert.equal(taken.status, 200);
    const stale = await arm.put(path, version, bodyOf({}, { tags: { a: "2" } }), { headers });
    assert.deepEqual([stale.status, stale.code], [412, "PreconditionFailed"]);
    assert.equal((await arm.put(path, version, bodyOf(), { headers: { "if-none-match": "*" } })).status, 412);
  });

  it("what can't be changed => 400 PropertyChangeNotAllowed", async () => {
    const path = await cluster();
    for (const change of [{ dnsPrefix: "other" }, { networkProfile: { serviceCidr: "10.9.0.0/16" } }]) {
      const before = await cluster({ networkProfile: { serviceCidr: "10.8.0.0/16" } });
      const answer = await put("dnsPrefix" in change ? path : before, bodyOf(change));
      assert.deepEqual([answer.status, answer.code], [400, "PropertyChangeNotAllowed"]);
    }
  });

  it("Kubernetes versions: none that there is not, no way back, no minor version skipped", async () => {
    assert.equal((await put(clusterPath("old"), bodyOf({ kubernetesVersion: "1.12" }))).code, "K8sVersionNotSupported");
    const path = await cluster({ kubernetesVersion: "1.32" });
    assert.equal((await put(path, bodyOf({ kubernetesVersion: "1.31" }))).code, "OperationNotAllowed");
    assert.equal((await put(path, bodyOf({ kubernetesVersion: "1.34" }))).code, "OperationNotAllowed");
    assert.equal((await put(path, bodyOf({ kubernetesVersion: "1.33" }))).code, "");
  });

  it("what a PUT leaves out is gone, but KMS stays on until it is switched off", async () => {
    const { key } = await vault();
    const path = await cluster({ ...kmsOf(await key("k1")), autoUpgradeProfile: { upgradeChannel: "patch" } });
    await put(path, bodyOf());
    const { body } = await arm.ask("GET", path, version);
    assert.equal(textAt(body, "properties", "autoUpgradeProfile", "upgradeChannel"), "");
    assert.match(textAt(body, "properties", "securityProfile", "azureKeyVaultKms", "keyId"), /\/keys\/k1\//);
  });

  it("the caller must be allowed to hand out the identity", async () => {
    const operator = fake.addApplication(roles.aksContributor);
    const refused = await arm.put(clusterPath("linked"), version, bodyOf(), { as: operator });
    assert.deepEqual([refused.status, refused.code], [403, "LinkedAuthorizationFailed"]);
    assert.match(refused.message, /userAssignedIdentities\/assign\/action/);
  });

  describe("KMS settings that AKS refuses at once", () => {
    const cases: readonly (readonly [string, (vault: Vault, keyId: string) => JsonObject, RegExp, JsonObject?])[] = [
      [
        "no network access",
        (_, keyId) => ({ securityProfile: { azureKeyVaultKms: { enabled: true, keyId } } }),
        /network access is unspecified/,
      ],
      ["no key", () => kmsOf(""), /key ID is empty/],
      ["a key without a version", (_, keyId) => kmsOf(keyId.replace(/\/[^/]*$/, "")), /with a version/],
      [
        "Private without the vault's id",
        (_, keyId) => kmsOf(keyId, { keyVaultNetworkAccess: "Private" }),
        /KeyVault resource ID is empty when KeyVault network access is Private\./,
      ],
      [
        "Private without VNet integration",
        ({ path }, keyId) => kmsOf(keyId, { keyVaultNetworkAccess: "Private", keyVaultResourceId: path }),
        /Vnet integration should be enabled/,
      ],
      ["Public with a vault's id", ({ path }, keyId) => kmsOf(keyId, { keyVaultResourceId: path }), /should be empty/],
      [
        "a system-assigned identity",
        (_, keyId) => kmsOf(keyId),
        /does not support cluster identity type SystemAssigned, supported value is 'UserAssigned'/,
        { identity: { type: "SystemAssigned" } },
      ],
    ];
    for (const [name, properties, said, more] of cases) {
      it(`${name} => 400`, async () => {
        const made = await vault();
        const answer = await put(clusterPath("refused"), bodyOf(properties(made, await made.key("k1")), more));
        assert.equal(answer.status, 400);
        assert.match(answer.message, said);
      });
    }
  });

  describe("what AKS finds out while it works fails the operation, and the cluster", () => {
    const code = "AzureKeyVaultKmsValidateIdentityPermissionCustomerError";
    const cases: readonly (readonly [string, () => Promise<string>])[] = [
      ["an identity without a role", async () => (await vault([])).key("k1")],
      [
        "an identity that may only wrap",
        async () => (await vault([roles.keyVaultCryptoServiceEncryptionUser])).key("k1"),
      ],
      ["an EC key", async () => (await vault()).key("k1", { kty: "EC" })],
      [
        "a key without the operation decrypt",
        async () => (await vault()).key("k1", { kty: "RSA", keyOps: ["encrypt"] }),
      ],
      ["a disabled key", async () => (await vault()).key("k1", { kty: "RSA", attributes: { enabled: false } })],
      ["an expired key", async () => (await vault()).key("k1", { kty: "RSA", attributes: { exp: 1 } })],
      [
        "a vault behind its firewall",
        async () => (await vault(undefined, { networkAcls: { defaultAction: "Deny" } })).key("k1"),
      ],
      ["a key that is not there", async () => (await vault()).key("k1").then((id) => id.replace("/k1/", "/k2/"))],
    ];
    for (const [name, keyOf] of cases) {
      it(`${name} => ${code}`, async () => {
        const path = await cluster();
        const answer = await put(path, bodyOf(kmsOf(await keyOf())));
        assert.equal(answer.code, code);
        assert.equal(await stateOf(path), "Failed");
      });
    }

    it("a role that is not effective yet => the same; the same PUT again, later, repairs the cluster", async () => {
      const made = await vault([]);
      const keyId = await made.key("k1");
      fake.arm.access.delayMs = 5 * 60_000;
      const definition = `/subscriptions/${fake.subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${roles.keyVaultCryptoUser.id}`;
      await arm.put(`${made.path}/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`, "2022-04-01", {
        properties: { roleDefinitionId: definition, principalId, principalType: "ServicePrincipal" },
      });
      fake.arm.access.delayMs = 0;
      const path = await cluster();
      assert.equal((await put(path, bodyOf(kmsOf(keyId)))).code, code);
      fake.azure.clockAheadMs += 6 * 60_000;
      assert.equal((await put(path, bodyOf(kmsOf(keyId)))).code, "");
      assert.equal(await stateOf(path), "Succeeded");
      fake.azure.clockAheadMs = 0;
    });
  });

  describe("the window of two keys", () => {
    it("enabling, rotating with rewriting, rotating back and switching off all succeed", async () => {
      const { key } = await vault();
      const [first, second] = [await key("k1"), await key("k2")];
      const path = await cluster();
      const memory = fake.memoryCluster(path);
      memory.writeSecret("s");
      for (const step of [
        kmsOf(first),
        kmsOf(second),
        kmsOf(first),
        { securityProfile: { azureKeyVaultKms: { enabled: false } } },
      ]) {
        assert.equal((await put(path, bodyOf(step))).code, "");
        memory.rewriteSecrets();
      }
      assert.deepEqual(memory.stored(), { s: "identity" });
    });

    it("after one rotation without rewriting all is readable; after the second the API servers do not come up", async () => {
      const { key } = await vault();
      const path = await cluster(kmsOf(await key("k1")));
      fake.memoryCluster(path).writeSecret("s");
      assert.equal((await put(path, bodyOf(kmsOf(await key("k2"))))).code, "");
      const failed = await put(path, bodyOf(kmsOf(await key("k3"))));
      assert.equal(failed.code, "InternalOperationError");
      assert.equal(await stateOf(path), "Failed");
    });

    it("the key before must still be usable when the cluster changes again", async () => {
      const { key, name } = await vault();
      const path = await cluster(kmsOf(await key("k1")));
      const old = fake.arm.keyVaults.dataPlane(name)?.keys.find("k1", "");
      assert.ok(old);
      old.enabled = false;
      assert.equal((await put(path, bodyOf(kmsOf(await key("k2"))))).code, "InternalOperationError");
      old.enabled = true;
      assert.equal((await put(path, bodyOf(kmsOf(await key("k2"))))).code, "");
    });

    it("a PUT that does not change KMS does not touch the API servers", async () => {
      const { key } = await vault();
      const body = bodyOf(kmsOf(await key("k1")));
      const path = await cluster(body["properties"] as JsonObject);
      const before = fake.memoryCluster(path).history.length;
      await put(path, { ...body, tags: { a: "b" } });
      assert.equal(fake.memoryCluster(path).history.length, before);
    });
  });

  describe("a private vault", () => {
    const privately = { publicNetworkAccess: "Disabled" };
    let subnet: string;
    before(async () => {
      const network = `${group}/providers/Microsoft.Network/virtualNetworks/net`;
      const delegations = [{ name: "aks", properties: { serviceName: "Microsoft.ContainerService/managedClusters" } }];
      await arm.put(network, "2024-05-01", {
        location: "westeurope",
        properties: {
          addressSpace: { addressPrefixes: ["10.0.0.0/16"] },
          subnets: [
            { name: "api", properties: { addressPrefix: "10.0.0.0/28", delegations } },
            { name: "small", properties: { addressPrefix: "10.0.1.0/29", delegations } },
            { name: "plain", properties: { addressPrefix: "10.0.2.0/24" } },
          ],
        },
      });
      subnet = `${network}/subnets/api`;
    });
    const integrated = (path = subnet) => ({ apiServerAccessProfile: { enableVnetIntegration: true, subnetId: path } });
    const kms = (keyId: string, made: Vault) => ({
      ...integrated(),
      ...kmsOf(keyId, { keyVaultNetworkAccess: "Private", keyVaultResourceId: made.path }),
    });

    it("needs a delegated subnet of /28 or more that the identity may join, and never lets go of it", async () => {
      assert.match((await put(clusterPath("net1"), bodyOf(integrated()))).message, /does not have permission/);
      fake.arm.access.grant(principalId, roles.networkContributor, group);
      for (const other of ["small", "plain"]) {
        const answer = await put(clusterPath("net1"), bodyOf(integrated(subnet.replace(/api$/, other))));
        assert.match(answer.message, /must be delegated/);
      }
      const path = await cluster(integrated());
      assert.equal((await put(path, bodyOf())).code, "PropertyChangeNotAllowed");
      const busy = await arm.ask("DELETE", subnet, "2024-05-01");
      assert.equal(busy.code, "InUseSubnetCannotBeDeleted");
    });

    it("without Key Vault Contributor AKS can't connect; without Crypto User it finds out late; with both it works", async () => {
      const made = await vault([], privately);
      const keyId = await made.key("k1");
      const path = await cluster(integrated());
      assert.equal((await put(path, bodyOf(kms(keyId, made)))).code, "LinkedAuthorizationFailed");
      fake.arm.access.grant(principalId, roles.keyVaultContributor, made.path);
      assert.equal((await put(path, bodyOf(kms(keyId, made)))).code, "InternalOperationError");
      fake.arm.access.grant(principalId, roles.keyVaultCryptoUser, made.path);
      assert.equal((await put(path, bodyOf(kms(keyId, made)))).code, "");
      const { body } = await arm.ask("GET", made.path, "2024-11-01");
      assert.match(JSON.stringify(body), /privateEndpoints\/kms-aks-\d+.*Approved/);
    });

    it("the connection to a vault stays while one of the two keys is in it, and the way in with it", async () => {
      const [first, second] = [
        await vault([roles.keyVaultCryptoUser, roles.keyVaultContributor], privately),
        await vault(),
      ];
      const seen = async () =>
        JSON.stringify((await arm.ask("GET", first.path, "2024-11-01")).body).includes("/kms-aks-");
      const path = await cluster(kms(await first.key("k1"), first));
      for (const [key, connected] of [
        ["k2", true],
        ["k3", false],
      ] as const) {
        assert.equal((await put(path, bodyOf({ ...integrated(), ...kmsOf(await second.key(key)) }))).code, "");
        assert.equal(await seen(), connected);
      }
    });

    it("the mode of the attached vault can't change while KMS is on", async () => {
      const made = await vault([roles.keyVaultCryptoUser, roles.keyVaultContributor]);
      const keyId = await made.key("k1");
      const path = await cluster({ ...integrated(), ...kmsOf(keyId) });
      const direct = await put(path, bodyOf(kms(keyId, made)));
      assert.deepEqual([direct.status, direct.message.includes("disable Azure Key Vault KMS first")], [400, true]);
      await put(path, bodyOf({ ...integrated(), securityProfile: { azureKeyVaultKms: { enabled: false } } }));
      assert.equal((await put(path, bodyOf(kms(keyId, made)))).code, "");
    });
  });

  describe("the newer modes", () => {
    const encrypted = { kubernetesResourceObjectEncryptionProfile: { infrastructureEncryption: "Enabled" } };
    const managed = (keyId: string) => ({
      securityProfile: {
        ...encrypted,
        azureKeyVaultKms: { enabled: true, keyId: keyId.replace(/\/[^/]*$/, ""), keyVaultNetworkAccess: "Public" },
      },
    });

    it("are unknown to API versions before them, and need Kubernetes 1.33", async () => {
      const path = await cluster({ kubernetesVersion: "1.32" });
      assert.equal((await put(path, bodyOf({ securityProfile: encrypted }))).code, "UnmarshalError");
      const old = await put(path, bodyOf({ securityProfile: encrypted, kubernetesVersion: "1.32" }), newVersion);
      assert.match(old.message, /needs Kubernetes 1\.33/);
    });

    it("take a key without a version, rewrite by themselves, and are never switched off", async () => {
      const made = await vault();
      const keyId = await made.key("k1");
      const path = await cluster(kmsOf(keyId));
      fake.memoryCluster(path).writeSecret("s");
      const versioned = { securityProfile: { ...encrypted, ...(kmsOf(keyId)["securityProfile"] as JsonObject) } };
      assert.match((await put(path, bodyOf(versioned), newVersion)).message, /without a version/);
      assert.equal((await put(path, bodyOf(managed(keyId)), newVersion)).code, "");
      assert.deepEqual(fake.memoryCluster(path).stored(), { s: keyId.replace(/\/[^/]*$/, "") });
      const off = {
        securityProfile: {
          azureKeyVaultKms: { enabled: false },
          kubernetesResourceObjectEncryptionProfile: { infrastructureEncryption: "Disabled" },
        },
      };
      assert.equal((await put(path, bodyOf(off), newVersion)).code, "PropertyChangeNotAllowed");
    });

    it("change between the customer's key and the platform's; the older API version does not see them", async () => {
      const { key } = await vault();
      const path = await cluster();
      assert.equal((await put(path, bodyOf({ securityProfile: encrypted }), newVersion)).code, "");
      assert.equal((await put(path, bodyOf(managed(await key("k1"))), newVersion)).code, "");
      const { body } = await arm.ask("GET", path, version);
      assert.equal(JSON.stringify(body).includes("kubernetesResourceObjectEncryptionProfile"), false);
    });
  });

  describe("actions", () => {
    it("runCommand is accepted, and its result is at another place", async () => {
      const path = await cluster();
      const accepted = await arm.ask("POST", `${path}/runCommand`, version, { body: { command: "kubectl get nodes" } });
      assert.equal(accepted.status, 202);
      const place = new URL(String(accepted.headers["location"])).pathname;
      let result = await arm.ask("GET", place, version);
      while (result.status === 202) result = await arm.ask("GET", place, version);
      assert.deepEqual([result.status, (result.body["properties"] as JsonObject)["exitCode"]], [200, 127]);
      assert.match(textAt(result.body, "properties", "logs"), /kubectl get nodes/);
    });

    it("runCommand is refused where it is switched off, and without the permission", async () => {
      const path = await cluster({ apiServerAccessProfile: { disableRunCommand: true } });
      const off = await arm.ask("POST", `${path}/runCommand`, version, { body: { command: "true" } });
      assert.equal(off.status, 403);
      const reader = fake.addApplication(roles.reader);
      const refused = await arm.ask("POST", `${path}/runCommand`, version, { body: { command: "true" }, as: reader });
      assert.equal(refused.code, "AuthorizationFailed");
    });

    it("clusters are listed by subscription, with their KMS state", async () => {
      const { key } = await vault();
      const path = await cluster(kmsOf(await key("k1")));
      const all = await arm.ask(
        "GET",
        `/subscriptions/${fake.subscriptionId}/providers/Microsoft.ContainerService/managedClusters`,
        version,
      );
      const found = (all.body["value"] as JsonObject[]).find((entry) => entry["id"] === path);
      assert.match(textAt(found, "properties", "securityProfile", "azureKeyVaultKms", "keyId"), /\/k1\//);
    });
  });
});
