/**
 * Makes the archives that `pulumi plugin install` takes, from the packed package: one for each system, all with the same content,
 * because nothing in it is compiled for a processor. An archive has what the provider needs with it, also to make keys in
 * Azure and AWS, so that programs in every language can use it; it runs on the Node of the machine.
 *   node tools/plugin-archives.mjs pulumi-kms-etcd-1.2.3.tgz FOLDER
 */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const systems = ["linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64", "windows-amd64"];
/** Optional peers of the package that the components of one cloud load when they are used. */
const cloudPackages = ["@pulumi/aws", "@pulumi/azure-native"];
const program = "pulumi-resource-kms-etcd";

const [packed, folder] = process.argv.slice(2);
if (packed === undefined || folder === undefined) {
  process.stderr.write("error: name the packed package and a folder for the archives\n");
  process.exit(2);
}

const work = mkdtempSync(join(tmpdir(), "kms-etcd-archive-"));
try {
  const manifest = JSON.parse(run("tar", ["-xzOf", resolve(packed), "package/package.json"]));
  const { version } = manifest;
  const tried = ownVersions();
  writeFileSync(join(work, "package.json"), JSON.stringify({ private: true }));
  const wanted = cloudPackages.map((name) => `${name}@${tried[name]}`);
  // Without scripts: the same files come out everywhere. What they would compile is optional.
  run("npm", [
    "install",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--prefer-offline",
    resolve(packed),
    ...wanted,
  ]);
  writeFileSync(
    join(work, program),
    `#!/usr/bin/env node\nrequire("./node_modules/pulumi-kms-etcd/dist/provider/main.js");\n`,
  );
  chmodSync(join(work, program), 0o755);
  // On Windows Pulumi looks for NAME.exe and NAME.cmd. Written for it; nobody has run it there.
  writeFileSync(
    join(work, `${program}.cmd`),
    `@node "%~dp0node_modules\\pulumi-kms-etcd\\dist\\provider\\main.js" %*\r\n`,
  );
  mkdirSync(folder, { recursive: true });
  const names = systems.map((system) => join(resolve(folder), `${program}-v${version}-${system}.tar.gz`));
  run("tar", [
    ...["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"],
    ...["-czf", names[0], program, `${program}.cmd`, "package.json", "node_modules"],
  ]);
  for (const name of names.slice(1)) copyFileSync(names[0], name);
  process.stdout.write(`${names.join("\n")}\n`);
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** The versions that the tests of this checkout have run. */
function ownVersions() {
  return JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).devDependencies;
}

function run(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: work,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`${command} ${args[0]} failed: ${error?.message ?? stderr}`);
  return stdout;
}
