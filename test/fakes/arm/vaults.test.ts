import assert from "node:assert/strict";
import { type ArmRequests, armRequests } from "./arm-requests";
import { type FakeArm, startFakeArm } from "./fake-arm";
import { roles } from "./roles";
import { type JsonObject, textAt } from "./shape";

const version = "2024-11-01";

describe("vaults and keys of the fake ARM", function () {
  this.timeout(30_000);
  let fake: FakeArm;
  let arm: ArmRequests;
  let group: string;
  let count = 0;
  before(async () => {
    fake = await startFakeArm({ secondOpinion: "cached" });
    arm = armRequests(fake);
    group = await arm.group();
  });
  after(async () => {
    await arm.close();
    await fake.close();
  });

  const bodyOf = (more: JsonObject = {}) => ({
    location: "westeurope",
    properties: {
      tenantId: fake.tenantId,
      sku: { family: "A", name: "standard" },
      enableRbacAuthorization: true,
      ...more,
    },
  });
  const vaultPath = (name: string) => `${group}/providers/Microsoft.KeyVault/vaults/${name}`;

  async function vault(more: JsonObject = {}): Promise<{ name: string; path: string }> {
    count += 1;
    const name = `vault-${count}`;
    const { status, message } = await arm.put(vaultPath(name), version, bodyOf(more));
    assert.equal(status, 201, message);
    return { name, path: vaultPath(name) };
  }

  it("a vault gets its URI and defaults, and what the program says of it stays", async () => {
    const { path, name } = await vault({ softDeleteRetentionInDays: 30 });
    const properties = (await arm.ask("GET", path, version)).body["properties"] as JsonObject;
    assert.equal(properties["vaultUri"], `https://${name}.vault.azure.net/`);
    assert.deepEqual([properties["softDeleteRetentionInDays"], properties["enableSoftDelete"]], [30, true]);
  });

  it("purge protection is never switched off, retention never changed, another tenant never taken", async () => {
    const { path } = await vault({ softDeleteRetentionInDays: 30 });
    for (const [more, said] of [
      [{ enablePurgeProtection: false }, /enablePurgeProtection/],
      [{ enableSoftDelete: false }, /enableSoftDelete/],
      [{ softDeleteRetentionInDays: 60 }, /can't be modified/],
      [{ tenantId: "00000000-0000-0000-0000-000000000000" }, /tenant/],
    ] as const) {
      const answer = await arm.put(path, version, bodyOf(more));
      assert.deepEqual([answer.status, answer.code], [400, "BadRequest"]);
      assert.match(answer.message, said);
    }
  });

  it("names are 3 to 24 letters, digits and single hyphens, and taken by one vault in all of Azure", async () => {
    for (const name of ["ab", "9lives", "two--hyphens", "a-name-that-is-much-too-long", "ends-with-"]) {
      assert.equal((await arm.put(vaultPath(name), version, bodyOf())).status, 400, name);
    }
    const { name } = await vault();
    await arm.put(`/subscriptions/${fake.subscriptionId}/resourceGroups/rg2`, "2024-03-01", { location: "westeurope" });
    const again = await arm.put(vaultPath(name.toUpperCase()).replace("/rg/", "/rg2/"), version, bodyOf());
    assert.deepEqual([again.status, again.code], [409, "VaultAlreadyExists"]);
  });

  it("a deleted vault keeps its name; it comes back by createMode recover, with its keys and without its roles", async () => {
    const { path, name } = await vault();
    await arm.put(`${path}/keys/etcd`, version, { properties: { kty: "RSA" } });
    const principal = fake.addApplication();
    const role = `/subscriptions/${fake.subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${roles.keyVaultCryptoUser.id}`;
    const assignment = `${path}/providers/Microsoft.Authorization/roleAssignments/22222222-2222-4222-8222-222222222222`;
    await arm.put(assignment, "2022-04-01", {
      properties: { roleDefinitionId: role, principalId: principal.objectId, principalType: "ServicePrincipal" },
    });
    assert.equal(fake.arm.keyVaults.refusal(name, principal.objectId, "encrypt", "internet"), undefined);
    assert.equal((await arm.ask("DELETE", path, version)).status, 200);
    const conflict = await arm.put(path, version, bodyOf());
    assert.deepEqual([conflict.status, conflict.code], [409, "ConflictError"]);
    const deleted = await arm.ask(
      "GET",
      `/subscriptions/${fake.subscriptionId}/providers/Microsoft.KeyVault/deletedVaults`,
      version,
    );
    assert.ok((deleted.body["value"] as JsonObject[]).some((entry) => entry["name"] === name));

    const recovered = await arm.put(path, version, bodyOf({ createMode: "recover" }));
    assert.equal(recovered.status, 201);
    assert.match(
      textAt((await arm.ask("GET", `${path}/keys/etcd`, version)).body, "properties", "keyUriWithVersion"),
      /keys\/etcd\//,
    );
    assert.equal(fake.arm.keyVaults.refusal(name, principal.objectId, "encrypt", "internet"), "ForbiddenByRbac");
  });

  it("purging frees the name, and purge protection refuses it", async () => {
    const open = await vault();
    const protectedVault = await vault({ enablePurgeProtection: true });
    const deletedPath = (name: string) =>
      `/subscriptions/${fake.subscriptionId}/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/${name}/purge`;
    for (const { path } of [open, protectedVault]) await arm.ask("DELETE", path, version);
    assert.equal((await arm.ask("POST", deletedPath(open.name), version)).status, 202);
    assert.equal((await arm.put(open.path, version, bodyOf())).status, 201);
    assert.equal((await arm.ask("POST", deletedPath(protectedVault.name), version)).status, 400);
  });

  it("a key is made once: a second PUT changes nothing, and so makes no version", async () => {
    const { path } = await vault();
    const made = await arm.put(`${path}/keys/etcd`, version, {
      properties: { kty: "RSA", keyOps: ["encrypt", "decrypt"] },
    });
    const expires = Math.floor(Date.now() / 1_000) + 86_400;
    const again = await arm.put(`${path}/keys/etcd`, version, {
      properties: { kty: "RSA", attributes: { exp: expires } },
    });
    assert.deepEqual([made.status, again.status], [201, 200]);
    assert.deepEqual(again.body, made.body);
    assert.equal(textAt(again.body, "properties", "attributes", "exp"), "");
  });

  it("HSM keys need a premium vault, sizes are three, and timeBeforeExpiry needs expiryTime", async () => {
    const { path } = await vault();
    for (const properties of [
      { kty: "RSA-HSM" },
      { kty: "RSA", keySize: 1024 },
      {
        kty: "RSA",
        rotationPolicy: { lifetimeActions: [{ action: { type: "rotate" }, trigger: { timeBeforeExpiry: "P30D" } }] },
      },
    ]) {
      assert.equal((await arm.put(`${path}/keys/bad`, version, { properties })).status, 400);
    }
    const premium = await vault({ sku: { family: "A", name: "premium" } });
    assert.equal((await arm.put(`${premium.path}/keys/hsm`, version, { properties: { kty: "RSA-HSM" } })).status, 201);
  });

  it("ARM deletes no key; one that the data plane has deleted keeps its name", async () => {
    const { path, name } = await vault();
    await arm.put(`${path}/keys/etcd`, version, { properties: { kty: "RSA" } });
    assert.equal((await arm.ask("DELETE", `${path}/keys/etcd`, version)).status, 405);
    fake.arm.keyVaults.dataPlane(name)?.keys.delete("etcd");
    const again = await arm.put(`${path}/keys/other`, version, { properties: { kty: "RSA" } });
    assert.equal(again.status, 201);
  });

  it("what the data plane changes is what ARM shows", async () => {
    const { path, name } = await vault();
    await arm.put(`${path}/keys/etcd`, version, { properties: { kty: "RSA" } });
    const key = fake.arm.keyVaults.dataPlane(name)?.keys.find("etcd", "");
    assert.ok(key);
    key.enabled = false;
    const { body } = await arm.ask("GET", `${path}/keys/etcd`, version);
    assert.deepEqual((body["properties"] as { attributes: JsonObject }).attributes["enabled"], false);
  });

  it("access policies: add merges, replace replaces, remove takes away; RBAC vaults do not look at them", async () => {
    const { path, name } = await vault({ enableRbacAuthorization: false });
    const objectId = fake.addApplication().objectId;
    const policy = (keys: string[]) => ({
      properties: { accessPolicies: [{ tenantId: fake.tenantId, objectId, permissions: { keys } }] },
    });
    const may = (operation: "encrypt" | "decrypt") =>
      fake.arm.keyVaults.refusal(name, objectId, operation, "internet") === undefined;
    assert.equal(may("encrypt"), false);
    await arm.ask("PUT", `${path}/accessPolicies/add`, version, { body: policy(["encrypt"]) });
    await arm.ask("PUT", `${path}/accessPolicies/add`, version, { body: policy(["decrypt"]) });
    assert.deepEqual([may("encrypt"), may("decrypt")], [true, true]);
    await arm.ask("PUT", `${path}/accessPolicies/replace`, version, { body: policy(["decrypt"]) });
    assert.deepEqual([may("encrypt"), may("decrypt")], [false, true]);
    // H5: changing the model drops every grant at once.
    const { body } = await arm.ask("GET", path, version);
    await arm.put(path, version, {
      ...body,
      properties: { ...(body["properties"] as JsonObject), enableRbacAuthorization: true },
    });
    assert.equal(may("decrypt"), false);
    await arm.ask("PUT", `${path}/accessPolicies/remove`, version, { body: policy([]) });
    assert.deepEqual((await arm.ask("GET", path, version)).body["properties"], {
      ...(body["properties"] as JsonObject),
      enableRbacAuthorization: true,
      accessPolicies: [],
    });
  });

  it("the firewall: closed to the internet, open to a private endpoint, and to trusted services by the bypass", async () => {
    const objectId = fake.addApplication().objectId;
    const accessPolicies = [{ tenantId: fake.tenantId, objectId, permissions: { keys: ["encrypt"] } }];
    const refusals = async (more: JsonObject) => {
      const { name } = await vault({ enableRbacAuthorization: false, accessPolicies, ...more });
      return (["internet", "private endpoint", "trusted service"] as const).map((network) =>
        fake.arm.keyVaults.refusal(name, objectId, "encrypt", network),
      );
    };
    const deny = { defaultAction: "Deny", bypass: "AzureServices" };
    assert.deepEqual(await refusals({}), [undefined, undefined, undefined]);
    assert.deepEqual(await refusals({ publicNetworkAccess: "Disabled" }), [
      "ForbiddenByConnection",
      undefined,
      "ForbiddenByConnection",
    ]);
    assert.deepEqual(await refusals({ networkAcls: deny }), ["ForbiddenByFirewall", undefined, undefined]);
    assert.deepEqual(await refusals({ networkAcls: deny, publicNetworkAccess: "SecuredByPerimeter" }), [
      "ForbiddenByConnection",
      undefined,
      "ForbiddenByConnection",
    ]);
  });
});
