import assert from "node:assert/strict";
import { join } from "node:path";
import { parse } from "yaml";
import { type KopsCluster, readCluster } from "../../rotation/adapters/kops/cluster-spec";
import { type PulumiProject, programFiles, pulumiProject, repository } from "../e2e/support/pulumi-project";
import { pythonOrSkip } from "../fakes/kops/machines/python-or-skip";
import {
  type RealKopsCluster,
  startRealKopsCluster,
  type UnmadeKopsCluster,
} from "../fakes/kops/machines/real-kops-cluster";
import { watchCluster } from "../fakes/kops/machines/watched-cluster";
import { mountHook, seedConfiguration, seedManifest } from "../rotation/adapters/kops/seed-002";

const secrets = 4;
const assetName = "aws-encryption-provider.yaml";
const group = "control-plane-us-east-1a";
const upArgs = ["up", "--yes", "--skip-preview"];
/** A program of a user's, with keys that it is given. */
const program = `
const pulumi = require("@pulumi/pulumi");
const { KopsKmsSettings } = require(${JSON.stringify(join(repository, "dist", "components"))});
const config = new pulumi.Config();
const settings = new KopsKmsSettings("etcd", {
  keyVersion: config.requireNumber("keyVersion"),
  keys: config.requireObject("keys").map((keyArn, index) => ({ version: index + 1, aws: { keyArn } })),
  advanceTo: config.get("advanceTo") || "Prune",
  kops: config.requireObject("kops"),
});
exports.evidence = settings.evidence;
exports.plan = settings.plan;
`;

async function projectFor(cluster: UnmadeKopsCluster, keys: readonly string[]): Promise<PulumiProject> {
  const project = await pulumiProject({ directory: join(cluster.directory, "project"), files: programFiles(program) });
  await project.configure({
    keyVersion: 1,
    keys: JSON.stringify(keys),
    kops: JSON.stringify({
      clusterName: cluster.name,
      stateStore: cluster.cloud.stateStore,
      program: cluster.program,
      kubeconfigFile: cluster.kubeconfigFile,
      plugin: { image: `registry.example/kms-etcd-plugin@sha256:${"0".repeat(64)}` },
      backupDirectory: join(cluster.directory, "backups"),
      // Longer than a machine here takes to join: kops looks again after half a minute only.
      rolling: {
        ...{ intervalSeconds: 12, validateCount: 1, drainTimeoutSeconds: 30, postDrainSeconds: 0 },
        validationTimeoutSeconds: 600,
      },
    }),
  });
  return project;
}

async function specOf({ kops, name }: UnmadeKopsCluster): Promise<KopsCluster> {
  return readCluster(JSON.parse(await kops(["get", "cluster", name, "-o", "json"])));
}

const assetsOf = ({ spec }: KopsCluster) => (spec.fileAssets ?? []).map(({ name }) => name);

/** The seed's guide for a new cluster, up to its first update, by hand with the real kops. */
async function setUpByHand(unmade: UnmadeKopsCluster, key: string): Promise<void> {
  const { kops, name } = unmade;
  const content = seedManifest.replace(/arn:aws:kms:\S+/, key).replace("--region=us-west-2", "--region=us-east-1");
  const path = `/etc/kubernetes/manifests/${assetName}`;
  const asset = { name: assetName, path, roles: ["ControlPlane"], content };
  const { spec, ...document } = await specOf(unmade);
  const byHand = {
    ...spec,
    encryptionConfig: true,
    fileAssets: [{ name: "motd", path: "/etc/motd", content: "hello\n" }, asset],
    hooks: [mountHook],
    // From 1.29 on API servers speak KMS v1 by this gate only.
    kubeAPIServer: { ...(spec["kubeAPIServer"] as object), featureGates: { KMSv1: "true" } },
  };
  await kops(["replace", "-f", "-"], JSON.stringify({ ...document, spec: byHand }));
  await kops(["create", "secret", "encryptionconfig", "--name", name, "-f", "-"], seedConfiguration);
}

/** That guide with the key that is called `keyOf`, carried out. */
async function startedByHand(
  context: Mocha.Context,
  keyOf: (unmade: UnmadeKopsCluster) => Promise<string>,
): Promise<RealKopsCluster> {
  return startRealKopsCluster({
    python: await pythonOrSkip(context),
    controlPlanes: 1,
    beforeFirstUpdate: async (unmade) => setUpByHand(unmade, await keyOf(unmade)),
  });
}

