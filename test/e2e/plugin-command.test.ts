import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { formatLocalKeyFile } from "../../core/local-key-file";
import { repository } from "./support/pulumi-project";

/** What a developer types, and what a service manager would: npm, a shell, the bootstrap and the plugin, one below the other. */
describe("npm run -s plugin, from a checkout", function () {
  // The bootstrap may have to compile first.
  this.timeout(10 * 60_000);
  let directory: string;
  let child: ChildProcess | undefined;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-npm-"));
    writeFileSync(join(directory, "key"), formatLocalKeyFile(Buffer.alloc(32, 7)), { mode: 0o600 });
  });
  afterEach(() => {
    child?.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  });

  function start(...args: readonly string[]) {
    const started = spawn("npm", ["run", "-s", "plugin", "--", ...args], { cwd: repository, stdio: "pipe" });
    let text = "";
    for (const stream of [started.stdout, started.stderr])
      stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    // `close`: once nobody has the pipes any more, which is when the last of the processes has ended.
    const ended = new Promise<number | null>((resolve) => started.once("close", resolve));
    child = started;
    return { started, ended, text: () => text };
  }

  it("--version => the version on standard output, and 0", async () => {
    const { ended, text } = start("--version");
    assert.equal(await ended, 0, text());
    assert.match(text(), /\d+\.\d+\.\d+/);
  });

  it("flags that can't be used => the plugin's own message and exit code", async () => {
    const { ended, text } = start("azure", "--keyvault-name=v", "--no-such-flag");
    assert.notEqual(await ended, 0);
    assert.match(text(), /no-such-flag/);
  });

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`${signal} to npm => the plugin takes its socket away and everything below npm ends`, async () => {
      const socket = join(directory, "kms.socket");
      const { started, ended, text } = start(
        "local",
        `--key-file=${join(directory, "key")}`,
        `--listen-addr=unix://${socket}`,
      );
      for (const until = Date.now() + 5 * 60_000; !existsSync(socket) && Date.now() < until; ) await sleep(50);
      assert.ok(existsSync(socket), text());
      started.kill(signal);
      await ended;
      assert.equal(existsSync(socket), false, text());
    });
  }
});
