import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const name = "pulumi-resource-kms-etcd";

describe("the file that Pulumi starts", function () {
  this.timeout(60_000);
  let root: string;

  beforeEach(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), "kms-etcd-launcher-")));
    mkdirSync(join(root, "provider"));
    copyFileSync(join(__dirname, "..", "..", "provider", name), join(root, "provider", name));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const start = () => spawnSync(join(root, "provider", name), ["127.0.0.1:1"], { cwd: tmpdir(), encoding: "utf8" });

  it("a checkout that was not compiled => the command that compiles it, and in which folder", () => {
    const { status, stdout, stderr } = start();
    assert.equal(status, 1);
    assert.equal(stdout, "", "Pulumi takes the first line for a port");
    assert.match(
      stderr,
      /^error: the provider is not compiled: .*main\.js is missing\. Run "npm ci && npm run build" in /,
    );
    assert.ok(stderr.includes(` in ${root}.`), stderr);
  });

  it("a compiled one => it is the provider, with the argument of Pulumi", () => {
    mkdirSync(join(root, "dist", "provider"), { recursive: true });
    writeFileSync(join(root, "dist", "provider", "main.js"), "process.stdout.write(process.argv[2] + '\\n');\n");
    const { status, stdout, stderr } = start();
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: "127.0.0.1:1\n", stderr: "" });
  });
});
