import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { readdir, readFile, readlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { formatLocalKeyFile } from "../../core/local-key-file";
import { architectures } from "../../plugin-server/image/architecture";
import { buildImage } from "../../plugin-server/image/build-image";
import { bundlePlugin } from "../../plugin-server/image/bundle-plugin";
import { readElf } from "../../plugin-server/image/elf";
import type { WrittenLayout } from "../../plugin-server/image/oci-layout";
import { imageEnvironment, interpreter } from "../../plugin-server/image/root-filesystem";
import { cacheDirectory } from "../../tools/cache-directory";
import { dockerBuildStandIn, imageProgram } from "../e2e/support/image-project";
import { pluginBeforeApiServer } from "../e2e/support/plugin-before-api-server";
import { pulumiProject } from "../e2e/support/pulumi-project";
import { kmsClient } from "../plugin-server/support/kms-client";
import { useContainers } from "./support/contained-plugin";
import { haveProgram } from "./support/debian-program";

const run = promisify(execFile);
const project = join(__dirname, "..", "..");
const version = { version: "v9.8.7", commit: "abc", date: "2026-01-02T03:04:05.000Z" };
const compressedLimit = 52_000_000;

describe("the plugin's image", function () {
  this.timeout(900_000);
  let directory: string;
  let out: string;
  let layout: WrittenLayout;
  const build = async (target: string) =>
    buildImage({
      project,
      out: target,
      cache: join(cacheDirectory(), "image"),
      architectures,
      version,
      bundle: await bundlePlugin(project, version, interpreter),
    });
  const rootfs = () => join(out, "rootfs", "amd64");

  before(async function () {
    if (!(await haveProgram("apt-get")) || !(await haveProgram("dpkg-deb", "dpkg"))) this.skip();
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-image-"));
    out = join(directory, "image");
    layout = await build(out);
  });
  after(() => {
    if (directory) rmSync(directory, { recursive: true });
  });

  it("is the same to the last byte when it is built again", async () => {
    assert.deepEqual(await build(join(directory, "again")), layout);
  });

  it("is small enough, for each processor", () => {
    assert.deepEqual(
      layout.images.map(({ architecture }) => architecture),
      ["amd64", "arm64"],
    );
    for (const { architecture, compressedBytes } of layout.images) {
      assert.ok(compressedBytes <= compressedLimit, `${architecture}: ${compressedBytes}`);
      process.stdout.write(`      ${architecture}: ${(compressedBytes / 1e6).toFixed(1)} MB compressed\n`);
    }
  });

  it("has for each processor that processor's Node and every library that it asks for, and no program besides", async () => {
    for (const [architecture, machine] of [
      ["amd64", 62],
      ["arm64", 183],
    ] as const) {
      const root = join(out, "rootfs", architecture);
      const files = (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
      const programs: string[] = [];
      const present = new Set(files.map(({ name }) => name));
      for (const { parentPath, name } of files) {
        const path = join(parentPath, name);
        if ((statSync(path).mode & 0o111) !== 0) programs.push(path.slice(root.length));
        const content = await readFile(path);
        if (content.length < 64 || content.readUInt32BE(0) !== 0x7f454c46) continue;
        assert.equal(content.readUInt16LE(18), machine, path);
        for (const needed of readElf(content, path).needed)
          assert.ok(present.has(needed), `${path} asks for ${needed}`);
      }
      assert.deepEqual(programs.filter((path) => !/\/ld-linux-[^/]+$/.test(path)).sort(), [
        "/usr/bin/node",
        "/usr/lib/kms-etcd-plugin/main.js",
      ]);
      for (const name of ["kms-etcd-plugin", "aws-encryption-provider", "kubernetes-kms"]) {
        assert.equal(await readlink(join(root, name)), "usr/lib/kms-etcd-plugin/main.js");
      }
    }
  });

  it("is what docker and buildah build from the Dockerfile", async function () {
    if (!(await haveProgram("buildah"))) return this.skip();
    const storage = [
      "--root",
      join(directory, "store"),
      "--runroot",
      join(directory, "run"),
      "--storage-driver",
      "vfs",
    ];
    const buildah = async (...args: readonly string[]) =>
      (
        await run("buildah", [...storage, ...args], {
          env: { ...process.env, BUILDAH_ISOLATION: "chroot" },
          maxBuffer: 1 << 24,
        })
      ).stdout.trim();
    await buildah(
      "bud",
      "--quiet",
      "--platform",
      "linux/amd64",
      "--build-arg",
      "TARGETARCH=amd64",
      "--tag",
      "kms",
      out,
    );
    const { OCIv1 } = JSON.parse(await buildah("inspect", "--type", "image", "kms")) as {
      readonly OCIv1: {
        readonly config: { readonly Entrypoint: unknown; readonly User: unknown; readonly Env: readonly string[] };
      };
    };
    assert.deepEqual([OCIv1.config.Entrypoint, OCIv1.config.User], [["/kms-etcd-plugin"], "65532:65532"]);
    const container = await buildah("from", "kms");
    for (const variable of imageEnvironment) assert.ok(OCIv1.config.Env.includes(variable), variable);
    const mounted = await buildah("mount", container);
    try {
      await run("diff", ["--recursive", "--no-dereference", rootfs(), mounted]);
    } finally {
      await buildah("umount", container);
      await buildah("rm", container);
    }
  });

  it("is what PluginImage pushes, with the real CLI and buildah behind a stand-in for docker's provider", async function () {
    if (!(await haveProgram("buildah"))) return this.skip();
    const program = await pulumiProject({
      directory: mkdtempSync(join(directory, "project-")),
      files: imageProgram(dockerBuildStandIn),
    });
    const storage = mkdtempSync(join(directory, "storage-"));
    await program.configure({ context: out, repository: "registry.example/kms-etcd-plugin" });
    await program.succeed(["config", "set", "--secret", "password", "pass"]);
    await program.succeed(["up", "--yes", "--skip-preview"], { KMS_ETCD_TEST_BUILDAH: storage });
    const { ref } = await program.outputs();
    const [, digest = ""] = /^registry\.example\/kms-etcd-plugin@sha256:([0-9a-f]{64})$/.exec(String(ref)) ?? [];
    const blob = async (hex: string) => readFile(join(storage, "registry", "blobs", "sha256", hex));
    const pushed = await blob(digest);
    assert.equal(createHash("sha256").update(pushed).digest("hex"), digest);
    const { manifests } = JSON.parse(pushed.toString()) as {
      readonly manifests: readonly { readonly digest: string; readonly platform: { readonly architecture: string } }[];
    };
    assert.deepEqual(
      manifests.map(({ platform }) => platform.architecture),
      ["amd64"],
    );
    const manifest = JSON.parse((await blob(manifests[0]?.digest.slice("sha256:".length) ?? "")).toString()) as {
      readonly config: { readonly digest: string };
    };
    const { config } = JSON.parse((await blob(manifest.config.digest.slice("sha256:".length))).toString()) as {
      readonly config: { readonly Entrypoint: unknown; readonly User: unknown };
    };
    assert.deepEqual([config.Entrypoint, config.User], [["/kms-etcd-plugin"], "65532:65532"]);
  });

  describe("run with a read-only root, no capability and no other user than its own", () => {
    const containers = useContainers();
    before(async function () {
      if (process.geteuid?.() !== 0 || !(await haveProgram("runc"))) this.skip();
    });

    it("serves as PID 1, and ends by SIGTERM in under a second", async () => {
      const shared = mkdtempSync(join(tmpdir(), "ke-"));
      const keyFile = join(shared, "key");
      const socket = join(shared, "kms.sock");
      writeFileSync(keyFile, formatLocalKeyFile(Buffer.alloc(32, 3)), { mode: 0o600 });
      chownSync(keyFile, 65_532, 65_532);
      const plugin = containers.start(
        rootfs(),
        ["local", `--key-file=${keyFile}`, `--listen-addr=unix://${socket}`],
        [shared],
      );
      await plugin.served(socket);
      const client = kmsClient(socket);
      assert.equal((await client.v2.Status({})).healthz, "ok");
      assert.equal((await client.v1.Version({ version: "v1beta1" })).runtimeVersion, version.version);
      client.close();
      const status = readFileSync(`/proc/${plugin.pid}/status`, "utf8");
      for (const line of [
        "Uid:\t65532\t65532",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
      ]) {
        assert.ok(status.includes(line), `${line} in ${status}`);
      }
      assert.match(plugin.output.stderr, / 1 kms-etcd-plugin\] "serving KMS v2 and v1"/);
      const asked = performance.now();
      plugin.kill("SIGTERM");
      assert.equal(await plugin.ended, 0);
      assert.ok(performance.now() - asked < 1_000, `${performance.now() - asked} ms`);
      assert.equal(existsSync(socket), false);
      rmSync(shared, { recursive: true });
    });

    pluginBeforeApiServer("before a real API server", {
      start: (args, directories, keyFile) => {
        chownSync(keyFile, 65_532, 65_532);
        return containers.start(rootfs(), args, directories);
      },
    });
  });
});
