import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type SshExample, sshExample, steadyPreview } from "../e2e/support/ssh-example";
import { armRequests } from "../fakes/arm/arm-requests";
import { type FakeArm, startFakeArm } from "../fakes/arm/fake-arm";
import { serveGraph } from "../fakes/azure/graph";
import { azureNativeEnvironment, buildAzureNative } from "../fakes/azure-native/stand-in";
import { skipFor } from "../support/skip-for";
import { whyNoSshServer } from "../support/ssh-server";

const secrets = 12;

/** examples/self-managed-azure from the first preview to the end of the stack, by its README. */
describe("examples/self-managed-azure on real API servers over SSH", function () {
  this.timeout(30 * 60_000);
  let cloud: FakeArm;
  let example: SshExample;
  let environment: Record<string, string>;
  let azureJson: string;
  let vmObjectIds: readonly string[];
  let keyUsers: Record<string, Record<string, string>>;
  const closing: (() => Promise<unknown>)[] = [];

  before(async function () {
    skipFor(whyNoSshServer(), this);
    cloud = await startFakeArm();
    closing.push(() => cloud.close());
    const directory = mkdtempSync(join(tmpdir(), "kms-etcd-azure-"));
    closing.push(async () => rmSync(directory, { recursive: true, force: true }));
    environment = await azureNativeEnvironment(cloud, directory);
    azureJson = join(directory, "azure.json");
    await prepareAzure();
    example = await sshExample({
      name: "self-managed-azure",
      secrets,
      providers: { "azure-native": await buildAzureNative(directory) },
      plugin: {
        azureConfigFile: azureJson,
        arguments: ["--probe-interval=2s"],
        environment: await cloud.azure.processEnvironment(directory),
      },
    });
    closing.push(() => example.close());
    await example.project.configure({
      resourceGroupName: "rg",
      location: "westeurope",
      keyUsers: JSON.stringify({ "control-plane": keyUsers["control-plane"] }),
    });
  });
  after(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  /** What is there before the program: a group, an identity that the machines have, and what azure.json says of it. */
  async function prepareAzure(): Promise<void> {
    const arm = armRequests(cloud);
    const group = await arm.group();
    const identityId = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/control-plane`;
    const { body } = await arm.put(identityId, "2023-01-31", { location: "westeurope" });
    await arm.close();
    const { clientId, principalId } = body["properties"] as Record<string, string>;
    cloud.azure.metadata.assign({
      tenantId: cloud.tenantId,
      resourceId: identityId,
      clientId: clientId ?? "",
      objectId: principalId ?? "",
    });
    writeFileSync(azureJson, JSON.stringify({ useManagedIdentityExtension: true, userAssignedIdentityID: clientId }));
    vmObjectIds = ["cp1", "cp2"].map((name) => {
      const objectId = randomUUID();
      cloud.arm.directory.add(objectId, "ServicePrincipal");
      cloud.arm.store(`${group}/providers/Microsoft.Compute/virtualMachines/${name}`, {
        location: "westeurope",
        identity: { type: "SystemAssigned", principalId: objectId, tenantId: cloud.tenantId },
        properties: {},
      });
      return objectId;
    });
    const machine = (name: string) => `${group}/providers/Microsoft.Compute/virtualMachines/${name}`;
    keyUsers = {
      "control-plane": { identityId },
      cp1: { virtualMachineId: machine("cp1") },
      cp2: { virtualMachineId: machine("cp2") },
    };
  }

  const run = (...args: string[]) => example.project.succeed(args, environment);
  const up = (...more: string[]) => run("up", "--yes", "--skip-preview", ...more);
  const stored = async () => Object.keys(await example.cluster.storedProviders());

  it("preview => what the README says; nothing is made, and the cluster is as it was", async () => {
    const text = await run("preview");
    assert.deepEqual(steadyPreview(text), example.promisedPreview, text);
    assert.equal(cloud.arm.list("Microsoft.KeyVault/vaults", "/").length, 0);
    assert.deepEqual(await stored(), ["plaintext"]);
  });

  it("a client id in keyUsers => the preview refuses it, with the command that prints the object id", async () => {
    const clientId = "11111111-0000-4000-8000-000000000001";
    await example.project.configure({ keyUsers: JSON.stringify({ cluster: { clientId } }) });
    const { code, text } = await example.project.run(["preview"], environment);
    assert.notEqual(code, 0);
    assert.match(text, /azureKeyVault\.keyUsers\.cluster\.clientId.*az ad sp show --id 11111111-0000-4000-8000/s);
    await example.project.configure({ keyUsers: JSON.stringify(keyUsers) });
  });

  it("up => every Secret under the vault's key by the hosts' user-assigned identity; a second up has nothing to do", async () => {
    await up();
    assert.equal((await example.project.outputs())["activeKeyVersion"], 1);
    const providers = await example.cluster.storedProviders();
    assert.deepEqual(Object.values(providers), [secrets]);
    assert.match(Object.keys(providers)[0] ?? "", /^k8s:enc:kms:v2:kms-etcd-/);
    await up("--expect-no-changes");
  });

  it("each machine's system-assigned identity => may encrypt and decrypt with the keys, and no more", () => {
    const vault = cloud.arm.list("Microsoft.KeyVault/vaults", "/")[0]?.id.names.at(-1) ?? assert.fail("no vault");
    for (const objectId of vmObjectIds) {
      const refusals = (["encrypt", "decrypt", "create", "delete"] as const).map((operation) =>
        cloud.arm.keyVaults.refusal(vault, objectId, operation, "internet"),
      );
      assert.deepEqual(refusals, [undefined, undefined, "ForbiddenByRbac", "ForbiddenByRbac"]);
    }
  });

  it("azure.json names a service principal, and keyVersion is 2 => rotated to the second key as that principal", async () => {
    const application = cloud.addApplication();
    serveGraph(cloud.azure, [{ id: application.objectId, appId: application.clientId, displayName: "cluster" }]);
    const { clientId: aadClientId, secret: aadClientSecret } = application;
    writeFileSync(azureJson, JSON.stringify({ tenantId: cloud.tenantId, aadClientId, aadClientSecret }));
    const users = { ...keyUsers, cluster: { servicePrincipalObjectId: application.objectId } };
    await example.project.configure({ keyVersion: 2, keyUsers: JSON.stringify(users) });
    await up();
    assert.equal((await example.project.outputs())["activeKeyVersion"], 2);
    assert.equal((await stored()).length, 1);
    await run("preview", "--expect-no-changes");
  });

  it("keyVersion 1 again => refused until newestKeyVersion names version 2; then the preview goes back to the first key", async () => {
    await example.project.configure({ keyVersion: 1 });
    const refused = await example.project.run(["preview"], environment);
    assert.notEqual(refused.code, 0, refused.text);
    assert.match(refused.text, /newestKeyVersion/);
    await example.project.configure({ newestKeyVersion: 2 });
    assert.match(await run("preview", "--diff"), /activeKeyVersion *: 2 => 1/);
    await example.project.configure({ keyVersion: 2 });
  });

  it("destroy => refused while keys are protected; after an up in plaintext without protection all goes, and Secrets are readable", async () => {
    const refused = await example.project.run(["destroy", "--yes", "--skip-preview"], environment);
    assert.notEqual(refused.code, 0);
    assert.match(refused.text, /protect/);
    await example.project.configure({ enabled: false, protectKeys: false });
    await up();
    assert.deepEqual(await stored(), ["plaintext"]);
    await run("destroy", "--yes", "--skip-preview");
    assert.equal(cloud.arm.list("Microsoft.KeyVault/vaults", "/").length, 0);
    const { status } = await example.cluster.request(1, "GET", "/api/v1/namespaces/default/secrets/s0");
    assert.equal(status, 200);
  });
});
