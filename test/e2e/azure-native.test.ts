import assert from "node:assert/strict";
import { armRequests } from "../fakes/arm/arm-requests";
import { type FakeArm, startFakeArm } from "../fakes/arm/fake-arm";
import { type AzureProject, azureProject } from "./support/azure-project";
import { type PulumiProject, programFiles } from "./support/pulumi-project";

/** The real SDK: a vault, a key, an identity that may use it, and who the deployer is. */
const program = `
const pulumi = require("@pulumi/pulumi");
const { getClientConfigOutput, RoleAssignment } = require("@pulumi/azure-native/authorization");
const { Key, Vault } = require("@pulumi/azure-native/keyvault");
const { UserAssignedIdentity } = require("@pulumi/azure-native/managedidentity");
const { ResourceGroup } = require("@pulumi/azure-native/resources");

const config = new pulumi.Config();
const client = getClientConfigOutput();
const group = new ResourceGroup("kms", { location: "westeurope", tags: { team: config.get("team") ?? "a" } });
const resourceGroupName = group.name;
const properties = {
  tenantId: client.tenantId,
  sku: { family: "A", name: "standard" },
  enableRbacAuthorization: true,
  enablePurgeProtection: true,
  [config.get("misspelt") ?? "publicNetworkAccess"]: "Enabled",
};
const vault = new Vault("vault", { resourceGroupName, properties });
const keyNames = (config.get("keys") ?? "etcd-1").split(",");
// The deployer's own right to delete keys, which is the data plane's: it must be there for as long as they are.
const officer = new RoleAssignment("crypto-officer", {
  principalId: client.objectId, principalType: "ServicePrincipal", scope: vault.id,
  roleDefinitionId: pulumi.interpolate\`/subscriptions/\${client.subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/14b46e9e-c2b7-41b4-b07b-48a6ebf60603\`,
});
const keys = keyNames.map((keyName) => new Key(keyName, {
  resourceGroupName, vaultName: vault.name, keyName, properties: { kty: "RSA", keySize: 2048, keyOps: ["encrypt", "decrypt"] },
}, { dependsOn: [officer], retainOnDelete: config.getBoolean("retain"), protect: config.getBoolean("protect") }));
const identity = new UserAssignedIdentity("identity", { resourceGroupName });
const assignment = new RoleAssignment("crypto-user", {
  principalId: identity.principalId, principalType: "ServicePrincipal", scope: vault.id,
  roleDefinitionId: pulumi.interpolate\`/subscriptions/\${client.subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/12338af0-0e69-4776-bea7-57ae8d297424\`,
});
exports.keyIds = keys.map((key) => key.keyUriWithVersion);
exports.vaultUri = vault.properties.vaultUri;
exports.principalId = identity.principalId;
exports.groupName = group.name;
exports.vaultId = vault.id;
`;

