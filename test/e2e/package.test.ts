import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { localControlPlaneFile } from "../../core/local-control-plane";
import { findTool } from "../../tools/find-tool";
import { type PulumiProject, projectFile, pulumiProject, repository } from "./support/pulumi-project";
import { type RealCluster, realCluster } from "./support/real-cluster";

const sdk = "@pulumi/pulumi@3.248.0";
/** Pulumi's launcher: what gives a project `npx pulumi`. */
const launcher = "pulumi@3.259.0";

/** What a user writes, in TypeScript with every type named, so that a missing declaration shows. */
const program = `
import * as pulumi from "@pulumi/pulumi";
import { type EncryptionEvidence, KmsEtcdEncryption, type KmsEtcdEncryptionArgs, RotationStage } from "pulumi-kms-etcd";
const config = new pulumi.Config();
const args: KmsEtcdEncryptionArgs = {
  keyVersion: config.requireNumber("keyVersion"),
  localKey: { directory: config.require("keyDirectory") },
  local: { controlPlaneFile: config.require("controlPlaneFile") },
  advanceTo: RotationStage.Prune,
};
const encryption = new KmsEtcdEncryption("etcd", args);
export const evidence: pulumi.Output<EncryptionEvidence> = encryption.evidence;
export const activeKeyVersion = encryption.activeKeyVersion;
`;

