import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { localControlPlaneFile } from "../../core/local-control-plane";
import { typeTokens } from "../../core/type-tokens";
import { localProject } from "./support/local-project";
import { type PulumiProject, programFiles, pulumiProject, repository } from "./support/pulumi-project";
import { type RealCluster, realCluster } from "./support/real-cluster";

const secrets = 40;

/** Restarting servers, because a restart takes seconds and a reload up to a minute. */
describe("pulumi up on a real control plane, with the real CLI and the provider as it is shipped", function () {
  this.timeout(20 * 60_000);
  let cluster: RealCluster;
  let project: PulumiProject;
  let keys: string;

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    await cluster.createSecrets(secrets);
    ({ project, keys } = await localProject(cluster));
    await project.configure({ keyVersion: 1 });
  });
  after(() => cluster.close());

  const up = (...more: string[]) => project.succeed(["up", "--yes", "--skip-preview", ...more]);
  const storedProviders = async () => Object.keys(await cluster.storedProviders());

  it("keyVersion 0 => the preview fails, and the message names the input and says what to write", async () => {
    await project.configure({ keyVersion: 0 });
    const { code, text } = await project.run(["preview"]);
    assert.notEqual(code, 0);
    assert.match(text, /keyVersion.*is 0; write a whole number, 1 or greater/s);
    await project.configure({ keyVersion: 1 });
  });

  it("preview of the first up => plan, counts and a row for every stage; no key file, nothing changed", async () => {
    const text = await project.succeed(["preview", "--diff"]);
    for (const stage of ["Plugin", "Read", "Write", "Rewrite", "Verify", "Prune"]) {
      assert.match(text, new RegExp(`"${stage}: `), text);
      assert.match(text, new RegExp(`RotationPhase::${stage}`));
    }
    assert.match(text, new RegExp(`Rewrite: .*; ${secrets} objects, `));
    assert.match(text, /activeKeyVersion: 1/);
    assert.throws(() => readdirSync(keys), { code: "ENOENT" });
    assert.deepEqual(await storedProviders(), ["plaintext"]);
  });

  it("up => every Secret under the key, evidence in the outputs, progress on the way; again => no changes", async () => {
    const text = await up();
    assert.match(text, /\[4\/6\] Rewrite/);
    const stored = await storedProviders();
    assert.equal(stored.length, 1);
    assert.match(stored[0] ?? "", /^k8s:enc:kms:v2:kms-etcd-/);
    const { activeKeyVersion, evidence } = await project.outputs();
    assert.equal(activeKeyVersion, 1);
    const { complete, resources } = evidence as { complete: boolean; resources: { objects: number }[] };
    assert.deepEqual([complete, resources[0]?.objects], [true, secrets]);
    await project.succeed(["preview", "--expect-no-changes"]);
    await up("--expect-no-changes");
  });

  it("no key material in the state, and the key files are the owner's alone", async () => {
    const file = join(keys, "key-v1");
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const material = readFileSync(file, "utf8").split("\n")[1] ?? "";
    assert.ok(
      material.length === 64 && !(await project.succeed(["stack", "export", "--show-secrets"])).includes(material),
    );
  });

  it("a component in another language, made by Construct => the same children, and the same errors", async () => {
    const remote = join(cluster.directory, "remote");
    const controlPlaneFile = join(cluster.controlPlane.stateDirectory, localControlPlaneFile);
    const other = await pulumiProject({
      directory: remote,
      // What a generated SDK does: name the component's type, and leave the making to the provider.
      files: programFiles(`
          const pulumi = require("@pulumi/pulumi");
          const keyVersion = new pulumi.Config().requireNumber("keyVersion");
          const component = new pulumi.ComponentResource("${typeTokens.kmsEtcdEncryption}", "etcd", {
            keyVersion, localKey: { directory: ${JSON.stringify(join(remote, "keys"))} },
            local: { controlPlaneFile: ${JSON.stringify(controlPlaneFile)} }, activeKeyVersion: undefined,
          }, {}, true);
          exports.activeKeyVersion = component.activeKeyVersion;`),
    });
    await other.configure({ keyVersion: 1 });
    const text = await other.succeed(["preview", "--diff"]);
    assert.match(text, /KmsEtcdEncryption\$kms-etcd:index:LocalKey::etcd-key-v1/);
    assert.match(text, /KmsEtcdEncryption\$kms-etcd:index:EncryptionRollout::etcd/);
    assert.match(text, /activeKeyVersion: 1/);
    await other.configure({ keyVersion: -1 });
    const { code, text: failed } = await other.run(["preview"]);
    assert.notEqual(code, 0);
    assert.match(failed, /keyVersion.*is -1; write a whole number, 1 or greater/s);
  });

  it("package get-schema => the committed schema, with the package's version", async () => {
    const { code, text } = await project.run([
      "package",
      "get-schema",
      join(repository, "provider", "pulumi-resource-kms-etcd"),
    ]);
    assert.equal(code, 0, text);
    const schema = JSON.parse(text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1)) as {
      version: string;
      resources: object;
    };
    assert.match(schema.version, /^\d+\.\d+\.\d+/);
    assert.ok(typeTokens.kmsEtcdEncryption in schema.resources);
  });

  it("rotate, then a rollback that undeclares the newer key => refused; with newestKeyVersion => rolled back", async () => {
    const [first] = await storedProviders();
    await project.configure({ keyVersion: 2 });
    await up();
    const [second, ...others] = await storedProviders();
    assert.deepEqual([second === first, others], [false, []]);
    await project.configure({ keyVersion: 1 });
    const { code, text } = await project.run(["preview"]);
    assert.notEqual(code, 0);
    assert.match(text, /keys.*leaves out version 2, but an API server encrypts with its key; keep version 2 declared/s);
    await project.configure({ newestKeyVersion: 2 });
    await up();
    assert.deepEqual(await storedProviders(), [first]);
    await project.succeed(["preview", "--expect-no-changes"]);
  });

  it("a server's configuration edited by hand => drift at preview, repaired by up", async () => {
    // A server that is told to write plaintext by a hand-edited file, as somebody in a hurry would.
    const file = cluster.controlPlane.hosts[1]?.encryptionConfigFile ?? "";
    writeFileSync(file, readFileSync(file, "utf8").replace(/(\n\s+)- kms:/, "$1- identity: {}$1- kms:"));
    const text = await project.succeed(["preview"]);
    assert.match(text, /EncryptionRollout etcd refresh \[diff: ~atGoal\]/);
    assert.match(text, /EncryptionRollout etcd update/);
    await up();
    await project.succeed(["preview", "--expect-no-changes"]);
  });

  it("enabled: false => plaintext again, at no server's loss", async () => {
    await project.configure({ enabled: false });
    await up();
    assert.deepEqual(await storedProviders(), ["plaintext"]);
    assert.equal((await project.outputs())["activeKeyVersion"], 0);
  });

  it("destroy => the stack is empty; the key files and the cluster's settings stay", async () => {
    assert.match(
      await project.succeed(["destroy", "--yes", "--skip-preview"]),
      /keeps its encryption settings as they are/,
    );
    assert.deepEqual(await project.resources(), {});
    assert.deepEqual(readdirSync(keys).sort(), ["key-v1", "key-v2"]);
  });
});
