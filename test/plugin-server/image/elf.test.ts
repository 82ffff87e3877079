import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KmsEtcdError } from "../../../core/errors";
import { readElf, stripElf } from "../../../plugin-server/image/elf";

describe("an ELF file", function () {
  before(function () {
    if (process.platform !== "linux") this.skip();
  });

  it("names its loader and its libraries", () => {
    const { interpreter, needed, loadedBytes } = readElf(readFileSync(process.execPath), "node");
    assert.match(interpreter ?? "", /^\/lib.*\/ld-linux-/);
    assert.ok(needed.includes("libc.so.6"), needed.join(" "));
    assert.ok(loadedBytes > 0);
  });

  it("runs after all that is never loaded has been cut off", () => {
    const directory = mkdtempSync(join(tmpdir(), "kms-etcd-elf-"));
    try {
      const program = join(directory, "node");
      const whole = readFileSync(process.execPath);
      const stripped = stripElf(whole, "node");
      assert.ok(stripped.length <= whole.length);
      assert.equal(stripped.length, readElf(stripped, "node").loadedBytes);
      writeFileSync(program, stripped, { mode: 0o755 });
      assert.equal(execFileSync(program, ["--version"], { encoding: "utf8" }).trim(), process.version);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("that is none is refused by its name", () => {
    assert.throws(
      () => readElf(Buffer.alloc(200), "the file"),
      (error) => error instanceof KmsEtcdError && error.message === "the file is not a 64-bit little-endian ELF file",
    );
  });
});