/** That guide; then `pulumi up` on the cluster that runs. */
describe("a kOps cluster that was set up by hand after the upstream guide, by the real CLI", function () {
  this.timeout(60 * 60_000);
  let cluster: RealKopsCluster;
  let closing = async () => {};
  let project: PulumiProject;

  before(async function () {
    cluster = await startedByHand(this, ({ kms }) => kms.createKey());
    closing = cluster.close;
    await cluster.createSecrets(secrets);
    project = await projectFor(cluster, [await cluster.kms.createKey()]);
  });
  after(() => closing());

  const providers = async () => Object.keys(await cluster.storedProviders());
  const up = () => project.succeed(upArgs, cluster.environment);

  it("from its first boot => encrypted, as the guide's own look into etcd shows it", async () => {
    const value = await cluster.storedValue("s0");
    assert.ok(value.startsWith("k8s:enc:kms:v1:aws-encryption-provider:"), value.slice(0, 60));
    assert.ok(!value.includes("content of s0"));
    assert.deepEqual(await providers(), ["k8s:enc:kms:v1:aws-encryption-provider:"]);
  });

  it("preview => what is there is adopted: KMS v2 beside it first, and its plugin and its hook leave in the end", async () => {
    const text = await project.succeed(["preview", "--diff"], cluster.environment);
    assert.match(
      text,
      /Read: secret encryptionconfig: secrets \[kms\/v1\/aws-encryption-provider, kms\/v2\/kms-etcd-\w+, identity\]|Read: secret encryptionconfig: secrets \[kms\/v1\/aws-encryption-provider, identity, kms\/v2\/kms-etcd-\w+\]/,
    );
    assert.match(text, /Prune: spec: - file asset aws-encryption-provider\.yaml/);
    assert.match(text, /Prune: spec: - a hook for the plugin's socket/);
  });

  it("up, to Write => every new value under the key, with plugin, mount and hook of before still in place, on the machines too", async () => {
    await project.configure({ advanceTo: "Write" });
    const watch = watchCluster(cluster);
    await up().finally(() => watch.stop());
    assert.deepEqual(watch.violations, []);
    const spec = await specOf(cluster);
    assert.equal(assetsOf(spec).length, 3);
    assert.deepEqual(
      spec.spec.hooks?.map(({ name }) => name),
      [mountHook.name],
    );
    const [machine] = cluster.nodes.machines();
    assert.equal(machine?.pods.length, 2);
    assert.ok((await providers()).includes("k8s:enc:kms:v1:aws-encryption-provider:"));
  });

  it("up, to the end => all stored under the key, plugin and hook gone from the spec, nothing else of it touched; again => no change", async () => {
    await project.configure({ advanceTo: "Prune" });
    await up();
    const [provider = "", ...others] = await providers();
    assert.deepEqual(others, []);
    assert.match(provider, /^k8s:enc:kms:v2:kms-etcd-/);
    const spec = await specOf(cluster);
    assert.deepEqual(
      assetsOf(spec).filter((name) => !name.startsWith("kms-etcd-")),
      ["motd"],
    );
    assert.equal(spec.spec.hooks, undefined);
    assert.deepEqual((spec.spec["kubeAPIServer"] as { featureGates?: object }).featureGates, { KMSv1: "true" });
    const { evidence } = await project.outputs();
    assert.equal((evidence as { complete: boolean }).complete, true);
    await project.succeed(["preview", "--expect-no-changes"], cluster.environment);
  });
});

describe("a kOps cluster that was set up by hand with an alias for its key, by the real CLI", function () {
  this.timeout(60 * 60_000);
  const alias = "alias/etcd";
  let cluster: RealKopsCluster;
  let closing = async () => {};
  let project: PulumiProject;
  let keyArn: string;

  before(async function () {
    cluster = await startedByHand(this, async ({ kms }) => {
      keyArn = await kms.createKey();
      await kms.createAlias(alias, keyArn);
      return alias;
    });
    closing = cluster.close;
    await cluster.createSecrets(secrets);
    project = await projectFor(cluster, [await cluster.kms.createKey()]);
    await project.configure({ advanceTo: "Read" });
  });
  after(() => closing());

  const manifest = async () => (await specOf(cluster)).spec.fileAssets?.find(({ name }) => name === assetName)?.content;

  it("preview => warned of the alias, with the key behind it and what will be done; the spec is as it was", async () => {
    const before = await manifest();
    const text = await project.succeed(["preview", "--diff"], cluster.environment);
    assert.ok(text.includes(`names its key by ${alias}, which is ${keyArn} now`), text);
    assert.match(text, /The ARN takes its place before anything else, and each machine is replaced once for that/);
    assert.equal(await manifest(), before);
  });

  it("up => the manifest has the ARN and not a letter else is changed, the machine's plugin asks by it, every Secret stays readable", async () => {
    const before = await manifest();
    const watch = watchCluster(cluster);
    const text = await project.succeed(upArgs, cluster.environment).finally(() => watch.stop());
    assert.deepEqual(watch.violations, [], text);
    assert.equal(await manifest(), before?.replace(alias, keyArn));
    const asked = cluster.kms.calls.length;
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "after" },
      stringData: { text: "written after" },
    };
    const { status, text: answer } = await cluster.nodes.ask("POST", "/api/v1/namespaces/default/secrets", secret);
    assert.equal(status, 201, answer);
    const names = cluster.kms.calls.slice(asked).map(({ keyId }) => keyId);
    assert.ok(names.includes(keyArn) && !names.includes(alias), names.join(", "));
    const again = await project.succeed(["preview", "--diff"], cluster.environment);
    assert.doesNotMatch(again, /alias/);
  });
});

