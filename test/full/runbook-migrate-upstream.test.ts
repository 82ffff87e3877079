import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { skipFor } from "../support/skip-for";
import { whyNoSshServer } from "../support/ssh-server";
import { projectTerminal } from "./support/project-terminal";
import { runbookProject } from "./support/runbook-project";
import type { Terminal } from "./support/terminal";
import { type GuidedCluster, guidedCluster, guidedConfiguration, upstreamGuides } from "./support/upstream-guides";

const secrets = 12;

/** The program's block for the guide's own key, as the runbook says to name it. */
const keyBlocks: Readonly<Record<string, string>> = {
  azure: 'azureKeyVault: { keyIds: { "1": config.require("key") } }',
  aws: 'awsKms: { keyArns: { "1": config.require("key") } }',
};

for (const [name, guide] of Object.entries(upstreamGuides)) {
  describe(`the runbook for a cluster that ${name} encrypts, command by command`, function () {
    this.timeout(30 * 60_000);
    let guided: GuidedCluster;
    let shell: Terminal;
    let close = () => Promise.resolve();

    before(async function () {
      skipFor(whyNoSshServer(), this);
      guided = await guidedCluster(guide, secrets);
      close = () => guided.close();
      const { key, ssh } = guided;
      const { project } = await runbookProject(ssh, keyBlocks[key.kind] ?? "");
      const named =
        key.kind === "aws"
          ? key.keyArn
          : `https://${key.vaultName}.vault.azure.net/keys/${key.keyName}/${key.keyVersion}`;
      // The guides name their images by a tag, which a program may not.
      const image = `${guide.image.replace(/:[^:/]+$/, "")}@sha256:${"0".repeat(64)}`;
      const plugin = JSON.stringify({ ...ssh.described.plugin, image });
      await project.configure({ keyVersion: 1, key: named, plugin });
      shell = await projectTerminal(project);
    });
    after(() => close());

    it("migrate-upstream-plugins.md => looked at without a change, then every Secret under the engine's own provider with the same key; their pod is left", async () => {
      const { cluster, ssh } = guided;
      const said = await shell.follow("docs/runbooks/migrate-upstream-plugins.md", {
        before: async () => {
          assert.deepEqual(await cluster.storedProviders(), { [`k8s:enc:kms:v1:${guide.provider}`]: secrets });
          for (const [index, host] of cluster.controlPlane.hosts.entries()) {
            const text = readFileSync(host.encryptionConfigFile, "utf8");
            assert.equal(text, guidedConfiguration(guide, guided.socketOf(index)));
          }
        },
      });
      for (const stage of ["Plugin", "Read", "Write", "Rewrite", "Prune"]) assert.ok(said.includes(`${stage}: `), said);
      const stored = Object.entries(await cluster.storedProviders());
      assert.equal(stored.length, 1);
      assert.match(stored[0]?.[0] ?? "", /^k8s:enc:kms:v2:kms-etcd-/);
      assert.equal(stored[0]?.[1], secrets);
      for (const [index] of cluster.controlPlane.hosts.entries()) {
        assert.ok(!readFileSync(ssh.configFile(index), "utf8").includes(guide.provider));
        const theirs = ssh.manifestFile(index, `${guide.pod}.yaml`);
        assert.ok(existsSync(theirs) && readFileSync(theirs, "utf8") === guided.pods[index], theirs);
      }
      await shell.succeed("pulumi preview --expect-no-changes");
    });
  });
}
