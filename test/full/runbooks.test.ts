import assert from "node:assert/strict";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { ExitCode } from "../../rotation/cli/exit-code";
import { eventually } from "../e2e/support/eventually";
import { localProject } from "../e2e/support/local-project";
import type { PulumiProject } from "../e2e/support/pulumi-project";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";
import { backUpEtcd, restoreEtcd } from "./support/etcd-backup";
import { projectTerminal } from "./support/project-terminal";
import type { Terminal } from "./support/terminal";

const secrets = 12;

/** What a runbook says is run as it stands: somebody will do the same at night. */
describe("the runbooks, command by command, on a real control plane", function () {
  this.timeout(40 * 60_000);
  let cluster: RealCluster;
  let project: PulumiProject;
  let keys: string;
  let controlPlaneFile: string;
  let shell: Terminal;

  before(async () => {
    // One server that restarts: what is tried here are commands, not orders across servers.
    cluster = await realCluster({ automaticReload: false, hosts: 1 });
    await cluster.createSecrets(secrets);
    // The runbooks' stack is called production.
    ({ project, keys, controlPlaneFile } = await localProject(cluster, "production"));
    shell = await projectTerminal(project);
    declare(1);
  });
  after(() => cluster.close());

  /** The file that the runbooks' `--config kms-etcd.yaml` names, with the versions that there are by now. */
  function declare(...versions: readonly number[]): void {
    const config = {
      local: { controlPlaneFile },
      keys: versions.map((version) => ({ version, local: { file: join(keys, `key-v${version}`) } })),
    };
    writeFileSync(join(project.directory, "kms-etcd.yaml"), stringify(config));
  }

  const providers = async () => Object.entries(await cluster.storedProviders());

  it("enable => every Secret under one provider", async () => {
    const said = await shell.follow("docs/runbooks/enable.md");
    assert.match(said, /Prune/);
    const stored = await providers();
    assert.equal(stored.length, 1);
    assert.match(stored[0]?.[0] ?? "", /^k8s:enc:kms:v2:kms-etcd-/);
    assert.equal(stored[0]?.[1], secrets);
  });

  it("a pull request that raises keyVersion => its comment has the plan, and nothing is changed", async () => {
    await project.configure({ keyVersion: 2 });
    const before = await providers();
    const said = await shell.follow("docs/ci.md");
    for (const stage of ["Plugin", "Read", "Write", "Rewrite", "Verify", "Prune"])
      assert.match(said, new RegExp(`^\\| ${stage} \\| .* \\| .* \\|$`, "m"));
    assert.match(said, new RegExp(`\\| ${secrets} objects, `));
    assert.deepEqual(await providers(), before);
    await project.configure({ keyVersion: 1 });
  });

  it("rotate => every Secret under another one", async () => {
    const [before] = await providers();
    // The file of version 2 is made by `pulumi up`.
    const said = await shell.follow("docs/runbooks/rotate.md", {
      before: (text) => {
        if (text.includes("verify 2")) declare(1, 2);
      },
    });
    assert.match(said, /proven complete/);
    const stored = await providers();
    assert.equal(stored.length, 1);
    assert.notEqual(stored[0]?.[0], before?.[0]);
  });

  it("lost state => a new stack of the old name takes the cluster up, and has nothing to rotate", async () => {
    const before = await providers();
    const backend = join(project.directory, ".backend", ".pulumi");
    for (const folder of ["stacks", "history", "backups"])
      rmSync(join(backend, folder), { recursive: true, force: true });
    const key = readdirSync(keys).sort();
    const said = await shell.follow("docs/runbooks/lost-state.md");
    assert.doesNotMatch(said, /\[2\/6\]/, "no server's configuration was touched");
    assert.deepEqual(await providers(), before);
    assert.deepEqual(readdirSync(keys).sort(), key);
    assert.equal((await project.outputs())["activeKeyVersion"], 2);
  });

  it("roll back => under the first key again, without a new key", async () => {
    const said = await shell.follow("docs/runbooks/roll-back.md");
    assert.match(said, /proven complete/);
    assert.equal((await project.outputs())["activeKeyVersion"], 1);
    assert.deepEqual(readdirSync(keys).sort(), ["key-v1", "key-v2"]);
  });

  it("restore an etcd backup from before a rotation => no server is ready, status reads etcd, and all is under the new key again", async () => {
    const [before] = await providers();
    const { file } = await backUpEtcd(cluster);
    await project.configure({ keyVersion: 2 });
    await project.succeed(["up", "--yes", "--skip-preview"]);
    const rotated = await providers();
    assert.notDeepEqual(rotated[0]?.[0], before?.[0]);
    const restore = async () => {
      await restoreEtcd(cluster, file);
      await eventually("etcd holds what the old key has encrypted", 60, async () => {
        const stored = await providers().catch(() => []);
        return stored.length === 1 && stored[0]?.[0] === before?.[0];
      });
    };
    const statusOf = async () => (await cluster.request(0, "GET", "/readyz").catch(() => undefined))?.status;

    await restore();
    const said = await shell.follow("docs/runbooks/restore-etcd-backup.md", {
      before: async (text) => {
        if (text.includes("kms-etcd status")) assert.notEqual(await statusOf(), 200);
      },
      ending: (text) => (text.includes("kms-etcd status") ? ExitCode.Blocked : ExitCode.Ok),
    });
    assert.match(said, /local-[0-9a-f]{32}/);
    assert.deepEqual(await providers(), rotated);
    assert.equal(await statusOf(), 200);

    // The runbook's way without Pulumi.
    await restore();
    await shell.succeed("npx kms-etcd rotate 2 --config kms-etcd.yaml");
    assert.deepEqual(await providers(), rotated);
    await shell.succeed("pulumi preview --expect-no-changes");
  });

  it("disable, and destroy => plaintext; the keys stay", async () => {
    const said = await shell.follow("docs/runbooks/disable.md");
    assert.match(said, /written back in plaintext/);
    assert.deepEqual(await providers(), [["plaintext", secrets]]);
    assert.deepEqual(readdirSync(keys).sort(), ["key-v1", "key-v2"]);
  });
});
