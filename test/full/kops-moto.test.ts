import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { writerOf } from "../../core/encryption-configuration";
import { type KopsCluster, readCluster } from "../../rotation/adapters/kops/cluster-spec";
import { createKopsCli, type MachineLook, requireKopsVersion } from "../../rotation/adapters/kops/kops-cli";
import type { Kops } from "../../rotation/adapters/kops/kops-ports";
import { createKopsRunner, type KopsCommand, type RunKopsCommand } from "../../rotation/adapters/kops/kops-process";
import { type KopsStored, runKops } from "../../rotation/adapters/kops/run-kops";
import { createSecretBackups } from "../../rotation/adapters/kops/secret-backups";
import { nodeupSecretHash, readSecretText, secretHash } from "../../rotation/adapters/kops/secret-text";
import { findTool } from "../../tools/find-tool";
import { findMotoPython } from "../fakes/aws/moto-python";
import { type MotoCloud, machineImage, startMotoCloud } from "../fakes/kops/moto-cloud";
import { awsPlugin, kopsGoal } from "../rotation/adapters/kops/kops-goals";

const name = "e2e.k8s.local";
const group = "control-plane-us-east-1a";

interface NodeupConfig {
  readonly APIServerConfig?: { readonly EncryptionConfigSecretHash?: string };
  readonly FileAssets?: readonly { readonly content: string; readonly path: string }[];
}

/**
 * The real kops against moto's S3, EC2, IAM and autoscaling. Machines are instances of moto's; what one has loaded is what nodeup would
 * have given it when it was first seen, from the real nodeup configuration in the store. No API server runs: rolls are --cloudonly
 * here, which the adapter itself never says, and validation is left out.
 */
