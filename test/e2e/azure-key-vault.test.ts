import assert from "node:assert/strict";
import { join } from "node:path";
import { versionedAzureKeyId } from "../../core/azure-key-id";
import { roleAssignmentName } from "../../core/azure-roles";
import { type FakeArm, startFakeArm } from "../fakes/arm/fake-arm";
import { type AzureProject, azureProject } from "./support/azure-project";
import { type PulumiProject, programFiles, repository } from "./support/pulumi-project";

/** A group, an identity, a vault and its keys, as a program would make them; what varies is configuration. */
const program = `
  const pulumi = require("@pulumi/pulumi");
  const { ResourceGroup } = require("@pulumi/azure-native/resources/resourceGroup");
  const { AzureKeyIdentity, AzureKeyVaultKey } = require(${JSON.stringify(join(repository, "dist", "components"))});
  const config = new pulumi.Config();
  const protect = config.getBoolean("protect") ?? true;
  const group = new ResourceGroup("group", { resourceGroupName: "rg", location: "westeurope" });
  const where = { resourceGroupName: group.name, location: "westeurope" };
  const identity = new AzureKeyIdentity("cluster", { ...where, protectIdentity: protect });
  const keys = new AzureKeyVaultKey("etcd", {
    source: {
      ...where,
      keyUsers: { cluster: { identityId: identity.identityId } },
      ...(config.getObject("source") ?? {}),
    },
    newestKeyVersion: config.requireNumber("keyVersion"),
    protectKeys: protect,
    retireKeyVersions: config.getObject("retire"),
  });
  exports.keyIds = keys.keyIds;
  exports.vaultId = keys.vaultId;
  exports.objectId = identity.objectId;
`;

/** The real CLI, the real azure-native SDK and our provider as it is shipped, on an ARM, an Entra and a Key Vault of our own. */
describe("keys in Azure Key Vault, made by pulumi up", function () {
  this.timeout(20 * 60_000);
  let cloud: FakeArm;
  let azure: AzureProject;
  let project: PulumiProject;

  before(async () => {
    cloud = await startFakeArm();
    azure = await azureProject(cloud, (plugins) => programFiles(program, plugins));
    project = azure.project;
    await project.configure({ keyVersion: 1 });
  });
  after(async () => {
    azure.close();
    await cloud.close();
  });

  const succeed = (...args: string[]) => azure.succeed(...args);
  const up = () => azure.up();
  const writesSoFar = () =>
    cloud.azure.requests.filter(({ method, host }) => method !== "GET" && !host.startsWith("login")).length;

  /** Outputs, with their types. */
  async function outputs() {
    return (await project.outputs()) as { keyIds: Record<string, string>; vaultId: string; objectId: string };
  }

  /** A version's key in the vault's data plane. */
  async function storedKey(version: number) {
    const { vaultName, keyName, keyVersion } = versionedAzureKeyId((await outputs()).keyIds[version] ?? "");
    return cloud.arm.keyVaults.dataPlane(vaultName)?.keys.find(keyName, keyVersion) ?? assert.fail(`no key ${keyName}`);
  }

  it("preview => the vault, the key, the grants, and nothing is made", async () => {
    const text = await succeed("preview");
    for (const type of ["keyvault:Vault", "keyvault:Key", "authorization:RoleAssignment", "UserAssignedIdentity"]) {
      assert.match(text, new RegExp(type), text);
    }
    assert.match(text, /is 2024-11-01; Azure switches management API versions .* off on 2027-02-27.*rule H7/);
    assert.equal(writesSoFar(), 0);
  });

  it("up => a vault that keeps deleted keys, a key of its own name, Crypto User for the identity; again => no changes", async () => {
    await up();
    const { keyIds, vaultId, objectId } = await outputs();
    const { keyName, vaultName } = versionedAzureKeyId(keyIds["1"] ?? "");
    assert.equal(keyName, "etcd-v1");
    assert.match(vaultName, /^etcd-vault[0-9a-f]{8}$/);
    const names = cloud.arm.bodies.map(({ path }) => path).join("\n");
    assert.match(
      names,
      new RegExp(`roleAssignments/${roleAssignmentName(vaultId, objectId, "Key Vault Crypto User")}`),
    );
    for (const operation of ["encrypt", "decrypt"]) {
      const action = `Microsoft.KeyVault/vaults/keys/${operation}/action`;
      assert.ok(cloud.arm.access.isAllowed(objectId, action, vaultId, "data"), operation);
    }
    await succeed("preview", "--expect-no-changes");
    await succeed("up", "--yes", "--skip-preview", "--expect-no-changes");
  });

  it("keyVersion 2 => one key more, and the first one stays what it is", async () => {
    const before = await outputs();
    await project.configure({ keyVersion: 2, source: '{"key":{"size":3072}}' });
    const text = await succeed("preview");
    assert.match(text, /\+ +1 to create/);
    assert.match(text, /key: the settings of version 1 differ from the key that exists \(size\).*rule G10/);
    await project.configure({ source: "{}" });
    await up();
    const { keyIds } = await outputs();
    assert.equal(keyIds["1"], before.keyIds["1"]);
    assert.equal(versionedAzureKeyId(keyIds["2"] ?? "").keyName, "etcd-v2");
  });

  it("a retired version, and an expiry => set through the vault, once the role of who runs Pulumi has arrived there", async () => {
    await project.configure({ retire: "[1]", source: '{"keyExpiry":{"2":"2036-01-31T00:00:00Z"}}' });
    await up();
    assert.equal((await storedKey(1)).enabled, false);
    assert.deepEqual(
      [(await storedKey(2)).enabled, (await storedKey(2)).expires],
      [true, Date.parse("2036-01-31T00:00:00Z")],
    );
    await succeed("preview", "--expect-no-changes");
  });

  it("somebody enables the retired version by hand => a preview shows it, and up sets it back", async () => {
    (await storedKey(1)).enabled = true;
    assert.match(await succeed("preview", "--diff"), /enabled/);
    await up();
    assert.equal((await storedKey(1)).enabled, false);
  });

  it("a client id => refused in preview, with the command that prints the object id", async () => {
    await project.configure({ source: '{"keyUsers":{"sp":{"clientId":"11111111-0000-4000-8000-000000000001"}}}' });
    const { code, text } = await azure.run("preview");
    assert.notEqual(code, 0);
    assert.match(text, /source\.keyUsers\.sp\.clientId.*az ad sp show --id 11111111/s);
    await project.configure({ source: "{}" });
  });

  it("destroy => refused while it is protected, with nothing let go of; unprotected => all goes but the keys themselves", async () => {
    const before = Object.keys(await project.resources()).filter((urn) => urn.includes("azure-native"));
    const refused = await azure.run("destroy", "--yes", "--skip-preview");
    assert.notEqual(refused.code, 0);
    assert.match(refused.text, /protect/);
    const after = Object.keys(await project.resources()).filter((urn) => urn.includes("azure-native"));
    assert.deepEqual(after, before);
    await project.configure({ protect: false });
    await up();
    await succeed("destroy", "--yes", "--skip-preview");
    assert.deepEqual(
      Object.keys(await project.resources()).filter((urn) => urn.includes("azure-native:")),
      [],
    );
    const deletedKeys = cloud.azure.requests.filter(
      ({ method, path, host }) => method === "DELETE" && host.includes("vault.azure.net") && path.startsWith("/keys/"),
    );
    assert.deepEqual(deletedKeys, []);
  });
});
