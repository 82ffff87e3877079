import assert from "node:assert/strict";
import { stableApiVersion } from "../../rotation/adapters/aks/kms-settings";
import { type ArmRequests, armRequests } from "../fakes/arm/arm-requests";
import { type FakeArm, startFakeArm } from "../fakes/arm/fake-arm";
import { roles } from "../fakes/arm/roles";
import { type JsonObject, textAt } from "../fakes/arm/shape";
import { type AzureProject, azureProject } from "./support/azure-project";
import { type PulumiProject, programFiles } from "./support/pulumi-project";

/** The stack that owns two clusters, whose KMS settings somebody else sets: as docs/aks.md has it, with and without a part of its own. */
const program = `
const pulumi = require("@pulumi/pulumi");
const { ManagedCluster } = require("@pulumi/azure-native/containerservice/managedCluster");
const { UserAssignedIdentity } = require("@pulumi/azure-native/managedidentity/userAssignedIdentity");
const { ResourceGroup } = require("@pulumi/azure-native/resources/resourceGroup");
const group = new ResourceGroup("group", { resourceGroupName: "rg", location: "westeurope" });
const where = { resourceGroupName: group.name, location: "westeurope" };
const identity = new UserAssignedIdentity("identity", where);
const cluster = (name, more, ignored) => new ManagedCluster(name, {
  ...where,
  dnsPrefix: name,
  kubernetesVersion: "1.34",
  identity: { type: "UserAssigned", userAssignedIdentities: [identity.id] },
  agentPoolProfiles: [
    { name: "system", mode: "System", count: new pulumi.Config().getNumber("nodes") ?? 1, vmSize: "Standard_D2s_v5" },
  ],
  ...more,
}, { ignoreChanges: [ignored] });
const bare = cluster("bare", {}, "securityProfile");
const cleaned = { securityProfile: { imageCleaner: { enabled: true, intervalHours: 48 } } };
const declared = cluster("declared", cleaned, "securityProfile.azureKeyVaultKms");
exports.clusterIds = [bare.id, declared.id];
exports.principalId = identity.principalId;
`;

describe("KMS settings of clusters that another stack owns, and pulumi refresh there", function () {
  this.timeout(10 * 60_000);
  let fake: FakeArm;
  let arm: ArmRequests;
  let azure: AzureProject;
  let project: PulumiProject;
  let clusterIds: readonly string[];
  const keys: string[] = [];

  before(async () => {
    fake = await startFakeArm();
    arm = armRequests(fake);
    azure = await azureProject(fake, (plugins) => programFiles(program, plugins));
    project = azure.project;
    await up();
    const outputs = await project.outputs();
    clusterIds = outputs["clusterIds"] as string[];
    const vault = `${clusterIds[0]?.split("/providers/")[0] ?? ""}/providers/Microsoft.KeyVault/vaults/owned`;
    const properties = {
      tenantId: fake.tenantId,
      sku: { family: "A", name: "standard" },
      enableRbacAuthorization: true,
    };
    await arm.put(vault, "2026-02-01", { location: "westeurope", properties });
    fake.arm.access.grant(String(outputs["principalId"]), roles.keyVaultCryptoUser, vault);
    for (const name of ["k1", "k2"]) {
      const { body } = await arm.put(`${vault}/keys/${name}`, "2026-02-01", { properties: { kty: "RSA" } });
      keys.push(textAt(body, "properties", "keyUriWithVersion"));
    }
  });
  after(async () => {
    azure.close();
    await arm.close();
    await fake.close();
  });

  const pulumi = (...args: string[]) => azure.succeed(...args);
  const up = (...more: string[]) => azure.up(...more);
  const profileOf = async (id: string) => {
    const { body } = await arm.ask("GET", id, stableApiVersion);
    return ((body["properties"] as JsonObject)["securityProfile"] ?? {}) as JsonObject;
  };
  /** Of both clusters, which have the same all the time. */
  async function keyNow(): Promise<string> {
    const found = await Promise.all(
      clusterIds.map(async (id) => textAt(await profileOf(id), "azureKeyVaultKms", "keyId")),
    );
    assert.equal(new Set(found).size, 1, found.join());
    return found[0] ?? "";
  }
  const clusterPuts = () => fake.arm.bodies.filter(({ type }) => type.endsWith("/managedClusters"));
  async function kmsInState(): Promise<readonly string[]> {
    const clusters = Object.entries(await project.resources()).filter(([urn]) => urn.includes("ManagedCluster"));
    return clusters.map(([, { inputs }]) =>
      textAt(inputs as JsonObject, "securityProfile", "azureKeyVaultKms", "keyId"),
    );
  }

  /** As AksKmsSettings does it: all that GET gave, with other KMS settings. */
  async function setKey(keyId: string): Promise<void> {
    for (const id of clusterIds) {
      const { body } = await arm.ask("GET", id, stableApiVersion);
      const azureKeyVaultKms = { enabled: true, keyId, keyVaultNetworkAccess: "Public" };
      const properties = {
        ...(body["properties"] as JsonObject),
        securityProfile: { ...(await profileOf(id)), azureKeyVaultKms },
      };
      const { code, message } = await arm.put(id, stableApiVersion, { ...body, properties });
      assert.equal(code, "", message);
    }
  }

  it("never refreshed => another number of nodes is sent without KMS settings, and they stay", async () => {
    await setKey(keys[0] ?? "");
    await project.configure({ nodes: 2 });
    await up();
    assert.doesNotMatch(JSON.stringify(clusterPuts().slice(-2)), /azureKeyVaultKms/);
    assert.equal(await keyNow(), keys[0]);
  });

  it("refreshed => the settings are in the state; the next up has no difference, and sends nothing of the cluster", async () => {
    await setKey(keys[1] ?? "");
    await pulumi("refresh", "--yes", "--skip-preview");
    assert.deepEqual(await kmsInState(), [keys[1], keys[1]]);
    const puts = clusterPuts().length;
    await up("--expect-no-changes");
    assert.equal(clusterPuts().length, puts);
    assert.equal(await keyNow(), keys[1]);
  });

  it("refreshed with each update (refresh: always) => another number of nodes keeps the key, also after a rotation", async () => {
    await setKey(keys[0] ?? "");
    await project.configure({ nodes: 3 });
    await up("--refresh");
    assert.equal(await keyNow(), keys[0]);
  });

  it("refreshed once, rotated since, and updated without a refresh => the key from then, which is what docs/aks.md warns of", async () => {
    await setKey(keys[1] ?? "");
    await project.configure({ nodes: 4 });
    await up();
    assert.equal(await keyNow(), keys[0]);
  });
});
