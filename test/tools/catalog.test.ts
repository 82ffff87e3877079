import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "../../tools/cache-directory";
import { describeTool } from "../../tools/catalog";
import { readChecksum } from "../../tools/download-tool";
import { projectDirectory } from "../../tools/project-directory";
import { toolNames } from "../../tools/tool";
import { cacheKey } from "../../tools/tool-cache";

const linux = { os: "linux", architecture: "amd64" };

describe("the catalog of external programs", () => {
  it("every tool has a module with its pinned version, and a sum for it", () => {
    for (const name of toolNames) {
      const tool = describeTool(name, linux);
      const directory = join(projectDirectory(), "tools", "go", tool.build.module);
      const goMod = readFileSync(join(directory, "go.mod"), "utf8");
      const version = goMod.includes(`tool ${tool.build.package}`) || goMod.includes(`\t${tool.build.package}\n`);
      assert.ok(version, `${name}: ${tool.build.package} is no tool of ${directory}`);
      const moduleVersion = tool.build.moduleVersion ?? tool.version;
      assert.ok(goMod.includes(` v${moduleVersion}`), `${name}: go.mod has another version than ${moduleVersion}`);
      assert.ok(existsSync(join(directory, "go.sum")));
    }
  });

  it("no two tools share a place in the cache, nor do two versions or platforms", () => {
    const keys = toolNames.flatMap((name) =>
      [linux, { os: "linux", architecture: "arm64" }, { os: "darwin", architecture: "arm64" }].map((platform) =>
        cacheKey(describeTool(name, platform), platform),
      ),
    );
    assert.equal(new Set(keys).size, keys.length);
    assert.equal(keys[0], "kube-apiserver-1.36.3-linux-amd64");
  });

  it("servers are published for Linux only; the rest builds", () => {
    const mac = { os: "darwin", architecture: "arm64" };
    assert.equal(describeTool("kube-apiserver", mac).download, undefined);
    assert.equal(describeTool("etcd", mac).download, undefined);
    assert.match(describeTool("pulumi", mac).download?.url ?? "", /darwin-arm64\.tar\.gz$/);
    assert.match(describeTool("pulumi", linux).download?.url ?? "", /linux-x64\.tar\.gz$/);
  });

  it("the cache follows KMS_ETCD_CACHE, then an absolute XDG_CACHE_HOME, then the home directory", () => {
    assert.equal(cacheDirectory({ KMS_ETCD_CACHE: "/a", XDG_CACHE_HOME: "/b" }), "/a");
    assert.equal(cacheDirectory({ XDG_CACHE_HOME: "/b" }), "/b/kms-etcd");
    assert.match(cacheDirectory({ XDG_CACHE_HOME: "relative" }), /\.cache\/kms-etcd$/);
    assert.match(cacheDirectory({ KMS_ETCD_CACHE: "" }), /\.cache\/kms-etcd$/);
  });

  it("a checksum is read from a file of its own and from a list, and nothing else passes for one", () => {
    const hex = "0123456789abcdef".repeat(4);
    const program = { kind: "program" as const, url: "https://x/kubectl", checksumUrl: "https://x/kubectl.sha256" };
    const archive = {
      kind: "archive" as const,
      url: "https://x/e.tar.gz",
      checksumUrl: "https://x/SHA256SUMS",
      folder: "e",
      files: [],
    };
    assert.equal(readChecksum(program, `${hex.toUpperCase()}\n`), hex);
    assert.equal(readChecksum(archive, `${"f".repeat(64)}  other.tar.gz\n${hex} *e.tar.gz\n`), hex);
    assert.equal(readChecksum(archive, `${hex}  ./e.tar.gz`), hex);
    assert.throws(() => readChecksum(archive, `${hex}  other.tar.gz\n`), /SHA256SUMS has no checksum for e\.tar\.gz/);
    assert.throws(() => readChecksum(program, "<html>sign in</html>"), /no checksum for kubectl/);
    assert.throws(() => readChecksum(program, ""), /no checksum/);
  });
});
