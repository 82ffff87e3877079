import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { lstat, readFile, readlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { Parser, type ReadEntry } from "tar";
import { completeTree, type TreeEntry, writeTree } from "../../../plugin-server/image/file-tree";
import { writeOciLayout } from "../../../plugin-server/image/oci-layout";
import { tarArchive } from "../../../plugin-server/image/tar-archive";

const entries: readonly TreeEntry[] = [
  { kind: "file", path: "usr/bin/node", mode: 0o755, content: Buffer.from("program") },
  { kind: "file", path: "etc/passwd", mode: 0o644, content: Buffer.from("root") },
  { kind: "link", path: "plugin", target: "usr/lib/main.js" },
  { kind: "directory", path: "tmp", mode: 0o1777 },
];
const shuffled = fc.shuffledSubarray([...entries], { minLength: entries.length });

async function read(archive: Buffer): Promise<readonly (readonly [path: string, mode: number, content: string])[]> {
  const found: [string, number, string][] = [];
  await new Promise<void>((resolve, reject) => {
    const parser = new Parser({
      strict: true,
      onReadEntry: (entry: ReadEntry) => {
        const chunks: Buffer[] = [];
        entry.on("data", (chunk: Buffer) => chunks.push(chunk));
        entry.on("end", () => {
          assert.deepEqual([entry.uid, entry.gid, entry.mtime?.getTime()], [0, 0, 86_400_000]);
          found.push([
            entry.path,
            entry.mode ?? 0,
            entry.linkpath === "" || entry.linkpath === undefined
              ? Buffer.concat(chunks).toString()
              : `-> ${entry.linkpath}`,
          ]);
        });
      },
    });
    parser.on("end", () => resolve());
    parser.on("error", reject);
    parser.end(archive);
  });
  return found;
}

describe("the files of an image", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-image-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  it("are in an archive that another implementation reads, each directory before what is in it", async () => {
    assert.deepEqual(await read(tarArchive(entries, 86_400)), [
      ["etc/", 0o755, ""],
      ["etc/passwd", 0o644, "root"],
      ["plugin", 0o777, "-> usr/lib/main.js"],
      ["tmp/", 0o1777, ""],
      ["usr/", 0o755, ""],
      ["usr/bin/", 0o755, ""],
      ["usr/bin/node", 0o755, "program"],
    ]);
  });

  it("make the same archive in whatever order they come", () => {
    const expected = tarArchive(entries, 0);
    fc.assert(fc.property(shuffled, (order) => assert.deepEqual(tarArchive(order, 0), expected)));
  });

  it("are written to a directory with their modes, whatever the umask, and nothing else stays there", async () => {
    const root = join(directory, "root");
    const umask = process.umask(0o077);
    try {
      await writeTree(root, [...entries, { kind: "file", path: "old", mode: 0o644, content: Buffer.alloc(1) }]);
      await writeTree(root, entries);
    } finally {
      process.umask(umask);
    }
    for (const entry of completeTree(entries)) {
      const path = join(root, entry.path);
      if (entry.kind === "link") assert.equal(await readlink(path), entry.target);
      else assert.equal((await lstat(path)).mode & 0o7777, entry.mode, entry.path);
      if (entry.kind === "file") assert.deepEqual(await readFile(path), entry.content);
    }
    assert.deepEqual(readdirSync(root).sort(), ["etc", "plugin", "tmp", "usr"]);
  });

  it("make an OCI layout whose every digest and size is that of the bytes, the same each time", async () => {
    const settings = {
      entryPoint: ["/plugin"],
      environment: ["A=b"],
      user: "65532:65532",
      seconds: 0,
      annotations: { "org.opencontainers.image.title": "t" },
    };
    const images = ["amd64", "arm64"].map((architecture) => ({
      architecture,
      layers: [entries.slice(0, 2), entries.slice(2)],
    }));
    const first = await writeOciLayout(join(directory, "a"), "v1", images, settings);
    const second = await writeOciLayout(join(directory, "b"), "v1", images, settings);
    assert.deepEqual(first, second);
    assert.deepEqual(snapshot(join(directory, "a")), snapshot(join(directory, "b")));

    const root = join(directory, "a");
    const blob = (digest: string) => readFileSync(join(root, "blobs", digest.replace(":", "/")));
    interface Descriptor {
      readonly digest: string;
      readonly size: number;
      readonly platform?: { readonly architecture: string };
    }
    const json = (digest: string) => JSON.parse(blob(digest).toString()) as Readonly<Record<string, unknown>>;
    for (const name of readdirSync(join(root, "blobs/sha256"))) {
      assert.equal(
        createHash("sha256")
          .update(blob(`sha256:${name}`))
          .digest("hex"),
        name,
      );
    }
    const top = JSON.parse(readFileSync(join(root, "index.json"), "utf8")) as {
      readonly manifests: readonly Descriptor[];
    };
    assert.equal(top.manifests[0]?.digest, first.digest);
    const manifests = json(first.digest)["manifests"] as readonly Descriptor[];
    assert.deepEqual(
      manifests.map(({ platform }) => platform?.architecture),
      ["amd64", "arm64"],
    );
    for (const { digest, size } of manifests) {
      assert.equal(blob(digest).length, size);
      const manifest = json(digest) as { readonly config: Descriptor; readonly layers: readonly Descriptor[] };
      const config = json(manifest.config.digest) as {
        readonly config: Readonly<Record<string, unknown>>;
        readonly rootfs: { readonly diff_ids: readonly string[] };
      };
      assert.deepEqual(
        [config.config["User"], config.config["Entrypoint"], config.config["Env"]],
        ["65532:65532", ["/plugin"], ["A=b"]],
      );
      const layers = manifest.layers.map((layer) => gunzipSync(blob(layer.digest)));
      assert.deepEqual(
        config.rootfs.diff_ids,
        layers.map((layer) => `sha256:${createHash("sha256").update(layer).digest("hex")}`),
      );
      assert.deepEqual(
        layers.map((layer) => layer.length > 0),
        [true, true],
      );
    }
  });
});

function snapshot(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(
      (entry) =>
        `${entry.name} ${createHash("sha256")
          .update(readFileSync(join(entry.parentPath, entry.name)))
          .digest("hex")}`,
    )
    .sort();
}
