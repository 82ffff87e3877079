import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { KmsEtcdError } from "../../core/errors";
import { formatLocalKeyFile, localKeyId, parseLocalKeyFile } from "../../core/local-key-file";

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe("a local key file", () => {
  it("gives every key back", () => {
    fc.assert(
      fc.property(key, (bytes) => {
        assert.deepEqual(parseLocalKeyFile(formatLocalKeyFile(bytes), "f"), Buffer.from(bytes));
      }),
    );
  });

  it("of an earlier release is readable, with the same key_id", () => {
    const bytes = parseLocalKeyFile(`kms-etcd local key v1\n${"00112233".repeat(8)}\n`, "f");
    assert.equal(bytes.toString("hex"), "00112233".repeat(8));
    assert.equal(localKeyId(bytes), "local-6588dfccadaa25bb72a6fb79b8de6300");
  });

  it("has a key_id of its own for every key", () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        assert.match(localKeyId(a), /^local-[0-9a-f]{32}$/);
        assert.equal(localKeyId(a) === localKeyId(b), Buffer.compare(a, b) === 0);
      }),
    );
  });

  it("can be made by the command in the remedy", () => {
    const error = thrownBy("nonsense");
    const command = /create one with: (.*) > FILE\)$/.exec(error.remedy ?? "")?.[1];
    assert.ok(command, error.remedy);
    const content = execFileSync("sh", ["-c", `${command})`], { encoding: "utf8" });
    assert.equal(parseLocalKeyFile(content, "f").length, 32);
  });

  it("that is malformed is refused by its path, without showing what stands in it", () => {
    const secret = randomBytes(32).toString("hex");
    for (const content of [
      "",
      secret,
      `kms-etcd local key v2\n${secret}`,
      `kms-etcd local key v1\n${secret}0`,
      `kms-etcd local key v1\n${secret}\n${secret}`,
    ]) {
      const error = thrownBy(content);
      assert.equal(error.code, "invalid-input");
      assert.match(
        error.message,
        error.message.startsWith("/etc/key ") ? /is no local key file/ : /^\/etc\/key: after the first line/,
      );
      assert.ok(!`${error.message}${error.remedy}`.includes(secret.slice(0, 16)));
    }
  });

  it("is not made for a key of another length", () => {
    assert.throws(() => formatLocalKeyFile(Buffer.alloc(16)), /a local key has 16 bytes/);
  });
});

function thrownBy(content: string): KmsEtcdError {
  try {
    parseLocalKeyFile(content, "/etc/key");
  } catch (error) {
    if (error instanceof KmsEtcdError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
