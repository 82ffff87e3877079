import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { withLock } from "../../tools/file-lock";

describe("the lock of a directory", function () {
  this.timeout(30_000);
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-lock-"));
  after(() => rmSync(directory, { recursive: true }));

  it("lets one in at a time, also after one has failed", async () => {
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      inside += 1;
      most = Math.max(most, inside);
      await delay(20);
      inside -= 1;
      if (inside === 0) throw new Error("work failed");
    };
    const all = await Promise.allSettled(Array.from({ length: 5 }, () => withLock(directory, work)));
    assert.equal(most, 1);
    assert.ok(all.every((result) => result.status === "rejected" && String(result.reason).includes("work failed")));
  });

  it("a process that is killed while it has the lock does not keep it; who waits is told how long", async () => {
    const holder = spawn(
      process.execPath,
      [
        "--require",
        "ts-node/register/transpile-only",
        "--eval",
        `require(${JSON.stringify(join(__dirname, "../../tools/file-lock"))})
          .withLock(${JSON.stringify(directory)}, () => new Promise(() => { console.log("locked"); setInterval(() => {}, 1000); }))`,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    await once(holder.stdout, "data");
    const waited: number[] = [];
    const entered = withLock(directory, async () => "in", {
      onWait: (seconds) => waited.push(seconds),
      staleSeconds: 2,
    });
    await delay(1_500);
    holder.kill("SIGKILL");
    assert.equal(await entered, "in");
    assert.equal(waited[0], 1);
  });

  it("waiting ends when the signal says so", async () => {
    await withLock(directory, () =>
      assert.rejects(
        withLock(directory, async () => undefined, { signal: AbortSignal.timeout(50) }),
        { name: "AbortError" },
      ),
    );
  });
});
