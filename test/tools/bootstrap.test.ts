import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectDirectory } from "../../tools/project-directory";

describe("tools/bootstrap.mjs, which runs a script on a fresh clone", function () {
  this.timeout(120_000);
  // A project as small as one can be: a lock file without packages, one source, and the compiler of this project.
  const project = mkdtempSync(join(tmpdir(), "kms-etcd-bootstrap-"));
  const script = "dist/core/say.js";

  before(() => {
    for (const folder of ["tools", "core", "node_modules"]) mkdirSync(join(project, folder));
    copyFileSync(join(projectDirectory(), "tools", "bootstrap.mjs"), join(project, "tools", "bootstrap.mjs"));
    symlinkSync(join(projectDirectory(), "node_modules", "typescript"), join(project, "node_modules", "typescript"));
    writeFileSync(join(project, "package.json"), "{}");
    writeFileSync(join(project, "package-lock.json"), JSON.stringify({ packages: { "": {} } }));
    writeFileSync(join(project, "node_modules", ".package-lock.json"), JSON.stringify({ packages: {} }));
    writeFileSync(join(project, "tsconfig.json"), "{}");
    const compilerOptions = { outDir: "dist", rootDir: ".", module: "node20", types: [], skipLibCheck: true };
    writeFileSync(join(project, "tsconfig.build.json"), JSON.stringify({ compilerOptions, include: ["core/*.ts"] }));
  });
  after(() => rmSync(project, { recursive: true }));

  const run = (...args: string[]) =>
    spawnSync(process.execPath, [join(project, "tools", "bootstrap.mjs"), ...args], {
      encoding: "utf8",
      cwd: tmpdir(),
    });
  const write = (source: string): void =>
    writeFileSync(
      join(project, "core", "say.ts"),
      `declare const console: any, process: any, setInterval: any;\n${source}\nexport {};\n`,
    );

  it("compiles, hands arguments and exit code through, and compiles again only when a source has changed", () => {
    write("console.log('one', process.argv[2]); process.exitCode = 3;");
    const first = run(script, "argument");
    assert.equal(first.stdout, "one argument\n", first.stderr);
    assert.equal(first.status, 3);
    assert.match(first.stderr, /^compiling$/m);

    const second = run(script, "again");
    assert.equal(second.stdout, "one again\n");
    assert.equal(second.stderr, "");

    write("console.log('two');");
    assert.equal(run(script).stdout, "two\n");
  });

  it("a source that does not compile ends it, with the compiler's words, and it is tried again next time", () => {
    write("const number: number = 'text';");
    for (const attempt of [1, 2]) {
      const failed = run(script);
      assert.notEqual(failed.status, 0, `attempt ${attempt}`);
      assert.match(failed.stdout + failed.stderr, /TS2322/);
      assert.match(failed.stderr, /error: compiling ended with exit code/);
    }
  });

  it("packages that are not the lock's are installed first, and a failure of npm ends it", () => {
    writeFileSync(
      join(project, "package-lock.json"),
      JSON.stringify({ packages: { "": {}, "node_modules/x": { version: "1.0.0" } } }),
    );
    writeFileSync(join(project, "package.json"), "not JSON");
    const failed = run(script);
    assert.match(failed.stderr, /^installing npm packages$/m);
    assert.match(failed.stderr, /error: installing npm packages ended with exit code/);
    assert.notEqual(failed.status, 0);
    writeFileSync(join(project, "package.json"), "{}");
    writeFileSync(
      join(project, "package-lock.json"),
      JSON.stringify({ packages: { "": {}, "node_modules/x": { version: "1.0.0", optional: true } } }),
    );
  });

  it("SIGTERM reaches the script, and its way to end is ours", async () => {
    write("process.on('SIGTERM', () => process.exit(42)); console.log('up'); setInterval(() => {}, 1000);");
    const child = spawn(process.execPath, [join(project, "tools", "bootstrap.mjs"), script]);
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    assert.deepEqual(await once(child, "exit"), [42, null]);
  });

  it("a lock that a killed run has left is taken over", () => {
    write("console.log('three');");
    const gone = spawnSync("true").pid;
    mkdirSync(join(project, ".kms-etcd"), { recursive: true });
    writeFileSync(join(project, ".kms-etcd", "bootstrap.lock"), String(gone));
    assert.equal(run(script).stdout, "three\n");
  });
});