describe("the packed package, in an empty project elsewhere", function () {
  this.timeout(20 * 60_000);
  let cluster: RealCluster;
  let directory: string;
  let project: PulumiProject;
  let files: readonly { path: string; mode: number }[];
  let sizes: { size: number; unpackedSize: number };

  function npm(args: readonly string[], cwd: string): string {
    const run = spawnSync("npm", args, { cwd, encoding: "utf8", timeout: 300_000 });
    assert.equal(run.status, 0, `npm ${args.join(" ")}: ${run.stdout}${run.stderr}`);
    return run.stdout;
  }

  function compile(file: string) {
    const compiler = join(repository, "node_modules", "typescript", "bin", "tsc");
    const options = ["--strict", "--module", "node20", "--target", "es2022", "--skipLibCheck"];
    return spawnSync(process.execPath, [compiler, ...options, file], { cwd: directory, encoding: "utf8" });
  }

  before(async () => {
    // One server that restarts: what is tried here is the package, not the rotation.
    cluster = await realCluster({ automaticReload: false, hosts: 1 });
    await cluster.createSecrets(5);
    directory = join(cluster.directory, "elsewhere");
    mkdirSync(directory);
    const packed = npm(["pack", "--json", "--pack-destination", cluster.directory], repository);
    const [{ filename, files: listed, size, unpackedSize }] = JSON.parse(packed.slice(packed.indexOf("["))) as [
      { filename: string; files: typeof files } & typeof sizes,
    ];
    files = listed;
    sizes = { size, unpackedSize };
    writeFileSync(join(directory, "package.json"), JSON.stringify({ name: "elsewhere", private: true }));
    npm(
      [
        "install",
        "--prefer-offline",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        sdk,
        launcher,
        join(cluster.directory, filename),
      ],
      directory,
    );
    project = await pulumiProject({
      directory,
      linkPackages: false,
      files: { "Pulumi.yaml": projectFile("index.js"), "index.ts": program },
    });
    const compiled = compile("index.ts");
    assert.equal(compiled.status, 0, compiled.stdout);
    await project.configure({
      keyVersion: 1,
      keyDirectory: join(directory, "keys"),
      controlPlaneFile: join(cluster.controlPlane.stateDirectory, localControlPlaneFile),
    });
  });
  after(() => cluster.close());

  it("the tarball => compiled JavaScript, types for the public door, the executable, and no dev file", () => {
    const paths = files.map((file) => file.path);
    for (const needed of [
      "dist/components/index.js",
      "dist/components/index.d.ts",
      "dist/provider/main.js",
      "provider/schema.json",
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
    ]) {
      assert.ok(paths.includes(needed), needed);
    }
    const executable = files.find((file) => file.path === "provider/pulumi-resource-kms-etcd");
    assert.equal((executable?.mode ?? 0) & 0o111, 0o111);
    const allowed =
      /^(dist\/(components|core|plugin-server|provider|rotation)\/.*\.js|dist\/(components|core)\/.*\.d\.ts|dist\/plugin-bundle\/(contents\.json|main\.js|providers\/[a-z-]+\.js)|plugin-server\/image\/Dockerfile|provider\/(schema\.json|pulumi-resource-kms-etcd(\.cmd)?)|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/;
    assert.deepEqual(
      paths.filter((path) => !allowed.test(path)),
      [],
    );
    const sourceless = paths.filter(
      (path) =>
        path.startsWith("dist/") &&
        !path.startsWith("dist/plugin-bundle/") &&
        !existsSync(join(repository, path.replace(/^dist\//, "").replace(/(\.d\.ts|\.js)$/, ".ts"))),
    );
    assert.deepEqual(sourceless, [], "every compiled file has a source");
  });

  it("the tarball => within its budget: most of it is the plugin's bundle, which every cluster needs", () => {
    const { size, unpackedSize } = sizes;
    assert.ok(size < 2_000_000, `packed it has ${size} bytes`);
    assert.ok(unpackedSize < 8_500_000, `unpacked it has ${unpackedSize} bytes`);
  });

  it("a keyVersion that is a text => refused by the compiler: the types are really there", () => {
    writeFileSync(join(directory, "wrong.ts"), program.replace('config.requireNumber("keyVersion")', '"1"'));
    const { status, stdout } = compile("wrong.ts");
    assert.notEqual(status, 0);
    assert.match(stdout, /Type 'string' is not assignable to type 'number'/);
  });

  it("npx pulumi, nothing configured => the provider is found in node_modules/.bin", async () => {
    // The launcher looks for the CLI in PULUMI_HOME before it downloads one.
    const cli = await findTool("pulumi");
    const bin = join(directory, ".home", "versions", launcher.split("@")[1] ?? "", "bin");
    mkdirSync(bin, { recursive: true });
    for (const name of readdirSync(dirname(cli.path))) symlinkSync(join(dirname(cli.path), name), join(bin, name));
    const environment = { ...process.env, ...project.environment, PATH: `${dirname(process.execPath)}:/usr/bin:/bin` };
    const run = spawnSync("npx", ["pulumi", "preview", "--non-interactive"], {
      cwd: directory,
      encoding: "utf8",
      env: environment,
      timeout: 300_000,
    });
    assert.equal(run.status, 0, `${run.stdout}${run.stderr}`);
    assert.match(run.stdout, /EncryptionRollout etcd create/);
    assert.match(`${run.stdout}${run.stderr}`, /using pulumi-resource-kms-etcd from \$PATH/);
  });

  it("the CLI alone, nothing configured => an error that names the missing executable", async () => {
    const { code, text } = await project.run(["preview"]);
    assert.notEqual(code, 0);
    assert.match(text, /pulumi-resource-kms-etcd/);
  });

  it("two lines in Pulumi.yaml => preview and up without a warning about plugins, and the Secrets are encrypted", async () => {
    writeFileSync(join(directory, "Pulumi.yaml"), projectFile("index.js", "node_modules/pulumi-kms-etcd/provider"));
    assert.doesNotMatch(await project.succeed(["preview"]), /from \$PATH/);
    await project.succeed(["up", "--yes", "--skip-preview"]);
    assert.equal((await project.outputs())["activeKeyVersion"], 1);
    const stored = Object.keys(await cluster.storedProviders());
    assert.equal(stored.length, 1);
    assert.match(stored[0] ?? "", /^k8s:enc:kms:v2:kms-etcd-/);
    await project.succeed(["preview", "--expect-no-changes"]);
  });
});