/** `pulumi up` between `kops create cluster` and its first `kops update cluster --yes`. */
describe("a new kOps cluster that is encrypted from its first boot, by the real CLI", function () {
  this.timeout(60 * 60_000);
  let cluster: RealKopsCluster;
  let closing = async () => {};
  let project: PulumiProject;
  let first: { readonly preview: string; readonly text: string };

  before(async function () {
    const python = await pythonOrSkip(this);
    cluster = await startRealKopsCluster({
      python,
      controlPlanes: 1,
      async beforeFirstUpdate(unmade) {
        project = await projectFor(unmade, [await unmade.kms.createKey(), await unmade.kms.createKey()]);
        const preview = await project.succeed(["preview", "--diff"], unmade.environment);
        first = { preview, text: await project.succeed(upArgs, unmade.environment) };
      },
    });
    closing = cluster.close;
    await cluster.createSecrets(secrets);
  });
  after(() => closing());

  const providers = async () => Object.keys(await cluster.storedProviders());
  const nodeup = async () =>
    parse((await cluster.cloud.object(`${cluster.name}/igconfig/control-plane/${group}/nodeupconfig.yaml`)) ?? "") as {
      readonly APIServerConfig: { readonly EncryptionConfigSecretHash?: string };
    };

  it("preview and up => spec and secret, and that kOps makes the cluster; nothing is updated or rolled", () => {
    assert.match(first.preview, /\+ file asset kms-etcd-\w+\.yaml/);
    assert.match(first.preview, /secret encryptionconfig: secrets \[kms\/v2\/kms-etcd-\w+\]/);
    assert.doesNotMatch(first.preview, /kops (update|rolling-update)[^:]*--yes"/);
    assert.match(first.preview, /kOps has yet to make the cluster/);
  });

  it("made by kOps => the first machine has the key's configuration, and no value was ever stored in plaintext", async () => {
    assert.ok((await nodeup()).APIServerConfig.EncryptionConfigSecretHash !== undefined);
    const value = await cluster.storedValue("s0");
    assert.match(value, /^k8s:enc:kms:v2:kms-etcd-/);
    assert.equal((await providers()).length, 1);
  });

  it("up on the cluster that runs => no machine is replaced", async () => {
    const before = cluster.nodes.machines().map(({ id }) => id);
    await project.succeed(["refresh", "--yes", "--skip-preview"], cluster.environment);
    await project.succeed(upArgs, cluster.environment);
    assert.deepEqual(
      cluster.nodes.machines().map(({ id }) => id),
      before,
    );
  });

  it("keyVersion 2 => rotated by three rolls while every Secret stays readable, with evidence; the first key's plugin is gone", async () => {
    const [before] = await providers();
    await project.configure({ keyVersion: 2 });
    const watch = watchCluster(cluster);
    const text = await project.succeed(upArgs, cluster.environment).finally(() => watch.stop());
    assert.deepEqual(watch.violations, [], text);
    const [after, ...others] = await providers();
    assert.deepEqual(others, []);
    assert.notEqual(after, before);
    const { evidence } = await project.outputs();
    const { complete, servers } = evidence as { complete: boolean; servers: readonly { name: string }[] };
    assert.equal(complete, true);
    assert.deepEqual(
      servers.map(({ name }) => name),
      cluster.nodes.machines().map(({ id }) => id),
    );
    assert.equal(assetsOf(await specOf(cluster)).length, 1);
    await project.succeed(["preview", "--expect-no-changes"], cluster.environment);
  });
});
