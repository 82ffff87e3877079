import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { isSameProcess, processIdentity, signalProcess } from "../../../control-plane/pods/process-identity";

describe("the identity of a process", () => {
  it("stays the same while it runs, differs from others, and is gone when it has ended", async () => {
    const child = spawn("sleep", ["60"]);
    const pid = child.pid ?? 0;
    const identity = processIdentity(pid);
    assert.ok(identity);
    assert.equal(processIdentity(pid), identity);
    assert.notEqual(identity, processIdentity(process.pid));
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.equal(processIdentity(pid), undefined);
  });

  it("a pid that belongs to another process now is not signalled", async () => {
    const child = spawn("sleep", ["60"]);
    const pid = child.pid ?? 0;
    assert.equal(signalProcess(pid, "an earlier process with this pid", "SIGKILL"), false);
    const identity = processIdentity(pid) ?? "";
    assert.ok(isSameProcess(pid, identity));
    assert.equal(signalProcess(pid, identity, "SIGKILL"), true);
    await once(child, "exit");
    assert.equal(signalProcess(pid, identity, "SIGKILL"), false);
  });
});
