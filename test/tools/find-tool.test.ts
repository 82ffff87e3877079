import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KmsEtcdError } from "../../core/errors";
import { buildTool } from "../../tools/build-tool";
import { describeTool } from "../../tools/catalog";
import { lookForTool } from "../../tools/find-tool";

const changed = ["KUBEBUILDER_ASSETS", "PATH", "KMS_ETCD_CACHE"];

describe("finding a tool", () => {
  const earlier = changed.map((name) => [name, process.env[name]] as const);
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-find-"));
    process.env["KMS_ETCD_CACHE"] = join(directory, "cache");
    process.env["PATH"] = `${join(directory, "one")}:${join(directory, "two")}`;
    delete process.env["KUBEBUILDER_ASSETS"];
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
    for (const [name, value] of earlier) {
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    }
  });

  /** A program that prints a version, in a folder of that name. */
  function put(folder: string, name: string, output: string): string {
    const path = join(directory, folder, name);
    mkdirSync(join(directory, folder), { recursive: true });
    writeFileSync(path, `#!/bin/sh\necho "${output}"\n`);
    chmodSync(path, 0o755);
    return path;
  }

  it("one that is not there is not found, and nothing is installed by looking", async () => {
    assert.equal(await lookForTool("etcd"), undefined);
  });

  it("the first on PATH that is new enough is taken, an older one before it is passed over", async () => {
    put("one", "etcd", "etcd Version: 3.4.23");
    const path = put("two", "etcd", "etcd Version: 3.5.21");
    assert.deepEqual(await lookForTool("etcd"), { name: "etcd", path, version: "3.5.21", origin: "machine" });
  });

  it("KUBEBUILDER_ASSETS comes before PATH", async () => {
    put("one", "kube-apiserver", "Kubernetes v1.36.0");
    process.env["KUBEBUILDER_ASSETS"] = join(directory, "assets");
    const path = put("assets", "kube-apiserver", "Kubernetes v1.34.1");
    assert.equal((await lookForTool("kube-apiserver"))?.path, path);
  });

  it("a program that does not run is passed over, and the cache comes last", async () => {
    writeFileSync(put("one", "etcd", "etcd Version: 3.6.0"), "#!/bin/sh\nexit 1\n");
    const { version } = describeTool("etcd");
    const platform = `${process.platform}-${process.arch === "x64" ? "amd64" : process.arch}`;
    const path = put(`cache/tools/etcd-${version}-${platform}/bin`, "etcd", version);
    writeFileSync(join(path, "../../origin.json"), '{"origin":"build"}');
    assert.deepEqual(await lookForTool("etcd"), { name: "etcd", path, version, origin: "cache" });
  });

  it("without Go, or with an old one, the build says what to install", async () => {
    const tool = describeTool("etcd");
    const options = { report: () => undefined };
    const fails = async (): Promise<KmsEtcdError> => {
      const thrown = await buildTool(tool, directory, options).catch((error: unknown) => error);
      assert.ok(thrown instanceof KmsEtcdError);
      return thrown;
    };
    const none = await fails();
    assert.match(none.message, /etcd .* there is no go on PATH/);
    assert.match(none.remedy ?? "", /install Go 1\.\d+\.\d+ or newer, or put etcd .* on PATH/);
    put("one", "go", "go version go1.21.5 linux/amd64");
    assert.match((await fails()).message, /can't be built with Go 1\.21\.5/);
  });

  it("a build that fails says how it ended and shows what Go said", async () => {
    put("one", "go", "go version go1.99.0 linux/amd64");
    writeFileSync(
      join(directory, "one", "go"),
      '#!/bin/sh\n[ "$1" = version ] && echo "go version go1.99.0 x/y" && exit\necho "disk full" >&2\nexit 7\n',
    );
    await assert.rejects(
      buildTool(describeTool("etcd"), directory, { report: () => undefined }),
      (error: KmsEtcdError) => {
        assert.match(error.message, /go build of etcd in .*tools\/go\/etcd ended with exit code 7:\n {4}disk full/);
        assert.match(error.remedy ?? "", /go build -o \/dev\/null go\.etcd\.io\/etcd\/server\/v3/);
        return true;
      },
    );
  });
});
