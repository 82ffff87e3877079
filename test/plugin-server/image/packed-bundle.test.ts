import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KmsEtcdError } from "../../../core/errors";
import { buildBundle } from "../../../plugin-server/image/build-bundle";
import { readPackedBundle, writePackedBundle } from "../../../plugin-server/image/packed-bundle";

const packed = {
  version: { version: "v1.2.3", commit: "abc", date: "2026-01-02T03:04:05.000Z" },
  bundle: {
    files: [
      { path: "main.js", content: Buffer.from("#!node\n") },
      { path: "providers/aws-kms.js", content: Buffer.from([0, 255, 10]) },
    ],
    packages: [{ name: "a", version: "1.0.0", license: "MIT", licenseText: "Permission is granted\n" }],
  },
};

describe("the bundle that the npm package carries", () => {
  let project: string;
  beforeEach(() => {
    project = mkdtempSync(join(tmpdir(), "kms-etcd-packed-"));
  });
  afterEach(() => rmSync(project, { recursive: true }));

  it("comes back as it was packed, to the last byte, also where there are no sources", async () => {
    await writePackedBundle(project, packed);
    assert.deepEqual(await readPackedBundle(project), packed);
    assert.deepEqual(await buildBundle(project), packed);
  });

  it("keeps nothing of an earlier one", async () => {
    await writePackedBundle(project, packed);
    const old = join(project, "dist", "plugin-bundle", "old.js");
    writeFileSync(old, "");
    await writePackedBundle(project, packed);
    assert.equal(existsSync(old), false);
  });

  it("that is missing is an error that says so", async () => {
    await assert.rejects(buildBundle(project), (error) => error instanceof KmsEtcdError && error.code === "not-found");
  });
});
