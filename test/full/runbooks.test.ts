import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { findTool } from "../../tools/find-tool";
import { snippets } from "../docs/markdown";
import { localProject } from "../e2e/support/local-project";
import { type PulumiProject, repository } from "../e2e/support/pulumi-project";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

const secrets = 12;

/** What a runbook says is run as it stands: somebody will do the same at night. */
describe("the runbooks, command by command, on a real control plane", function () {
  this.timeout(40 * 60_000);
  let cluster: RealCluster;
  let project: PulumiProject;
  let keys: string;
  let controlPlaneFile: string;
  let shell: Readonly<Record<string, string | undefined>>;

  before(async () => {
    // One server that restarts: what is tried here are commands, not orders across servers.
    cluster = await realCluster({ automaticReload: false, hosts: 1 });
    await cluster.createSecrets(secrets);
    // The runbooks' stack is called production.
    ({ project, keys, controlPlaneFile } = await localProject(cluster, "production"));
    const bin = join(project.directory, ".bin");
    mkdirSync(bin);
    // In the place of a package that is installed, which test/e2e/package.test.ts tries: the same command, compiled.
    writeFileSync(
      join(bin, "npx"),
      `#!/bin/sh\ntest "$1" = kms-etcd && shift && exec '${process.execPath}' '${join(repository, "dist", "rotation", "cli.js")}' "$@"\n`,
    );
    chmodSync(join(bin, "npx"), 0o755);
    shell = {
      ...process.env,
      ...project.environment,
      PATH: `${bin}:${dirname((await findTool("pulumi")).path)}:${process.env["PATH"] ?? ""}`,
      PULUMI_SKIP_CONFIRMATIONS: "true",
    };
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

  /** Runs the blocks of a document in order; each must end with 0. `before` is told of each. */
  async function follow(document: string, before: (text: string) => void = () => {}): Promise<string> {
    const blocks = snippets(join("docs", document), "sh");
    assert.ok(blocks.length > 0);
    let said = "";
    for (const { at, text } of blocks) {
      before(text);
      const { code, output } = await bash(text);
      assert.equal(code, 0, `${at} ended with ${code}:\n${text}\n${output}`);
      said += output;
    }
    return said;
  }

  function bash(text: string): Promise<{ code: number | null; output: string }> {
    return new Promise((resolve, reject) => {
      const child = spawn("bash", ["-euo", "pipefail", "-c", text], {
        cwd: project.directory,
        env: shell,
        stdio: ["ignore", "pipe", "pipe"],
      });
      let output = "";
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (chunk: Buffer) => (output += String(chunk)));
      child.once("error", reject);
      child.once("exit", (code) => setImmediate(() => resolve({ code, output })));
    });
  }

  const providers = async () => Object.entries(await cluster.storedProviders());

  it("enable => every Secret under one provider", async () => {
    const said = await follow("runbooks/enable.md");
    assert.match(said, /Prune/);
    const stored = await providers();
    assert.equal(stored.length, 1);
    assert.match(stored[0]?.[0] ?? "", /^k8s:enc:kms:v2:kms-etcd-/);
    assert.equal(stored[0]?.[1], secrets);
  });

  it("a pull request that raises keyVersion => its comment has the plan, and nothing is changed", async () => {
    await project.configure({ keyVersion: 2 });
    const before = await providers();
    const said = await follow("ci.md");
    for (const stage of ["Plugin", "Read", "Write", "Rewrite", "Verify", "Prune"])
      assert.match(said, new RegExp(`^\\| ${stage} \\| .* \\| .* \\|$`, "m"));
    assert.match(said, new RegExp(`\\| ${secrets} objects, `));
    assert.deepEqual(await providers(), before);
    await project.configure({ keyVersion: 1 });
  });

  it("rotate => every Secret under another one", async () => {
    const [before] = await providers();
    // The file of version 2 is made by `pulumi up`.
    const said = await follow("runbooks/rotate.md", (text) => {
      if (text.includes("verify 2")) declare(1, 2);
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
    const said = await follow("runbooks/lost-state.md");
    assert.doesNotMatch(said, /\[2\/6\]/, "no server's configuration was touched");
    assert.deepEqual(await providers(), before);
    assert.deepEqual(readdirSync(keys).sort(), key);
    assert.equal((await project.outputs())["activeKeyVersion"], 2);
  });

  it("roll back => under the first key again, without a new key", async () => {
    const said = await follow("runbooks/roll-back.md");
    assert.match(said, /proven complete/);
    assert.equal((await project.outputs())["activeKeyVersion"], 1);
    assert.deepEqual(readdirSync(keys).sort(), ["key-v1", "key-v2"]);
  });

  it("disable, and destroy => plaintext; the keys stay", async () => {
    const said = await follow("runbooks/disable.md");
    assert.match(said, /written back in plaintext/);
    assert.deepEqual(await providers(), [["plaintext", secrets]]);
    assert.deepEqual(readdirSync(keys).sort(), ["key-v1", "key-v2"]);
  });
});