describe("the azure-native stand-in, with the real CLI and the real SDK", function () {
  this.timeout(10 * 60_000);
  let fake: FakeArm;
  let azure: AzureProject;
  let project: PulumiProject;

  before(async () => {
    fake = await startFakeArm();
    azure = await azureProject(fake, (plugins) => programFiles(program, plugins));
    project = azure.project;
  });
  after(async () => {
    azure.close();
    await fake.close();
  });

  const pulumi = (...args: string[]) => azure.succeed(...args);
  const up = (...more: string[]) => azure.up(...more);

  it("preview => all is to be created, nothing is, and no warning about the plugin", async () => {
    const text = await pulumi("preview", "--diff");
    for (const type of ["resources:ResourceGroup", "keyvault:Vault", "keyvault:Key", "authorization:RoleAssignment"]) {
      assert.match(text, new RegExp(`azure-native:${type}: \\(create\\)`));
    }
    assert.doesNotMatch(text, /warning/i);
    assert.equal(fake.arm.bodies.length, 0);
  });

  it("a misspelt property => the preview fails, and the message names it", async () => {
    await project.configure({ misspelt: "publicNetworkAcces" });
    const { code, text } = await azure.run("preview");
    await project.succeed(["config", "rm", "misspelt"]);
    assert.notEqual(code, 0);
    assert.match(text, /properties\.publicNetworkAcces\b/);
  });

  it("up => the resources are in Azure, with the outputs that the SDK has; a second up has nothing to do", async () => {
    await up();
    const { keyIds, vaultUri, principalId, groupName } = await project.outputs();
    assert.match(String(groupName), /^kms[0-9a-f]{8}$/);
    assert.match(String(vaultUri), /^https:\/\/vault[0-9a-f]{8}\.vault\.azure\.net\/$/);
    assert.match(String((keyIds as string[])[0]), /\/keys\/etcd-1\/[0-9a-f]{32}$/);
    assert.match(String(principalId), /^[0-9a-f-]{36}$/);
    const name = new URL(String(vaultUri)).host.split(".")[0] ?? "";
    assert.equal(fake.arm.keyVaults.refusal(name, String(principalId), "encrypt", "internet"), undefined);
    assert.equal(fake.arm.keyVaults.refusal(name, String(principalId), "create", "internet"), "ForbiddenByRbac");
    await up("--expect-no-changes");
  });

  it("one more key => one resource to create, and no other change", async () => {
    await project.configure({ keys: "etcd-1,etcd-2" });
    const text = await pulumi("preview", "--diff");
    assert.match(text, /\+ 1 to create/);
    assert.doesNotMatch(text, /to (update|replace|delete)/);
    await up();
  });

  it("another tag => an update in place; what changed behind Pulumi's back is seen by a refresh, and put right", async () => {
    await project.configure({ team: "b" });
    assert.match(await up(), /~ 1 updated/);
    const arm = armRequests(fake);
    const vaultId = String((await project.outputs())["vaultId"]);
    const { body } = await arm.ask("GET", vaultId, "2024-11-01");
    const properties = { ...(body["properties"] as Record<string, string>), publicNetworkAccess: "Disabled" };
    await arm.put(vaultId, "2024-11-01", { ...body, properties });
    await arm.close();
    assert.match(await up("--refresh", "--diff"), /publicNetworkAccess: "Disabled" => "Enabled"/);
    await pulumi("preview", "--refresh", "--expect-no-changes");
  });

  it("a resource that is there already => up refuses to create it", async () => {
    const arm = armRequests(fake);
    const vaultId = String((await project.outputs())["vaultId"]);
    await arm.put(`${vaultId}/keys/etcd-3`, "2024-11-01", { properties: {} });
    await arm.close();
    await project.configure({ keys: "etcd-1,etcd-2,etcd-3" });
    const { code, text } = await azure.run("up", "--yes", "--skip-preview");
    assert.notEqual(code, 0);
    assert.match(text, /cannot create already existing resource '.*\/keys\/etcd-3'/);
    await project.configure({ keys: "etcd-1,etcd-2" });
  });

  it("protect => destroy refuses; retainOnDelete => the key outlives its resource", async () => {
    await project.configure({ protect: true });
    await up();
    const refused = await azure.run("destroy", "--yes", "--skip-preview");
    assert.notEqual(refused.code, 0);
    assert.match(refused.text, /protect/);
    const { vaultUri } = await project.outputs();
    const name = new URL(String(vaultUri)).host.split(".")[0] ?? "";
    await project.configure({ protect: false, retain: true });
    await up();
    await project.configure({ keys: "etcd-1" });
    await up();
    assert.equal(fake.arm.keyVaults.stateOf(name, "etcd-2"), "there");
  });

  it("destroy => all gone but the vault's name, which stays taken while it can be recovered", async () => {
    await project.configure({ retain: false });
    await up();
    const { vaultId } = await project.outputs();
    await pulumi("destroy", "--yes", "--skip-preview");
    assert.deepEqual(Object.keys(await project.resources()), []);
    assert.equal(fake.arm.find(String(vaultId)), undefined);
    assert.equal(fake.arm.list("Microsoft.KeyVault/locations/deletedVaults", "/").length, 1);
  });
});
