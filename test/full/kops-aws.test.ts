// Loaded before mocha looks at the globals: the SDK leaves one behind (`awslambda`).
import "@aws-sdk/client-kms";
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import type { ProviderServer } from "../../provider/provider-server";
import { snippets } from "../docs/markdown";
import { exampleProgram, type PulumiProject, programFiles, pulumiProject } from "../e2e/support/pulumi-project";
import { fakeAccount } from "../fakes/aws/kms-fake";
import { createKmsKeys } from "../fakes/aws/kms-keys";
import { type KopsStandIn, startKopsStandIn } from "../fakes/kops/stand-in/stand-in";
import { createAwsAccount } from "../fakes/pulumi-aws/aws-account";
import { serveAws } from "../fakes/pulumi-aws/provider-methods";

const objects = 6;
const machines = 2;
const upArgs = ["up", "--yes", "--skip-preview"];

/**
 * examples/kops-aws as it is, by the real CLI and our real provider in a process of its own, with stand-ins for the aws plugin,
 * and for kops and its machines. After every change the stand-in checks what a machine that boots now would get.
 */
describe("examples/kops-aws by the real CLI", function () {
  this.timeout(20 * 60_000);
  let directory: string;
  let aws: ProviderServer;
  let kops: KopsStandIn;
  let project: PulumiProject;
  let environment: Readonly<Record<string, string>>;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-kops-aws-"));
    aws = await serveAws(createAwsAccount(createKmsKeys(fakeAccount, "us-east-1")));
    kops = await startKopsStandIn({ machines, objects });
    environment = {
      ...kops.environment,
      // Nothing was retired, and nobody here may ask AWS about it.
      AWS_CONFIG_FILE: "/nonexistent/aws-config",
      AWS_SHARED_CREDENTIALS_FILE: "/nonexistent/aws-credentials",
      AWS_EC2_METADATA_DISABLED: "true",
      AWS_ENDPOINT_URL: "http://127.0.0.1:9",
      PULUMI_DEBUG_PROVIDERS: `aws:${aws.port}`,
    };
    project = await pulumiProject({
      directory: join(directory, "project"),
      files: programFiles(exampleProgram("kops-aws")),
    });
    await project.succeed(["config", "set-all", "--secret", `kubeconfig=${kops.kubeconfig}`]);
    await project.configure({
      keyVersion: 1,
      clusterName: kops.cluster,
      stateStore: kops.stateStore,
      controlPlaneRoleArn: "arn:aws:iam::123456789012:role/masters.e2e.k8s.local",
      pluginImage: `registry.example/kms-etcd-plugin@sha256:${"0".repeat(64)}`,
      kops: JSON.stringify({ program: kops.program, backupDirectory: join(directory, "backups") }),
    });
  });
  after(async () => {
    await Promise.all([kops.close(), aws.stop()]);
    rmSync(directory, { recursive: true, force: true });
  });
  afterEach(() => assert.deepEqual(kops.broken, []));

  const run = (...args: string[]) => project.succeed(args, environment);
  const commands = () => kops.calls.map(({ args }) => args.join(" "));
  const changing = () => commands().filter((text) => /--yes|--force|^(create|replace)/.test(text));
  const rolls = (from: number) =>
    commands()
      .slice(from)
      .filter((text) => text.startsWith("rolling-update")).length;
  const onlyProvider = () => {
    const providers = Object.keys(kops.stored());
    assert.equal(providers.length, 1, JSON.stringify(kops.stored()));
    return providers[0] ?? "";
  };

  /** The plan that the last rollout has left in the state. */
  async function planned(): Promise<readonly string[]> {
    const resources = Object.entries(await project.resources());
    const [, settings] = resources.find(([urn]) => urn.includes("KopsKmsSettings::")) ?? assert.fail();
    return (settings["outputs"] as { plan: readonly string[] }).plan;
  }

  async function assertAt(version: number): Promise<string> {
    const { activeKeyVersion, evidence } = await project.outputs();
    const { complete, servers } = evidence as { complete: boolean; servers: readonly unknown[] };
    assert.deepEqual([activeKeyVersion, complete, servers.length], [version, true, machines]);
    await run("preview", "--expect-no-changes");
    return onlyProvider();
  }

  it("preview of enabling => every stage with the secret's providers, the groups and machines to be replaced; nothing is changed", async () => {
    const text = await run("preview", "--diff");
    for (const line of [
      /"Plugin: spec: \+ file asset kms-etcd-\w+\.yaml"/,
      /"Plugin: secret encryptionconfig: secrets \[identity\]"/,
      /"Read: secret encryptionconfig: secrets \[identity, kms\/v2\/kms-etcd-\w+\]"/,
      /"Read: kops rolling-update of control-plane-a: 2 machines, about 12 min"/,
      /"Write: every machine writes with key version 1"/,
      /"Write: secret encryptionconfig: secrets \[kms\/v2\/kms-etcd-\w+, identity\]"/,
      /"Rewrite: write every object of secrets again"/,
      /"Rewrite: secrets: 6 of 6"/,
      /"Rewrite: KMS: about 84 Status, 6 Encrypt, 2 Decrypt in all"/,
      /"Prune: secret encryptionconfig: secrets \[kms\/v2\/kms-etcd-\w+\]"/,
      /RotationPhase::Prune\]\n\s*expectedSeconds: \d+\n\s*on +: \[\n\s*\[0\]: "control-plane-a"\n\s*\]\n\s*restarts +: 2/,
    ])
      assert.match(text, line);
    assert.deepEqual(changing(), []);
    assert.equal(onlyProvider(), "identity");
  });

  it("up => three rolls, every object with the key, evidence of both machines; up again has nothing to do", async () => {
    await run(...upArgs);
    assert.equal(rolls(0), 3);
    const provider = await assertAt(1);
    assert.match(provider, /^kms\/v2\/kms-etcd-/);
    assert.deepEqual((await planned()).map(withoutIds), promisedPlan());
    const before = changing().length;
    await run(...upArgs);
    assert.equal(changing().length, before);
  });

  it("a rotation whose CLI and provider are killed while machines learn to write => the next up ends it, with the first key's plugin gone", async () => {
    const first = onlyProvider();
    await project.configure({ keyVersion: 2 });
    const held = kops.hold("rolling-update", 2);
    const { child, ended } = project.start(upArgs, environment);
    const { call, drop } = await held;
    child.kill("SIGKILL");
    process.kill(call.parent, "SIGKILL");
    await ended;
    drop();
    assert.deepEqual(Object.keys(kops.stored()), [first]);
    await project.succeed(["cancel", "--yes", "test"]);
    await run(...upArgs);
    const second = await assertAt(2);
    assert.notEqual(second, first);
    assert.equal(kops.world.state.cluster.spec.fileAssets?.length, 1);
  });

  it("a secret that somebody else changes during a run => refused with the providers that differ and no value; put back, the next up ends", async () => {
    await project.configure({ keyVersion: 3 });
    const held = kops.hold("rolling-update", 1);
    const { ended } = project.start(upArgs, environment);
    const { release } = await held;
    const ours = kops.world.state.secret ?? "";
    const hidden = Buffer.alloc(32, 7).toString("base64");
    const key = { aescbc: { keys: [{ name: "theirs", secret: hidden }] } };
    kops.world.state.secret = JSON.stringify({
      kind: "EncryptionConfiguration",
      apiVersion: "apiserver.config.k8s.io/v1",
      resources: [{ resources: ["secrets"], providers: [...providersOf(ours), key] }],
    });
    release();
    const { code, text } = await ended;
    assert.notEqual(code, 0);
    assert.match(text, /somebody else has changed the encryptionconfig secret.*aescbc\/theirs/s);
    assert.ok(!text.includes(hidden));
    kops.world.state.secret = ours;
    await run(...upArgs);
    await assertAt(3);
  });

  it("enabled: false => plaintext after three more rolls; destroy leaves the cluster as it is", async () => {
    await project.configure({ enabled: false });
    const from = kops.calls.length;
    assert.match(await run(...upArgs), /encryption is off/);
    assert.equal(rolls(from), 3);
    assert.equal(onlyProvider(), "identity");
    await project.configure({ protectKeys: false });
    await run(...upArgs);
    const before = changing().length;
    assert.match(await run("destroy", "--yes", "--skip-preview"), /keeps its encryption settings as they are/);
    assert.equal(changing().length, before);
  });

  it("every secret that was replaced => kept for its owner alone; none was ever an argument, or in the state in clear", async () => {
    const kept = join(directory, "backups");
    assert.ok(readdirSync(kept).length >= 6);
    for (const file of readdirSync(kept)) assert.equal(statSync(join(kept, file)).mode & 0o777, 0o600);
    for (const text of commands()) assert.ok(!text.includes("EncryptionConfiguration"));
    const backend = readdirSync(join(project.directory, ".backend"), { recursive: true, withFileTypes: true });
    for (const entry of backend.filter((candidate) => candidate.isFile())) {
      assert.ok(
        !readFileSync(join(entry.parentPath, entry.name), "utf8").includes("an-administrators-token"),
        entry.name,
      );
    }
  });
});

/** The block of the README that shows a plan. */
function promisedPlan(): readonly string[] {
  const blocks = snippets(join("examples", "kops-aws", "README.md"), "text").map(({ text }) => text.trim().split("\n"));
  const plan = blocks.find(([first = ""]) => first.startsWith("Plugin: ")) ?? assert.fail("the README shows no plan");
  return plan.map(withoutIds);
}

function withoutIds(line: string): string {
  return line.replace(/kms-etcd-[0-9a-f]{12}/g, "kms-etcd-ID");
}

function providersOf(text: string): readonly unknown[] {
  const { resources } = JSON.parse(JSON.stringify(parse(text))) as {
    resources: readonly { providers: readonly unknown[] }[];
  };
  return resources[0]?.providers ?? [];
}
