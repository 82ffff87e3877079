import assert from "node:assert/strict";
import { type AksProject, aksProject } from "../e2e/support/aks-project";

describe("moves of a cluster of AKS, by pulumi up on real API servers", function () {
  this.timeout(60 * 60_000);
  let aks: AksProject;
  before(async () => {
    aks = await aksProject();
    await aks.project.configure({ keyVersion: 1 });
    await aks.up();
    await aks.cloud.controlPlaneOf((await aks.outputs()).clusterId).createSecrets(20);
  });
  after(() => aks.close());

  it("rotated twice => nothing is left under the first two keys, which AKS could not read any more", async () => {
    for (const keyVersion of [2, 3]) {
      await aks.project.configure({ keyVersion });
      await aks.up();
      assert.deepEqual(Object.keys(await aks.stored()), [`etcd-v${keyVersion}`]);
    }
  });

  it("the vault becomes private => off, rewrite, vault, on, rewrite in one update; and nothing of azure-native reopens it", async () => {
    await aks.project.configure({ access: "Private" });
    const text = await aks.succeed("preview", "--diff");
    assert.match(text, /4\. Vault: etcd-vault\w+ becomes Private/);
    assert.match(text, /new Secrets are stored in plaintext until the update has ended/);
    await aks.up();
    assert.deepEqual(Object.keys(await aks.stored()), ["etcd-v3"]);
    const [vault] = aks.cloud.arm.list("Microsoft.KeyVault/vaults", "/");
    assert.match(JSON.stringify(vault?.body), /"publicNetworkAccess":"Disabled"/);
    await aks.succeed("preview", "--expect-no-changes");
  });

  it("the vault becomes public again => the same way back", async () => {
    await aks.project.configure({ access: "Public" });
    assert.match(await aks.succeed("preview", "--diff"), /4\. Vault: etcd-vault\w+ becomes Public/);
    await aks.up();
    assert.deepEqual(Object.keys(await aks.stored()), ["etcd-v3"]);
    const [vault] = aks.cloud.arm.list("Microsoft.KeyVault/vaults", "/");
    assert.match(JSON.stringify(vault?.body), /"publicNetworkAccess":"Enabled"/);
    await aks.succeed("preview", "--expect-no-changes");
  });

  it("pulumi refresh => nothing to do after it; once rotated since, another number of nodes brings the older key back, and the same up sets it right", async () => {
    await aks.succeed("refresh", "--yes", "--skip-preview");
    await aks.succeed("up", "--yes", "--skip-preview", "--expect-no-changes");
    await aks.project.configure({ keyVersion: 4 });
    await aks.up();
    await aks.project.configure({ nodes: 2 });
    const text = await aks.up();
    assert.match(text, /somebody else sets them too/);
    assert.deepEqual(Object.keys(await aks.stored()), ["etcd-v4"]);
    await aks.succeed("up", "--yes", "--skip-preview", "--expect-no-changes");
    await aks.project.configure({ keyVersion: 3, newestKeyVersion: 4 });
    await aks.up();
    await aks.succeed("refresh", "--yes", "--skip-preview");
  });

  it("enabled: false => every Secret is in plaintext; enabled again => under the key again", async () => {
    await aks.project.configure({ enabled: false });
    await aks.up();
    assert.deepEqual(Object.keys(await aks.stored()), ["plaintext"]);
    assert.equal((await aks.outputs()).activeKeyVersion, 0);
    await aks.project.configure({ enabled: true });
    await aks.up();
    assert.deepEqual(Object.keys(await aks.stored()), ["etcd-v3"]);
  });
});
