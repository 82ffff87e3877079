import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unknown } from "../../../provider/property-values";
import { startProvider } from "../../../provider/provider";
import { type EngineSide, engineSide } from "../support/engine-side";
import { simulatedEngine } from "../support/simulated-engine";

describe("LocalKey over a real gRPC socket", () => {
  let directory: string;
  let file: string;
  let side: EngineSide;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-local-key-"));
    file = join(directory, "key-v1");
    side = await engineSide((engineAddress) =>
      startProvider({
        engineAddress,
        engine: simulatedEngine(new Map()),
        identity: { version: "0.0.0", schema: async () => "{}" },
      }),
    );
  });
  afterEach(async () => {
    await side.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it("preview of a new key => key_id not known, and no file", async () => {
    const { outputs } = await side.localKey.create({ file }, true);
    assert.deepEqual(outputs, { file, keyId: unknown, createdAt: unknown });
    assert.equal(existsSync(file), false);
  });

  it("create => a file, its key_id, a word that it is for development, and no key material anywhere but in the file", async () => {
    const { id, outputs, refreshes } = await side.localKey.create({ file });
    assert.match(JSON.stringify(outputs["keyId"]), /^"local-[0-9a-f]{32}"$/);
    assert.equal(id, outputs["keyId"]);
    assert.equal(refreshes, true);
    const material = readFileSync(file, "utf8").split("\n")[1] ?? "";
    assert.ok(!JSON.stringify([id, outputs, side.warnings, side.progress]).includes(material));
    assert.match(side.warnings.join(), /is a key for development/);
    assert.deepEqual(
      (await side.localKey.create({ file }, true)).outputs,
      outputs,
      "preview knows a key that is there",
    );
    assert.deepEqual((await side.localKey.create({ file })).outputs, outputs, "create adopts it");
  });

  it("delete => the file stays, and a warning says so", async () => {
    const { outputs } = await side.localKey.create({ file });
    await side.localKey.delete({ file }, outputs);
    assert.equal(existsSync(file), true);
    assert.match(side.warnings.join("\n"), /key-v1" stays where it is/);
  });

  it("the path changes => refused while the file has not moved, an update without a new key once it has", async () => {
    const { outputs } = await side.localKey.create({ file });
    const moved = join(directory, "elsewhere");
    assert.equal((await side.localKey.diff({ file }, outputs, { file: moved })).some, true);
    await assert.rejects(
      side.localKey.update({ file }, outputs, { file: moved }, true),
      /elsewhere is gone, but data may be stored under the key local-/,
    );
    renameSync(file, moved);
    assert.deepEqual(await side.localKey.update({ file }, outputs, { file: moved }), { ...outputs, file: moved });
  });

  it("the file is gone => refresh and diff go on with a warning, update says what to do, delete works", async () => {
    const { outputs } = await side.localKey.create({ file });
    rmSync(file);
    assert.deepEqual((await side.localKey.read({ file }, outputs)).outputs, outputs);
    assert.match(side.warnings.join("\n"), /key-v1 is gone.*put the file with that key there again/);
    assert.deepEqual((await side.localKey.diff({ file }, outputs, { file })).names, ["keyId"]);
    await assert.rejects(side.localKey.update({ file }, outputs, { file }), /is gone/);
    assert.equal(existsSync(file), false, "no other key was made in its place");
    await side.localKey.delete({ file }, outputs);
  });

  it("the file holds another key => the same", async () => {
    const { outputs } = await side.localKey.create({ file });
    rmSync(file);
    await side.localKey.create({ file });
    await assert.rejects(
      side.localKey.update({ file }, outputs, { file }),
      /holds the key local-[0-9a-f]+, but data may be stored under/,
    );
  });

  it("a relative path, nothing, a misspelt input => a problem at the property", async () => {
    assert.deepEqual((await side.localKey.check(undefined, { file: "keys/v1" })).problems, [
      'file: is "keys/v1"; write the absolute path of the key file',
    ]);
    assert.deepEqual((await side.localKey.check(undefined, {})).problems, [
      "file: is missing; write the absolute path of the key file",
    ]);
    assert.deepEqual((await side.localKey.check(undefined, { file, path: "x" })).problems, [
      "path: is not an input; the only input is file",
    ]);
    assert.deepEqual((await side.localKey.check(undefined, { file: unknown })).problems, []);
  });

  it("a secret path => the output of the same name is secret, the key_id is not", async () => {
    const { secretOutputs } = await side.localKey.create({ file }, false, new Set(["file"]));
    assert.deepEqual([...secretOutputs], ["file"]);
  });
});
