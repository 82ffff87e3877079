import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { engineIdentity } from "../../../../rotation/adapters/hosts/engine-identity";
import { describeHolder } from "../../../../rotation/engine-lease";

/** Another process of this machine, which has ended when this returns. */
function holderOfEndedProcess(): string {
  const script = `
    require("ts-node/register/transpile-only");
    console.log(require("./rotation/adapters/hosts/engine-identity").engineIdentity().holder);`;
  const { stdout, stderr } = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
  assert.equal(stderr, "");
  return stdout.trim();
}

describe("the identity of an engine", () => {
  it("names user, machine and process to people, and each run is its own", () => {
    const { holder } = engineIdentity();
    assert.match(describeHolder(holder), new RegExp(`^[^@]+@[^,]+, process ${process.pid}$`));
    assert.notEqual(engineIdentity().holder, holder);
  });

  it("a process of this machine that lives, one that has ended, one elsewhere => alive, gone, unknown", () => {
    const { holder, isAlive } = engineIdentity();
    assert.equal(isAlive(holder), true);
    assert.equal(isAlive(holderOfEndedProcess()), false);
    assert.equal(isAlive(holder.replace(/lock\.[0-9a-f]{4}/, "lock.0000")), undefined);
    assert.equal(isAlive("somebody's own tool"), undefined);
  }).timeout(20_000);
});
