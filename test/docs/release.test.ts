import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseDocument } from "yaml";
import { repository } from "./markdown";

interface Workflow {
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<
      string,
      { readonly needs?: string; readonly steps: readonly { readonly run?: string; readonly uses?: string }[] }
    >
  >;
}

describe("the release workflow", function () {
  this.timeout(60_000);
  const text = readFileSync(join(repository, ".github", "workflows", "release.yml"), "utf8");
  const document = parseDocument(text, { uniqueKeys: true });
  const workflow = document.toJS() as Workflow;
  const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);
  const { scripts } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
    scripts: Readonly<Record<string, string>>;
  };

  it("YAML without errors, and nothing published before the tests have passed", () => {
    assert.deepEqual([...document.errors, ...document.warnings].map(String), []);
    assert.equal(workflow.jobs["publish"]?.needs, "test");
    assert.deepEqual(workflow.permissions, { contents: "read" });
  });

  it("every script and file that a step runs => is there", () => {
    const commands = steps.map(({ run = "" }) => run).join("\n");
    const named = [...commands.matchAll(/npm run ([\w:-]+)/g)].map(([, name = ""]) => name);
    assert.ok(named.length > 0);
    assert.deepEqual(
      named.filter((name) => !(name in scripts)),
      [],
    );
    const files = [...commands.matchAll(/(?:^|\s)((?:tools|\.ci)\/[\w.-]+)/g)].map(([, name = ""]) => name);
    assert.ok(files.length >= 2);
    assert.deepEqual(
      files.filter((name) => !existsSync(join(repository, name))),
      [],
    );
  });

  it("provenance for the package, the image and the archives", () => {
    assert.match(text, /npm publish .* --provenance/);
    assert.equal(steps.filter(({ uses = "" }) => uses.startsWith("actions/attest-build-provenance@")).length, 2);
  });

  it("before the package is packed => it is told its repository, without which npm takes no provenance", () => {
    const commands = steps.map(({ run = "" }) => run).join("\n");
    const [line = ""] = /^npm pkg set .*$/m.exec(commands) ?? [];
    assert.ok(line !== "" && commands.indexOf(line) < commands.indexOf("npm pack"));
    const directory = mkdtempSync(join(tmpdir(), "kms-etcd-release-"));
    copyFileSync(join(repository, "package.json"), join(directory, "package.json"));
    const env = {
      ...process.env,
      GITHUB_SERVER_URL: "https://github.example",
      GITHUB_REPOSITORY: "owner/pulumi-kms-etcd",
    };
    execFileSync("bash", ["-euc", line], { cwd: directory, env });
    const told = JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as Readonly<Record<string, unknown>>;
    rmSync(directory, { recursive: true });
    assert.deepEqual(told["repository"], { type: "git", url: "git+https://github.example/owner/pulumi-kms-etcd.git" });
  });

  it("the provenance of the image => pushed with the credentials of the step before, from the file where that action looks", () => {
    const commands = steps.map(({ run = "" }) => run).join("\n");
    const calls = commands.split("\n").filter((line) => /\bskopeo (login|copy) /.test(line));
    assert.equal(calls.length, 2);
    for (const call of calls) assert.ok(call.includes('--authfile "$HOME/.docker/config.json"'), call);
  });

  it("the notes of a version => its own part of the changelog, and no version without one", () => {
    const commands = steps.map(({ run = "" }) => run).join("\n");
    const [check = ""] = /^grep .*CHANGELOG\.md$/m.exec(commands) ?? [];
    const [notes = ""] = /^awk .*CHANGELOG\.md/m.exec(commands) ?? [];
    assert.ok(check !== "" && notes !== "");
    const directory = mkdtempSync(join(tmpdir(), "kms-etcd-release-"));
    const entry = "\n\nWhat it means.\n\n";
    writeFileSync(
      join(directory, "CHANGELOG.md"),
      `# Changes${entry}## 0.1.0-rc.1${entry}See ## 0.3.0${entry}## 0.2.0${entry}`,
    );
    const run = (line: string, tag: string) =>
      spawnSync("bash", ["-euc", line], {
        cwd: directory,
        encoding: "utf8",
        env: { ...process.env, GITHUB_REF_NAME: tag },
      });
    for (const [tag, known] of Object.entries({
      "v0.2.0": true,
      "v0.1.0-rc.1": true,
      "v0.1.0": false,
      "v0.3.0": false,
    })) {
      assert.equal(run(check, tag).status === 0, known, tag);
      assert.equal(run(notes, tag).stdout.includes("What it means."), known, tag);
    }
    rmSync(directory, { recursive: true });
  });
});
