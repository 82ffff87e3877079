import assert from "node:assert/strict";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { localKeyId, parseLocalKeyFile, retiredKeyFile } from "../../../core/local-key-file";
import { ensureKeyFile, readKeyFile } from "../../../provider/local-key/key-file";

describe("local key file on disk", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-key-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it("no file => one with a fresh key, mode 0600 in a directory of mode 0700, and nothing beside it", async () => {
    const file = join(directory, "keys", "key-v1");
    const { keyId } = await ensureKeyFile(file);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(statSync(join(directory, "keys")).mode & 0o777, 0o700);
    assert.deepEqual(readdirSync(join(directory, "keys")), ["key-v1"]);
    assert.equal(localKeyId(parseLocalKeyFile(readFileSync(file, "utf8"), file)), keyId);
  });

  it("a file that is there => its key_id, byte for byte unchanged", async () => {
    const file = join(directory, "key-v1");
    const { keyId } = await ensureKeyFile(file);
    const before = readFileSync(file);
    assert.equal((await ensureKeyFile(file)).keyId, keyId);
    assert.deepEqual(readFileSync(file), before);
  });

  it("twenty that make the same file at once => one key, the same for all", async () => {
    const file = join(directory, "key-v1");
    const ids = await Promise.all(Array.from({ length: 20 }, () => ensureKeyFile(file)));
    assert.equal(new Set(ids.map(({ keyId }) => keyId)).size, 1);
    assert.deepEqual(await readKeyFile(file), ids[0]);
    assert.deepEqual(readdirSync(directory), ["key-v1"]);
  });

  it("a key that was retired => the same key, known to be retired, and no new one", async () => {
    const file = join(directory, "key-v1");
    const made = await ensureKeyFile(file);
    renameSync(file, retiredKeyFile(file));
    assert.deepEqual(await ensureKeyFile(file), { ...made, retired: true });
    assert.deepEqual(readdirSync(directory), ["key-v1.retired"]);
  });

  it("a file that others can read => refused, with chmod as the remedy", async () => {
    const file = join(directory, "key-v1");
    await ensureKeyFile(file);
    chmodSync(file, 0o640);
    await assert.rejects(readKeyFile(file), { code: "permission-denied", message: /mode 0640/, remedy: /chmod 600/ });
  });

  it("a file that is no key => refused, never overwritten, and its content is in no message", async () => {
    const file = join(directory, "key-v1");
    writeFileSync(file, "very private notes", { mode: 0o600 });
    await assert.rejects(ensureKeyFile(file), (thrown: Error) => !thrown.message.includes("private notes"));
    assert.equal(readFileSync(file, "utf8"), "very private notes");
  });

  it("a directory, or a link that leads nowhere => a directory is refused, the link's name is not written through", async () => {
    await assert.rejects(ensureKeyFile(directory), { code: "invalid-input" });
    const link = join(directory, "key-v1");
    symlinkSync(join(directory, "nowhere"), link);
    await assert.rejects(ensureKeyFile(link), { code: "conflict" });
    assert.deepEqual(readdirSync(directory), ["key-v1"]);
  });
});
