import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLog, trimLog } from "../../../control-plane/pods/pod-log";

describe("a pod's log", () => {
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-test-"));
  after(() => rmSync(directory, { recursive: true }));

  it("is cut while it is written to: what was there moves aside, and the next line is the first", () => {
    const file = join(directory, "a.log");
    const log = openLog(file);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    writeSync(log.fd, "0123456789\n");
    trimLog(file, 100);
    assert.equal(statSync(file).size, 11, "small enough: left alone");
    trimLog(file, 10);
    writeSync(log.fd, "next\n");
    log.close();
    assert.equal(readFileSync(file, "utf8"), "next\n");
    assert.equal(readFileSync(`${file}.1`, "utf8"), "0123456789\n");
    assert.equal(statSync(`${file}.1`).mode & 0o777, 0o600);
    trimLog(join(directory, "never-written.log"), 10);
  });
});
