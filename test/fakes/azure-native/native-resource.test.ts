import assert from "node:assert/strict";
import { Agent } from "undici";
import { type Properties, type PropertyValue, unknown } from "../../../provider/property-values";
import { InitFailed } from "../../../provider/resource";
import { ArmError } from "../arm/arm-error";
import { type ArmRequests, armRequests } from "../arm/arm-requests";
import { type FakeArm, startFakeArm } from "../arm/fake-arm";
import { roles } from "../arm/roles";
import { createAccessPolicyResource } from "./access-policy";
import { type ArmClient, createArmClient } from "./arm-client";
import { invoke } from "./invokes";
import { createNativeResource, type NativeResource } from "./native-resource";
import { nativeTypes } from "./native-types";

const seed = new Uint8Array([1, 2, 3]);
const { signal } = new AbortController();

describe("resources of the azure-native stand-in", function () {
  this.timeout(20_000);
  let fake: FakeArm;
  let arm: ArmRequests;
  let agent: Agent;
  let client: ArmClient;
  before(async () => {
    fake = await startFakeArm({ secondOpinion: "cached" });
    arm = armRequests(fake);
    agent = new Agent({ connect: fake.azure.connect });
    await arm.group();
    client = createArmClient(
      {
        tenantId: fake.tenantId,
        subscriptionId: fake.subscriptionId,
        clientId: fake.deployer.clientId,
        clientSecret: fake.deployer.secret,
      },
      agent,
    );
  });
  after(async () => {
    await agent.destroy();
    await arm.close();
    await fake.close();
  });

  function resource(token: string, location?: string): NativeResource {
    const type = nativeTypes.get(`azure-native:${token}`);
    assert.ok(type);
    return createNativeResource(type, client, location);
  }

  async function made(token: string, inputs: Properties) {
    const native = resource(token);
    const checked = await native.check(undefined, inputs, "made", seed);
    assert.deepEqual(checked.problems, []);
    const { id, outputs } = await native.create(checked.inputs, false, signal);
    return { native, state: { id, inputs: checked.inputs, outputs } };
  }

  const sku = { family: "A", name: "standard" };
  const vaultInputs = (more: Properties = {}) => ({
    resourceGroupName: "rg",
    properties: { tenantId: fake.tenantId, sku, ...more },
  });

  it("Check names what the program does not, the same way with the same seed, and keeps the name that there is", async () => {
    const native = resource("managedidentity:UserAssignedIdentity");
    const nameOf = async (olds: Properties | undefined, given: Uint8Array) =>
      (await native.check(olds, { resourceGroupName: "rg", location: "eastus" }, "kms", given)).inputs["resourceName"];
    const first = await nameOf(undefined, seed);
    assert.match(textOf(first), /^kms[0-9a-f]{8}$/);
    assert.equal(await nameOf(undefined, seed), first);
    assert.notEqual(await nameOf(undefined, new Uint8Array([9])), first);
    assert.equal(await nameOf({ resourceName: "known" }, seed), "known");
    const assignment = await resource("authorization:RoleAssignment").check(undefined, {}, "kms", seed);
    assert.match(textOf(assignment.inputs["roleAssignmentName"]), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  });

  it("Check takes the location from the provider, else from the group, and not yet where the group is not known", async () => {
    const inputs = { resourceGroupName: "rg" };
    const of = async (native: NativeResource, given: Properties) =>
      (await native.check(undefined, given, "kms", seed)).inputs["location"];
    assert.equal(await of(resource("managedidentity:UserAssignedIdentity", "eastus"), inputs), "eastus");
    assert.equal(await of(resource("managedidentity:UserAssignedIdentity"), inputs), "westeurope");
    assert.equal(await of(resource("managedidentity:UserAssignedIdentity"), { resourceGroupName: unknown }), unknown);
  });

  it("Check refuses what the type does not have and what is missing, by path", async () => {
    const { problems } = await resource("keyvault:Vault").check(
      undefined,
      { vaultName: "v", properties: { sku, tenant: "t" } },
      "v",
      seed,
    );
    assert.deepEqual(
      problems.map(({ path }) => path),
      ["resourceGroupName", "properties.tenant", "location", "properties.tenantId"],
    );
  });

  it("Diff replaces where ARM can't change, and deletes first where the new one would be in the same place", () => {
    const native = resource("keyvault:Vault");
    const id = `/subscriptions/${fake.subscriptionId}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/v`;
    const inputs = { ...vaultInputs(), vaultName: "v", location: "westeurope" };
    const state = { id, inputs, outputs: {} };
    const diff = (news: Properties) => {
      const { changes, replaces, deleteBeforeReplace } = native.diff(state, news);
      return { changes: [...changes.keys()], replaces: [...replaces], deleteBeforeReplace };
    };
    assert.deepEqual(diff(inputs), { changes: [], replaces: [], deleteBeforeReplace: false });
    assert.deepEqual(diff({ ...inputs, ...vaultInputs({ enablePurgeProtection: true }) }), {
      changes: ["properties.enablePurgeProtection"],
      replaces: [],
      deleteBeforeReplace: false,
    });
    assert.deepEqual(diff({ ...inputs, vaultName: "w" }), {
      changes: ["vaultName"],
      replaces: ["vaultName"],
      deleteBeforeReplace: false,
    });
    assert.deepEqual(diff({ ...inputs, location: "eastus" }), {
      changes: ["location"],
      replaces: ["location"],
      deleteBeforeReplace: true,
    });
  });

  it("a preview sends nothing, and says of what is not made yet that it is not known", async () => {
    const before = fake.arm.bodies.length;
    const { id, outputs } = await resource("keyvault:Vault").create(
      { ...vaultInputs(), vaultName: "planned", location: "westeurope" },
      true,
      signal,
    );
    assert.equal(id, "");
    assert.deepEqual([outputs["location"], outputs["name"]], ["westeurope", unknown]);
    assert.equal(fake.arm.bodies.length, before);
  });

  it("Create, Read, Update and Delete are requests to ARM; outputs are the SDK's", async () => {
    const { native, state } = await made("keyvault:Vault", vaultInputs());
    assert.equal(
      (state.outputs["properties"] as Properties)["vaultUri"],
      `https://${textOf(state.inputs["vaultName"])}.vault.azure.net/`,
    );
    assert.deepEqual(await native.read(state, signal), state);
    const tagged = await native.update(state, { ...state.inputs, tags: { a: "b" } }, false, signal);
    assert.deepEqual(tagged["tags"], { a: "b" });
    await native.delete(state, signal);
    assert.equal(await native.read(state, signal), undefined);
    await native.delete(state, signal);
  });

  it("Create refuses a resource that is there, and passes on ARM's refusals with their code", async () => {
    const { native, state } = await made("managedidentity:UserAssignedIdentity", { resourceGroupName: "rg" });
    await assert.rejects(native.create(state.inputs, false, signal), /cannot create already existing resource/);
    const nowhere = { resourceGroupName: "none", resourceName: "i", location: "westeurope" };
    await assert.rejects(native.create(nowhere, false, signal), /Code="ResourceGroupNotFound"/);
  });

  it("what fails after the answer leaves the resource in the state, as an initialization that failed", async () => {
    const cluster = nativeTypes.get("azure-native:containerservice:ManagedCluster");
    assert.ok(cluster);
    const { state } = await made("managedidentity:UserAssignedIdentity", {
      resourceGroupName: "rg",
      resourceName: "cluster",
    });
    const inputs = {
      resourceGroupName: "rg",
      resourceName: "failing",
      location: "westeurope",
      dnsPrefix: "f",
      identity: { type: "UserAssigned", userAssignedIdentities: [state.id] },
      agentPoolProfiles: [{ name: "system", mode: "System", count: 1 }],
      securityProfile: {
        azureKeyVaultKms: {
          enabled: true,
          keyId: `https://none.vault.azure.net/keys/k/${"0".repeat(32)}`,
          keyVaultNetworkAccess: "Public",
        },
      },
    };
    await assert.rejects(
      createNativeResource(cluster, client, undefined).create(inputs, false, signal),
      (thrown: unknown) => {
        assert.ok(thrown instanceof InitFailed);
        assert.match(thrown.message, /AzureKeyVaultKmsValidateIdentityPermissionCustomerError/);
        return thrown.outputs["provisioningState"] === "Failed";
      },
    );
  });

  it("a cluster is made with its KMS settings, rotated in place, and replaced where AKS can't change it", async () => {
    const vault = await made("keyvault:Vault", {
      ...vaultInputs({ enableRbacAuthorization: true }),
      vaultName: "clusterkeys",
    });
    const identity = await made("managedidentity:UserAssignedIdentity", {
      resourceGroupName: "rg",
      resourceName: "rotating",
    });
    fake.arm.access.grant(textOf(identity.state.outputs["principalId"]), roles.keyVaultCryptoUser, vault.state.id);
    const keyId = async (keyName: string) =>
      textOf(
        (
          await made("keyvault:Key", {
            resourceGroupName: "rg",
            vaultName: "clusterkeys",
            keyName,
            properties: { kty: "RSA" },
          })
        ).state.outputs["keyUriWithVersion"],
      );
    const inputs = (id: string) => ({
      resourceGroupName: "rg",
      resourceName: "rotated",
      dnsPrefix: "r",
      identity: { type: "UserAssigned", userAssignedIdentities: [identity.state.id] },
      agentPoolProfiles: [{ name: "system", mode: "System", count: 1 }],
      securityProfile: { azureKeyVaultKms: { enabled: true, keyId: id, keyVaultNetworkAccess: "Public" } },
    });
    const { native, state } = await made("containerservice:ManagedCluster", inputs(await keyId("k1")));
    assert.equal(state.outputs["provisioningState"], "Succeeded");
    const assigned = (state.outputs["identity"] as Properties)["userAssignedIdentities"];
    assert.deepEqual(Object.keys(assigned as object), [identity.state.id]);
    const rotated = { ...state.inputs, ...inputs(await keyId("k2")) };
    assert.deepEqual([...native.diff(state, rotated).replaces], []);
    await native.update(state, rotated, false, signal);
    assert.match(JSON.stringify(fake.memoryCluster(state.id).window), /keys\/k2\/.*keys\/k1\//);
    assert.deepEqual([...native.diff(state, { ...rotated, dnsPrefix: "other" }).replaces], ["dnsPrefix"]);
    await native.delete(state, signal);
    assert.equal(await native.read(state, signal), undefined);
  });

  it("throttled requests are tried again", async () => {
    fake.arm.failNext(new ArmError(429, "TooManyRequests", "later", { "retry-after": "0" }), () => true, 2);
    await made("managedidentity:UserAssignedIdentity", { resourceGroupName: "rg", resourceName: "throttled" });
  });

  it("a refresh changes the inputs that were changed in Azure, and brings in what nobody declared; an import makes them all", async () => {
    const { native, state } = await made("keyvault:Vault", {
      ...vaultInputs({ publicNetworkAccess: "Enabled" }),
      vaultName: "refreshed",
    });
    const { body } = await arm.ask("GET", state.id, "2024-11-01");
    await arm.put(state.id, "2024-11-01", {
      ...body,
      tags: { by: "hand" },
      properties: { ...(body["properties"] as object), publicNetworkAccess: "Disabled" },
    });
    const seen = await native.read(state, signal);
    const changed = { ...vaultInputs({ publicNetworkAccess: "Disabled" }), tags: { by: "hand" } };
    assert.deepEqual(seen?.inputs, { ...state.inputs, ...changed });
    const imported = await native.read({ id: state.id, inputs: {}, outputs: {} }, signal);
    assert.ok(imported);
    assert.equal(imported.inputs["vaultName"], state.inputs["vaultName"]);
    assert.deepEqual(imported.inputs["tags"], { by: "hand" });
    assert.equal((imported.inputs["properties"] as Properties)["vaultUri"], undefined);
  });

  it("a network keeps subnets that are resources of their own when it is updated", async () => {
    const { native, state } = await made("network:VirtualNetwork", {
      resourceGroupName: "rg",
      addressSpace: { addressPrefixes: ["10.0.0.0/16"] },
    });
    const network = textOf(state.inputs["virtualNetworkName"]);
    const subnet = await made("network:Subnet", {
      resourceGroupName: "rg",
      virtualNetworkName: network,
      addressPrefix: "10.0.0.0/24",
    });
    await native.update(state, { ...state.inputs, tags: { a: "b" } }, false, signal);
    assert.ok(await subnet.native.read(subnet.state, signal));
  });

  it("deleting a key is the data plane's: it needs a permission there, and ends in the vault's deleted keys", async () => {
    const vault = await made("keyvault:Vault", {
      ...vaultInputs({ enableRbacAuthorization: true }),
      vaultName: "keyvaulted",
    });
    const { native, state } = await made("keyvault:Key", {
      resourceGroupName: "rg",
      vaultName: "keyvaulted",
      keyName: "k",
      properties: { kty: "RSA" },
    });
    assert.match(
      textOf(state.outputs["keyUriWithVersion"]),
      /^https:\/\/keyvaulted\.vault\.azure\.net\/keys\/k\/[0-9a-f]{32}$/,
    );
    await assert.rejects(native.delete(state, signal), /ForbiddenByRbac|not authorized/);
    fake.arm.access.grant(fake.deployer.objectId, roles.keyVaultCryptoOfficer, vault.state.id);
    await native.delete(state, signal);
    assert.equal(fake.arm.keyVaults.stateOf("keyvaulted", "k"), "deleted");
  });

  it("AccessPolicy is one principal's part of a vault: made, read, changed and taken away without the others", async () => {
    await made("keyvault:Vault", { ...vaultInputs(), vaultName: "policies" });
    const native = createAccessPolicyResource(client);
    const of = (objectId: string, keys: string[]) => ({
      resourceGroupName: "rg",
      vaultName: "policies",
      policy: { tenantId: fake.tenantId, objectId, permissions: { keys } },
    });
    const [one, two] = [fake.addApplication().objectId, fake.addApplication().objectId];
    const first = await native.create(of(one, ["encrypt"]), false, signal);
    await native.create(of(two, ["decrypt"]), false, signal);
    const state = { id: first.id, inputs: of(one, ["encrypt"]), outputs: first.outputs };
    assert.deepEqual((await native.read(state, signal))?.inputs, of(one, ["encrypt"]));
    await native.update(state, of(one, ["wrapKey"]), false, signal);
    const may = (objectId: string, operation: "encrypt" | "wrapKey" | "decrypt") =>
      fake.arm.keyVaults.refusal("policies", objectId, operation, "internet") === undefined;
    assert.deepEqual([may(one, "encrypt"), may(one, "wrapKey"), may(two, "decrypt")], [false, true, true]);
    await native.delete(state, signal);
    assert.deepEqual(
      [may(one, "wrapKey"), may(two, "decrypt"), await native.read(state, signal)],
      [false, true, undefined],
    );
    assert.equal((await native.check(undefined, { ...of(one, []), extra: 1 }, "p", seed)).problems[0]?.path, "extra");
  });

  it("functions: who the caller is, and what there is", async () => {
    const { clientId, objectId, subscriptionId, tenantId } = fake.deployer as typeof fake.deployer & {
      subscriptionId?: string;
    };
    assert.deepEqual(await invoke(client, "azure-native:authorization:getClientConfig", {}), {
      clientId,
      objectId,
      subscriptionId: subscriptionId ?? fake.subscriptionId,
      tenantId,
    });
    const { state } = await made("managedidentity:UserAssignedIdentity", {
      resourceGroupName: "rg",
      resourceName: "gotten",
    });
    const found = await invoke(client, "azure-native:managedidentity:getUserAssignedIdentity", {
      resourceGroupName: "rg",
      resourceName: "gotten",
    });
    assert.deepEqual([found["id"], found["principalId"]], [state.id, state.outputs["principalId"]]);
    await assert.rejects(invoke(client, "azure-native:compute:getDisk", {}), /has no function/);
    const machine = `${await arm.group()}/providers/Microsoft.Compute/virtualMachines/control-plane`;
    fake.arm.store(machine, {
      location: "westeurope",
      identity: { type: "SystemAssigned", principalId: "p" },
      properties: {},
    });
    const vm = await invoke(client, "azure-native:compute:getVirtualMachine", {
      resourceGroupName: "rg",
      vmName: "control-plane",
    });
    assert.deepEqual(vm["identity"], { type: "SystemAssigned", principalId: "p" });
    await assert.rejects(invoke(client, "azure-native:keyvault:getVault", { name: "v" }), /has no argument 'name'/);
  });
});

function textOf(value: PropertyValue | undefined): string {
  assert.ok(typeof value === "string");
  return value;
}
