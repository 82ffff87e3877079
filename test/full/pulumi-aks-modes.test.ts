import assert from "node:assert/strict";
import { type AksProject, aksProject } from "../e2e/support/aks-project";

const secrets = 5;

/** Everything by `pulumi up`: the real CLI, the real azure-native SDK, and real API servers behind the cluster. */
describe("a cluster of AKS with a vault of access policies, from KMS v1 on", function () {
  this.timeout(60 * 60_000);
  let aks: AksProject;
  before(async () => {
    aks = await aksProject();
    await aks.project.configure({ keyVersion: 1, authorization: "AccessPolicies", kubernetesVersion: "1.26" });
  });
  after(() => aks.close());

  it("up => the vault's policies let the cluster's identity encrypt and decrypt, and every Secret is under the key", async () => {
    await aks.up();
    await aks.cloud.controlPlaneOf((await aks.outputs()).clusterId).createSecrets(secrets);
    assert.deepEqual(await aks.stored(), { "etcd-v1": secrets });
    const [vault] = aks.cloud.arm.list("Microsoft.KeyVault/vaults", "/");
    assert.match(JSON.stringify(vault?.body), /"keys":\["decrypt","encrypt"\]/);
    await aks.succeed("up", "--yes", "--skip-preview", "--expect-no-changes");
  });

  it("under KMS v1: another key and an upgrade => the preview says why not; AKS and we refuse both, and nothing is lost", async () => {
    await aks.project.configure({ keyVersion: 2 });
    assert.match(await aks.succeed("preview"), /is 1\.26.*through KMS v1.*rule J2/s);
    const rotated = await aks.run("up", "--yes", "--skip-preview");
    assert.notEqual(rotated.code, 0);
    assert.match(rotated.text, /encrypts by KMS v1/);
    await aks.project.configure({ keyVersion: 1, newestKeyVersion: 2, kubernetesVersion: "1.27" });
    const upgraded = await aks.run("up", "--yes", "--skip-preview");
    assert.notEqual(upgraded.code, 0);
    assert.match(upgraded.text, /The cluster uses KMS v1: turn KMS off before the upgrade/);
    assert.deepEqual(await aks.stored(), { "etcd-v1": secrets });
  });

  it("off, upgraded, on again => plaintext in between, then every Secret under the key by KMS v2; now it can be rotated", async () => {
    await aks.project.configure({ kubernetesVersion: "1.26", enabled: false });
    await aks.up();
    assert.deepEqual(await aks.stored(), { plaintext: secrets });
    await aks.project.configure({ kubernetesVersion: "1.27" });
    await aks.up();
    await aks.project.configure({ enabled: true });
    await aks.up();
    assert.deepEqual(await aks.stored(), { "etcd-v1": secrets });
  });

  it("the next version's key is in another vault => every Secret under it", async () => {
    await aks.project.configure({ keyVersion: 2, otherVault: true });
    // Version 2 has a key of its own in this vault already; that one is let go of, never deleted.
    await aks.up();
    assert.deepEqual(await aks.stored(), { "other-v1": secrets });
    await aks.succeed("up", "--yes", "--skip-preview", "--expect-no-changes");
  });
});

describe("KMS data encryption of AKS, by pulumi up", function () {
  this.timeout(60 * 60_000);
  let aks: AksProject;
  before(async () => {
    aks = await aksProject();
    await aks.project.configure({ keyVersion: 1, mode: "PlatformManagedKey" });
  });
  after(() => aks.close());

  const refused = async (reason: RegExp) => {
    const { code, text } = await aks.run("preview");
    assert.notEqual(code, 0);
    assert.match(text, reason);
  };

  it("a platform-managed key => the platform's state as evidence, which claims nothing; keyVersion is refused", async () => {
    await aks.up();
    const { evidence, activeKeyVersion } = await aks.outputs();
    assert.deepEqual([evidence.method, evidence.complete, activeKeyVersion], ["platform", false, undefined]);
    assert.match(JSON.stringify(evidence), /KMS data encryption with a platform-managed key/);
    await aks.cloud.controlPlaneOf((await aks.outputs()).clusterId).createSecrets(secrets);
    assert.deepEqual(await aks.stored(), { platform: secrets });
    await aks.succeed("up", "--yes", "--skip-preview", "--expect-no-changes");
    await aks.project.configure({ insist: true });
    await refused(/keyVersion.*can't be given with aks\.mode PlatformManagedKey: the platform rotates/s);
  });

  it("a customer-managed key => AKS writes Secrets again by itself; keyVersion is refused; there is no way back", async () => {
    await aks.project.configure({ insist: false, mode: "CustomerManagedKey" });
    await aks.up();
    const { evidence } = await aks.outputs();
    assert.deepEqual([evidence.method, evidence.complete], ["platform", false]);
    assert.match(JSON.stringify(evidence), /KMS data encryption with https:.*\/keys\/etcd-v1"/);
    assert.deepEqual(await aks.stored(), { "etcd-v1": secrets });
    await aks.succeed("up", "--yes", "--skip-preview", "--expect-no-changes");
    await aks.project.configure({ insist: true });
    await refused(/keyVersion.*can't be given with aks\.mode CustomerManagedKey/s);
    await aks.project.succeed(["config", "rm", "mode"]);
    await aks.project.configure({ insist: false });
    await refused(/leaves KMS data encryption, which can't be turned off or exchanged.*rule J4/s);
  });
});