describe("the kOps engine with the real kops", function () {
  this.timeout(30 * 60_000);
  let directory: string;
  let cloud: MotoCloud;
  let kops: Kops;
  let runner: RunKopsCommand;
  const commands: KopsCommand[] = [];
  const machines = new Map<string, string | undefined>();
  const objects = new Map<string, string>();
  const never = new AbortController().signal;

  const told = async () =>
    parse((await cloud.object(`${name}/igconfig/control-plane/${group}/nodeupconfig.yaml`)) ?? "{}") as NodeupConfig;
  const secretInStore = async () => {
    const stored = await cloud.object(`${name}/secrets/encryptionconfig`);
    if (stored === undefined) return undefined;
    return Buffer.from((JSON.parse(stored) as { Data: string }).Data, "base64").toString("utf8");
  };

  const machineLook: MachineLook = {
    async look(instances, known) {
      for (const { id } of instances) {
        if (machines.has(id)) continue;
        const config = await told();
        const hasEncryption = config.APIServerConfig?.EncryptionConfigSecretHash !== undefined;
        const text = hasEncryption ? await secretInStore() : undefined;
        for (const provider of providersIn(text)) {
          const endpoint = provider.kind === "kms" ? provider.endpoint.replace("unix://", "") : undefined;
          const served = config.FileAssets?.some((asset) => asset.content.includes(`--listen=${endpoint}`)) === true;
          assert.ok(endpoint === undefined || served, `${id} boots without the plugin for ${endpoint}`);
        }
        machines.set(id, text);
      }
      return instances.map(({ id }) => {
        const text = machines.get(id);
        const hash = text === undefined ? undefined : secretHash(text);
        const found = hash === undefined ? undefined : known.get(hash);
        return {
          unreachable: undefined,
          version: "v1.36.0",
          processStartedAt: [...machines.keys()].indexOf(id) + 1,
          loaded:
            hash === undefined
              ? { kind: "none" as const }
              : {
                  kind: "hash" as const,
                  hash,
                  known: found === undefined ? undefined : { text: found, config: readSecretText(found) },
                },
        };
      });
    },
    strangers: async () => [],
  };

  const stored: KopsStored = {
    async measure(targets, servers) {
      const keys = [...objects.values()].map((provider) => {
        const target = targets.find((candidate) => candidate.key.provider === provider);
        return { key: target?.key ?? { provider }, objects: 1 };
      });
      const resources = [{ resource: "secrets", objects: objects.size, bytes: 0, keys, unknown: 0 }];
      return { method: "etcd", startedAt: 1, finishedAt: 1, servers, resources };
    },
    async rewrite(_targets, servers) {
      for (const object of objects.keys()) objects.set(object, writerIn(machines.get(servers[0] ?? "")));
      return { offered: objects.size, rewritten: objects.size, failures: [] };
    },
    readThrough: async (state) => ({ state, objects: objects.size, failures: [] }),
  };

  before(async function () {
    const python = await findMotoPython();
    if (python === undefined) this.skip();
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-kops-"));
    closing.push(async () => rmSync(directory, { recursive: true, force: true }));
    mkdirSync(join(directory, "home"));
    cloud = await startMotoCloud(python, join(directory, "home"));
    closing.push(() => cloud.stop());
    const plain = createKopsRunner((await findTool("kops")).path, cloud.environment);
    runner = (command) => {
      commands.push(command);
      return plain(command);
    };
    const options = {
      cluster: name,
      stateStore: cloud.stateStore,
      run: runner,
      backups: createSecretBackups(join(directory, "backups")),
      machines: machineLook,
      rollArguments: ["--cloudonly", "--control-plane-interval", "1s"],
    };
    kops = { ...createKopsCli(options), validate: async () => undefined };
    await ok(
      ["create", "cluster", name, "--zones=us-east-1a", "--control-plane-count=1", "--networking=cni"],
      [
        ...["--channel=none", "--kubernetes-version=1.36.0", `--image=${machineImage}`],
        ...["--control-plane-size=m5.large", "--node-size=m5.large"],
      ],
    );
    await ok(["update", "cluster", "--name", name, "--yes", "--create-kube-config=false"]);
    for (let index = 0; index < 3; index += 1) objects.set(`s${index}`, "identity");
  });
  const closing: (() => Promise<unknown>)[] = [];
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  async function ok(args: readonly string[], more: readonly string[] = []): Promise<string> {
    const all = [...args, ...more, "--state", cloud.stateStore];
    const { code, stdout, stderr } = await runner({ args: all, timeoutMs: 10 * 60_000, signal: never });
    assert.equal(code, 0, stderr);
    return stdout;
  }

  const spec = async (): Promise<KopsCluster> =>
    readCluster(JSON.parse(await ok(["get", "cluster", "--name", name, "-o", "json"])));

  async function rotate(version: number | "identity") {
    const events: string[] = [];
    const goal = kopsGoal(version);
    const onEvent = (event: { readonly message: string }) => events.push(event.message);
    const outcome = await runKops({ goal, kops, stored, onEvent, signal: never });
    assert.equal(outcome.kind, "done", `${outcome.reason}\n${events.join("\n")}`);
    return events.filter((message) => message.startsWith("kops rolling-update")).length;
  }

  it("its version => found, and an older one than the cluster's Kubernetes is refused", async () => {
    assert.equal(await requireKopsVersion(runner, "1.36.0", never), "1.36.2");
    await assert.rejects(
      requireKopsVersion(runner, "1.37.0", never),
      /is older than the cluster's Kubernetes 1\.37\.0/,
    );
  });

  it("enabling => three rolls, the plugin and the secret's hash in the machines' own configuration", async () => {
    const before = await spec();
    assert.equal(await rotate(1), 3);
    const config = await told();
    const secret = (await secretInStore()) ?? "";
    assert.equal(config.APIServerConfig?.EncryptionConfigSecretHash, nodeupSecretHash(secretHash(secret)));
    assert.ok(config.FileAssets?.some(({ path }) => path.endsWith(`/${awsPlugin(1).name}.yaml`)));
    assert.equal(new Set(objects.values()).size, 1);
    const { encryptionConfig, fileAssets, ...rest } = (await spec()).spec;
    assert.deepEqual([encryptionConfig, fileAssets?.length, rest], [true, 1, before.spec]);
  });

  it("a rotation => three rolls; the old plugin is gone, the new one there; again => nothing", async () => {
    assert.equal(await rotate(2), 3);
    // kOps has files of its own there too.
    const all = (await told()).FileAssets?.map(({ path }) => path) ?? [];
    const paths = all.filter((path) => path.startsWith("/etc/kubernetes/manifests/"));
    assert.deepEqual(paths, [`/etc/kubernetes/manifests/${awsPlugin(2).name}.yaml`]);
    const changing = () => commands.filter(({ args }) => /--yes|--force|^(create|replace)/.test(args.join(" "))).length;
    const before = changing();
    assert.equal(await rotate(2), 0);
    assert.equal(changing(), before);
  });

  it("every secret that was replaced => kept, for its owner alone; none was ever an argument", () => {
    const backups = readdirSync(join(directory, "backups"));
    assert.ok(backups.length >= 5, backups.join());
    for (const file of backups) assert.equal(statSync(join(directory, "backups", file)).mode & 0o777, 0o600);
    for (const { args } of commands) assert.ok(!args.join(" ").includes("EncryptionConfiguration"));
  });
});

function providersIn(text: string | undefined) {
  return text === undefined ? [] : (readSecretText(text).blocks[0]?.providers ?? []);
}

function writerIn(text: string | undefined): string {
  return writerOf(providersIn(text));
}
