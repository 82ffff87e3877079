import assert from "node:assert/strict";
import { azureExample, previewInReadme, previewTable } from "../e2e/support/azure-example";
import type { AzureProject } from "../e2e/support/azure-project";
import type { AksControlPlane } from "../fakes/aks/aks-control-plane";
import { type RealAks, startRealAks } from "../fakes/aks/real-aks";

const secrets = 5;
const managedClusters = "Microsoft.ContainerService/managedClusters";

/**
 * The examples for AKS from the first `pulumi up` to the end of the stack, by their READMEs: real Pulumi CLI, real azure-native SDK, and real API
 * servers with our plugin server behind the cluster. Every body that ARM got is held against the publisher's models at the end.
 */
for (const name of ["aks-public", "aks-private"]) {
  describe(`examples/${name}`, function () {
    this.timeout(60 * 60_000);
    let cloud: RealAks;
    let example: AzureProject;
    let cluster: AksControlPlane;

    before(async () => {
      cloud = await startRealAks({ patienceSeconds: 600 });
      example = await azureExample(name, cloud);
      await example.project.configure({ location: "westeurope", keyVersion: 1 });
    });
    after(async () => {
      example.close();
      await cloud.close();
    });

    const keyOf = (version: number) =>
      cloud.arm.list("Microsoft.KeyVault/vaults", "/").map(({ id }) => {
        const vault = id.names[0] ?? "";
        return cloud.arm.keyVaults.dataPlane(vault)?.keys.find(`etcd-v${version}`, "")?.kid ?? "";
      })[0] ?? "";
    const activeKeyVersion = async () => (await example.project.outputs())["activeKeyVersion"];

    it("up => the cluster's Secrets are under the vault's key; a second up has nothing to do", async () => {
      await example.up();
      cluster = cloud.controlPlaneOf(cloud.arm.list(managedClusters, "/")[0]?.path ?? "");
      assert.equal(await activeKeyVersion(), 1);
      await cluster.createSecrets(secrets);
      assert.deepEqual(await cluster.storedUnder(), { [keyOf(1)]: secrets });
      await example.up("--expect-no-changes");
    });

    it("keyVersion 2 => the preview shows a key and the rotation only; up => every Secret is under it", async () => {
      await example.project.configure({ keyVersion: 2 });
      const text = await example.succeed("preview");
      assert.deepEqual(previewTable(text), previewInReadme(name, 2));
      await example.up();
      assert.equal(await activeKeyVersion(), 2);
      assert.deepEqual(await cluster.storedUnder(), { [keyOf(2)]: secrets });
    });

    it("another number of nodes => the cluster's owner changes it, and KMS stays as it is", async () => {
      await example.project.configure({ nodeCount: 3 });
      await example.up();
      assert.equal(cluster.history.length, 3);
      assert.deepEqual(await cluster.storedUnder(), { [keyOf(2)]: secrets });
    });

    it("back to the first key while the second one is declared => every Secret is under it", async () => {
      await example.project.configure({ keyVersion: 1, newestKeyVersion: 2 });
      await example.up();
      assert.deepEqual(await cluster.storedUnder(), { [keyOf(1)]: secrets });
    });

    if (name === "aks-private") {
      it("the vault becomes public, and private again => six steps each, in one update", async () => {
        for (const access of ["Public", "Private"]) {
          await example.project.configure({ vaultNetworkAccess: access });
          const steps = previewTable(await example.succeed("preview")).filter((line) => line.includes("RotationPhase"));
          assert.deepEqual(steps.map((line) => line.split(" ").at(2)).sort(), [
            "1-rewrite",
            "2-set",
            "3-rewrite",
            "4-vault",
            "5-set",
            "6-rewrite",
          ]);
          await example.up();
          assert.deepEqual(await cluster.storedUnder(), { [keyOf(1)]: secrets });
          await example.up("--expect-no-changes");
        }
      });
    } else {
      it("monitoring => the vault's audit log, the API servers' log and three alert rules in a workspace; again => no changes", async () => {
        await example.project.configure({ monitoring: true });
        await example.up();
        const made = (type: string) => cloud.arm.list(`Microsoft.Insights/${type}`, "/").length;
        assert.deepEqual([made("diagnosticSettings"), made("scheduledQueryRules")], [2, 3]);
        await example.up("--expect-no-changes");
      });
    }

    it("off, and no longer protected => plaintext; destroy => all is gone but what the vault can give back", async () => {
      await example.project.configure({ enabled: false, protectKeys: false });
      await example.up();
      assert.deepEqual(await cluster.storedUnder(), { plaintext: secrets });
      await example.succeed("destroy", "--yes", "--skip-preview");
      assert.deepEqual(cloud.arm.list(managedClusters, "/"), []);
      const left = Object.keys(await example.project.resources()).filter((urn) => urn.includes("azure-native:"));
      assert.deepEqual(left, []);
      assert.equal(cloud.arm.list("Microsoft.KeyVault/locations/deletedVaults", "/").length, 1);
    });
  });
}
