import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import type { AksReport } from "../../rotation/adapters/aks/aks-report";
import { openEnvelope, readPublicKey } from "../../rotation/report/envelope";
import { type AksProject, aksProject } from "./support/aks-project";

/** The real CLI, the real azure-native SDK and our provider as it is shipped; real API servers and etcd behind the cluster of our ARM. */
describe("a cluster of AKS, encrypted by pulumi up", function () {
  this.timeout(30 * 60_000);
  let aks: AksProject;
  before(async () => {
    aks = await aksProject();
    await aks.project.configure({ keyVersion: 1 });
  });
  after(() => aks.close());

  it("preview of a new cluster => everything is to be made, what is not known yet is said, and nothing is made", async () => {
    const text = await aks.succeed("preview");
    for (const type of ["ManagedCluster", "keyvault:Vault", "keyvault:Key", "AksKmsSettings", "RoleAssignment"]) {
      assert.match(text, new RegExp(type), text);
    }
    assert.match(text, /the cluster is not known before the update/);
    assert.equal(aks.cloud.arm.bodies.length, 0);
  });

  it("up => every Secret is under the key of version 1; again => no changes", async () => {
    await aks.up();
    const { activeKeyVersion, atGoal, evidence } = await aks.outputs();
    assert.deepEqual([activeKeyVersion, atGoal, evidence.complete, evidence.method], [1, true, true, "api"]);
    await aks.cloud.controlPlaneOf((await aks.outputs()).clusterId).createSecrets(5);
    assert.deepEqual(Object.keys(await aks.stored()), ["etcd-v1"]);
    await aks.succeed("preview", "--expect-no-changes");
    await aks.succeed("up", "--yes", "--skip-preview", "--expect-no-changes");
  });

  it("keyVersion 2 => a preview with each step, and then every Secret under the new key, proven, and said so in a signed report", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const pem = String(privateKey.export({ type: "pkcs8", format: "pem" }));
    await aks.project.configure({ keyVersion: 2 });
    await aks.project.succeed(["config", "set-all", "--secret", `reportKey=${pem}`]);
    const text = await aks.succeed("preview", "--diff");
    assert.match(text, /1\. Rewrite: \d+ Secrets written again under etcd-vault\w+\/etcd-v1/);
    assert.match(text, /2\. Set: the KMS plugin with key version 2, vault Public/);
    assert.match(text, /3\. Rewrite: \d+ Secrets written again under key version 2/);
    await aks.up();
    const stored = await aks.stored();
    assert.deepEqual(Object.keys(stored), ["etcd-v2"]);
    const { evidence, report } = await aks.outputs();
    assert.equal(evidence.resources[0]?.objects, stored["etcd-v2"]);
    const key = readPublicKey(String(publicKey.export({ type: "spki", format: "pem" })), "the public key");
    const { payload, problem } = openEnvelope(report, key, "the output");
    assert.equal(problem, undefined);
    const { before, after, steps, evidence: proven } = JSON.parse(payload) as AksReport;
    assert.match(before?.settings.keyId ?? "", /\/keys\/etcd-v1\//);
    assert.match(after.settings.keyId ?? "", /\/keys\/etcd-v2\//);
    assert.equal(proven?.resources[0]?.keys[0]?.objects, stored["etcd-v2"]);
    assert.equal(steps.at(-1)?.provenUnder, after.settings.keyId);
    assert.ok(!(await aks.project.succeed(["stack", "export"])).includes(pem.split("\n")[1] ?? ""), "in the state");
  });

  it("destroy => refused while it is protected; unprotected => all goes, and the warning says that the cluster kept its settings", async () => {
    assert.match((await aks.run("destroy", "--yes", "--skip-preview")).text, /protect/);
    await aks.project.configure({ protect: false });
    await aks.up();
    assert.match(await aks.succeed("destroy", "--yes", "--skip-preview"), /keeps its KMS settings as they are/);
    assert.deepEqual(
      Object.keys(await aks.project.resources()).filter((urn) => urn.includes("azure-native:")),
      [],
    );
  });
});
