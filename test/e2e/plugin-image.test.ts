import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { typeTokens } from "../../core/type-tokens";
import { dockerBuildStandIn, imageProgram } from "./support/image-project";
import { type PulumiProject, pulumiProject } from "./support/pulumi-project";

const repositoryName = "registry.example/team/kms-etcd-plugin";
const password = "s3cret-of-the-registry";

describe("PluginImage with the real CLI and a stand-in for docker", function () {
  this.timeout(5 * 60_000);
  let directory: string;
  let project: PulumiProject;
  let log: string;
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-image-project-"));
    log = join(directory, "docker.log");
    project = await pulumiProject({ directory, files: imageProgram(dockerBuildStandIn) });
    // Relative to the project, as users write it.
    const files = join(directory, "image", "rootfs", "amd64");
    mkdirSync(files, { recursive: true });
    writeFileSync(join(directory, "image", "Dockerfile"), "FROM scratch\n");
    writeFileSync(join(files, "plugin"), "1");
    await project.configure({ context: "image", repository: repositoryName });
    await project.succeed(["config", "set", "--secret", "password", password]);
  });
  after(() => rmSync(directory, { recursive: true }));

  const environment = () => ({ KMS_ETCD_TEST_DOCKER_LOG: log });
  const up = (...more: string[]) => project.succeed(["up", "--yes", "--skip-preview", ...more], environment());
  const built = () => (existsSync(log) ? readFileSync(log, "utf8") : "");

  it("preview => the image is planned, and nothing is built", async () => {
    assert.match(await project.succeed(["preview"], environment()), /\+.*docker-build:index:Image.*create/);
    assert.equal(built(), "");
  });

  it("up => pushed once, ref by digest; again => no changes", async () => {
    await up();
    const { ref } = await project.outputs();
    assert.match(String(ref), new RegExp(`^${repositoryName}@sha256:[0-9a-f]{64}$`));
    assert.equal(built(), `built ${String(ref).split("@")[1]}\n`);
    await up("--expect-no-changes");
  });

  it("the registry's password is nowhere in the state in clear", async () => {
    const state = await project.succeed(["stack", "export"]);
    assert.match(state, /registries/);
    assert.ok(!state.includes(password));
    const resources = await project.resources();
    const component = Object.entries(resources).find(([name]) => name.startsWith(typeTokens.pluginImage));
    assert.ok(component);
    assert.doesNotMatch(JSON.stringify(component), /registry"/);
  });

  it("another plugin in the folder => preview says so without building; up builds it, and ref changes", async () => {
    const before = await project.outputs();
    writeFileSync(join(directory, "image", "rootfs", "amd64", "plugin"), "2");
    const log1 = built();
    assert.match(await project.succeed(["preview"], environment()), /~.*docker-build:index:Image.*update/);
    assert.equal(built(), log1);
    await up();
    assert.notEqual((await project.outputs())["ref"], before["ref"]);
  });

  it("a tag for an existing image => refused by its path, with the reason", async () => {
    await project.configure({ existingRef: `${repositoryName}:v1` });
    const { code, text } = await project.run(["preview"]);
    assert.notEqual(code, 0);
    assert.match(text, /existingRef.*names no digest: a tag can be moved to other bytes without a trace/s);
    await project.succeed(["config", "rm", "existingRef"]);
  });

  it("destroy => what was pushed stays in the registry", async () => {
    await project.succeed(["destroy", "--yes", "--skip-preview"], environment());
    assert.doesNotMatch(built(), /deleted/);
    assert.deepEqual(await project.outputs(), {});
  });
});
