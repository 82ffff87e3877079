import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { localControlPlaneFile } from "../../core/local-control-plane";
import { findTool } from "../../tools/find-tool";
import { repository as project, snippets } from "../docs/markdown";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";
import { yamlLanguageHost } from "./support/yaml-language-host";

const secrets = 4;
const guide = join(project, "docs", "languages.md");

/**
 * Other languages have no package of ours: they get the provider as a plugin archive, and everything else from its schema. The
 * programs are those of docs/languages.md.
 */
describe("the provider as a plugin archive, and programs in other languages", function () {
  this.timeout(40 * 60_000);
  let cluster: RealCluster;
  let archive: string;
  let environment: Readonly<Record<string, string | undefined>>;
  let version: string;

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 1 });
    await cluster.createSecrets(secrets);
    ({ version } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as { version: string });
    run("npm", ["pack", "--pack-destination", cluster.directory], { cwd: project });
    const packed = join(cluster.directory, `pulumi-kms-etcd-${version}.tgz`);
    const archives = join(cluster.directory, "archives");
    run(process.execPath, [join(project, "tools", "plugin-archives.mjs"), packed, archives], { cwd: project });
    assert.deepEqual(
      readdirSync(archives).sort(),
      ["darwin-amd64", "darwin-arm64", "linux-amd64", "linux-arm64", "windows-amd64"].map(
        (system) => `pulumi-resource-kms-etcd-v${version}-${system}.tar.gz`,
      ),
    );
    archive = join(archives, `pulumi-resource-kms-etcd-v${version}-linux-amd64.tar.gz`);
    const backend = join(cluster.directory, "backend");
    mkdirSync(backend);
    environment = {
      ...process.env,
      PATH: `${dirname((await findTool("pulumi")).path)}:${process.env["PATH"] ?? ""}`,
      PULUMI_HOME: join(cluster.directory, "home"),
      PULUMI_BACKEND_URL: `file://${backend}`,
      PULUMI_CONFIG_PASSPHRASE: "",
      PULUMI_SKIP_UPDATE_CHECK: "1",
      PULUMI_SKIP_CONFIRMATIONS: "true",
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "1",
    };
  });
  after(() => cluster.close());

  function run(
    command: string,
    args: readonly string[],
    { cwd, env = process.env }: { cwd: string; env?: NodeJS.ProcessEnv },
  ): string {
    const done: SpawnSyncReturns<string> = spawnSync(command, args, { cwd, env, encoding: "utf8", timeout: 900_000 });
    const said = `${done.stdout}${done.stderr}`;
    assert.equal(done.status, 0, `${command} ${args.join(" ")}: ${said}${done.error?.message ?? ""}`);
    return said;
  }

  /** A folder with a program of docs/languages.md, told of this cluster. */
  function program(name: string, files: Readonly<Record<string, string>>): string {
    const directory = join(cluster.directory, name);
    mkdirSync(directory);
    const controlPlane = join(cluster.controlPlane.stateDirectory, localControlPlaneFile);
    for (const [file, content] of Object.entries(files)) {
      const text = content
        .replaceAll("/var/lib/kms-etcd/control-plane.json", controlPlane)
        .replaceAll("/var/lib/kms-etcd/keys", join(cluster.directory, "keys-of-languages"));
      assert.ok(text.includes(controlPlane) || file !== "Pulumi.yaml" || name !== "yaml");
      writeFileSync(join(directory, file), text);
    }
    return directory;
  }

  const snippet = (language: string, mark: string): string => {
    const found = snippets("docs/languages.md", language).find(({ text }) => text.includes(mark));
    assert.ok(found, `docs/languages.md has no ${language} with ${mark}`);
    return found.text;
  };

  it("pulumi plugin install of the archive => it is listed, and the schema comes from it", () => {
    run("pulumi", ["plugin", "install", "resource", "kms-etcd", version, "--file", archive], {
      cwd: cluster.directory,
      env: environment,
    });
    const listed = run("pulumi", ["plugin", "ls"], { cwd: cluster.directory, env: environment });
    assert.match(listed, new RegExp(`kms-etcd +resource +${version.replaceAll(".", "\\.")}`));
    const schema = run("pulumi", ["package", "get-schema", `kms-etcd@${version}`], {
      cwd: cluster.directory,
      env: environment,
    });
    const { name, resources } = JSON.parse(schema.slice(schema.indexOf("{"))) as { name: string; resources: object };
    assert.equal(name, "kms-etcd");
    assert.ok("kms-etcd:index:KmsEtcdEncryption" in resources);
  });

  it("a program in YAML => encrypts the cluster; a misspelt input => refused by its schema", async function () {
    const host = await yamlLanguageHost();
    if ("missing" in host) {
      process.stdout.write(`      not run: ${host.missing.slice(0, 300)}\n`);
      this.skip();
    }
    const env = { ...environment, PATH: `${host.folder}:${environment["PATH"] ?? ""}` };
    const text = snippet("yaml", "runtime: yaml");
    const cwd = program("yaml", { "Pulumi.yaml": text });
    run("pulumi", ["stack", "init", "test"], { cwd, env });
    run("pulumi", ["up", "--skip-preview", "--non-interactive"], { cwd, env });
    const stored = Object.entries(await cluster.storedProviders());
    assert.match(stored[0]?.[0] ?? "", /^k8s:enc:kms:v2:kms-etcd-/);
    assert.deepEqual(
      stored.map(([, count]) => count),
      [secrets],
    );
    assert.equal(run("pulumi", ["stack", "output", "activeKeyVersion"], { cwd, env }).trim(), "1");
    const wrong = program("yaml-wrong", { "Pulumi.yaml": text.replace("localKey:", "localKeys:") });
    const failed = spawnSync("pulumi", ["preview", "--non-interactive", "--stack", "test"], {
      cwd: wrong,
      env,
      encoding: "utf8",
    });
    assert.notEqual(failed.status, 0);
    assert.match(`${failed.stdout}${failed.stderr}`, /localKeys/);
    const missing = spawnSync("pulumi", ["preview", "--non-interactive", "--stack", "test"], {
      cwd: program("yaml-missing", { "Pulumi.yaml": text.replaceAll(version, "9.9.9") }),
      env: { ...env, PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: undefined },
      encoding: "utf8",
    });
    const [, words = ""] = /`(Could not automatically [^`]*)`/.exec(readFileSync(guide, "utf8")) ?? [];
    assert.ok(`${missing.stdout}${missing.stderr}`.includes(words.replace(version, "9.9.9")), missing.stderr);
  });

  it("a program in Python => sees the same component, with the same plan", function () {
    const python = join(cluster.directory, "python");
    const made = spawnSync("python3", ["-m", "venv", python], { encoding: "utf8" });
    const pip =
      made.status === 0
        ? spawnSync(join(python, "bin", "pip"), ["install", "--quiet", "pulumi==3.248.0"], { encoding: "utf8" })
        : made;
    if (pip.status !== 0) {
      process.stdout.write(`      not run: Pulumi's SDK for Python cannot be had: ${pip.stderr.slice(-300)}\n`);
      this.skip();
    }
    const cwd = program("in-python", { "rotate.py": snippet("python", "import pulumi") });
    const said = run(join(python, "bin", "python"), ["rotate.py"], { cwd, env: environment });
    assert.match(said, /activeKeyVersion: 2/);
    assert.match(said, /Rewrite: .*key version 2/);
  });
});
