import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { localProject } from "../e2e/support/local-project";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";
import { projectTerminal } from "./support/project-terminal";
import type { Terminal } from "./support/terminal";

const secrets = 12;
const comment = "# kept by the platform team";
const theirKey = randomBytes(32).toString("base64");
const theirs = `${comment}
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - aescbc:
          keys:
            - { name: key1, secret: ${theirKey} }
      - identity: {}
`;

describe("the runbook for encryption that was set up by hand, command by command", function () {
  this.timeout(30 * 60_000);
  let cluster: RealCluster;
  let shell: Terminal;

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 2, initialEncryptionConfig: theirs });
    await cluster.createSecrets(secrets);
    const { project, controlPlaneFile } = await localProject(cluster, "production");
    await project.configure({ keyVersion: 1 });
    // No key of ours is there yet.
    writeFileSync(join(project.directory, "kms-etcd.yaml"), stringify({ local: { controlPlaneFile } }));
    shell = await projectTerminal(project);
  });
  after(() => cluster.close());

  const configurations = () =>
    cluster.controlPlane.hosts.map((host) => readFileSync(host.encryptionConfigFile, "utf8"));

  it("migrate-manual.md => looked at twice without a change, then all is under the new key; their key is gone, their comment stays", async () => {
    const said = await shell.follow("docs/runbooks/migrate-manual.md", {
      before: async () => {
        if (configurations().some((text) => text !== theirs)) return assert.fail("changed before `pulumi up`");
        assert.deepEqual(await cluster.storedProviders(), { "k8s:enc:aescbc:v1:key1": secrets });
      },
    });
    assert.match(said, new RegExp(`secrets +aescbc\\S* .* ${secrets} `), "status counts what is under their key");
    const stored = Object.entries(await cluster.storedProviders());
    assert.equal(stored.length, 1);
    assert.match(stored[0]?.[0] ?? "", /^k8s:enc:kms:v2:kms-etcd-/);
    assert.equal(stored[0]?.[1], secrets);
    for (const text of configurations()) {
      assert.ok(text.startsWith(comment));
      assert.ok(!text.includes(theirKey) && !text.includes("aescbc"));
    }
    assert.ok(!said.includes(theirKey));
    await shell.succeed("pulumi preview --expect-no-changes");
  });
});
