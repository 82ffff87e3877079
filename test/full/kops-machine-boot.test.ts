import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stringify } from "yaml";
import { pluginInstance } from "../../core/plugin-instance";
import { kopsEndpoint, pluginAsset } from "../../rotation/adapters/kops/plugin-asset";
import { bootMachine, type KopsMachine } from "../fakes/kops/machines/kops-machine";
import { type MachineGround, startMachineGround } from "../fakes/kops/machines/machine-ground";
import { readNodeup } from "../fakes/kops/machines/machine-pods";
import { pythonOrSkip } from "../fakes/kops/machines/python-or-skip";
import { mountHook, seedConfiguration, seedManifest } from "../rotation/adapters/kops/seed-002";

/** How long a machine that can't start is watched for. The others here are ready in a fraction of it. */
const patience = 60_000;
const readyWithin = 300_000;

/**
 * What makes a machine of the tests join, and what keeps it from it: a real API server, and the plugin of its file assets, in the folders of
 * one machine. Fast enough to show, without kops, that a mistake in the order is noticed.
 */
describe("a control-plane machine of a kOps cluster", function () {
  this.timeout(20 * 60_000);
  let ground: MachineGround;
  let closing = async () => {};
  let keyArn: string;
  let born = 0;
  const machines: KopsMachine[] = [];

  before(async function () {
    ground = await startMachineGround(await pythonOrSkip(this), "e2e.k8s.local");
    closing = ground.close;
    keyArn = await ground.kms.createKey();
  });
  afterEach(async () => {
    for (const machine of machines.splice(0)) await machine.terminate();
  });
  after(() => closing());

  function boot(nodeup: object, secret: string | undefined): KopsMachine {
    born += 1;
    const directory = join(ground.directory, "machines", `i-${born}`);
    mkdirSync(directory, { recursive: true });
    const text = stringify(nodeup);
    const place = { id: `i-${born}`, address: `127.20.0.${10 + born}`, directory };
    const machine = bootMachine(ground.kind, place, readNodeup(text), secret);
    machines.push(machine);
    return machine;
  }

  async function isReadyWithin(machine: KopsMachine, limit: number): Promise<boolean> {
    const until = Date.now() + limit;
    while (Date.now() < until) {
      if (await machine.isReady()) return true;
      await sleep(500);
    }
    return false;
  }

  async function create(machine: KopsMachine, name: string): Promise<void> {
    const body = { apiVersion: "v1", kind: "Secret", metadata: { name }, stringData: { text: name } };
    const { status, text } = await machine.request("POST", "/api/v1/namespaces/default/secrets", body);
    assert.equal(status, 201, text);
  }

  const server = { securePort: 8443 };
  const plugin = () => pluginInstance({ kind: "aws", keyArn, region: "us-east-1" });
  const asset = () => pluginAsset(plugin(), { image: "registry.example/kms-etcd-plugin:1" }, ["ControlPlane"], 8083);
  const configuration = () =>
    stringify({
      apiVersion: "apiserver.config.k8s.io/v1",
      kind: "EncryptionConfiguration",
      resources: [
        {
          resources: ["secrets"],
          providers: [
            { kms: { apiVersion: "v2", name: "ours", endpoint: kopsEndpoint(plugin()), timeout: "3s" } },
            { identity: {} },
          ],
        },
      ],
    });
  const encrypted = { KubeAPIServer: server, EncryptionConfigSecretHash: "as kops has it" };

  it("without encryption => ready, and it says that it has loaded nothing", async () => {
    const machine = boot({ APIServerConfig: { KubeAPIServer: server } }, configuration());
    assert.ok(await isReadyWithin(machine, readyWithin));
    await create(machine, "plain");
    assert.deepEqual(await ground.storedProviders(), { plaintext: 1 });
  });

  it("with the plugin and the secret that names it => ready, the pod too, and what it stores begins with the key's provider", async () => {
    const machine = boot({ APIServerConfig: encrypted, FileAssets: [asset()] }, configuration());
    assert.ok(await isReadyWithin(machine, readyWithin));
    for (const pod of machine.pods) assert.ok(await machine.isPodReady(pod));
    await create(machine, "ours");
    assert.match(await ground.storedValue("ours"), /^k8s:enc:kms:v2:ours:/);
    const metrics = await machine.request("GET", "/metrics");
    assert.match(metrics.text, /apiserver_encryption_config_controller_last_config_info\{[^}]*hash="sha256:/);
    assert.ok(ground.kms.calls.length > 0);
    for (const { keyId, status } of ground.kms.calls) assert.deepEqual([keyId ?? keyArn, status], [keyArn, 200]);
    // A machine without this key could not list Secrets, and would not be ready.
    assert.equal((await machine.request("DELETE", "/api/v1/namespaces/default/secrets/ours")).status, 200);
  });

  it("with a secret that names a plugin which its file assets lack => never ready", async () => {
    const machine = boot({ APIServerConfig: encrypted, FileAssets: [] }, configuration());
    assert.equal(await isReadyWithin(machine, patience), false);
  });

  it("after the upstream guide => ready where the hook mounts the socket's folder, and never without it", async () => {
    const content = seedManifest.replace(/arn:aws:kms:\S+/, keyArn).replace("--region=us-west-2", "--region=us-east-1");
    const FileAssets = [{ path: "/etc/kubernetes/manifests/aws-encryption-provider.yaml", content }];
    const APIServerConfig = { ...encrypted, KubeAPIServer: { ...server, featureGates: { KMSv1: "true" } } };
    const machine = boot({ APIServerConfig, FileAssets, Hooks: [[], [mountHook]] }, seedConfiguration);
    assert.ok(await isReadyWithin(machine, readyWithin));
    await create(machine, "guide");
    assert.match(await ground.storedValue("guide"), /^k8s:enc:kms:v1:aws-encryption-provider:/);
    await machine.terminate();
    const without = boot({ APIServerConfig, FileAssets, Hooks: [[], []] }, seedConfiguration);
    assert.equal(await isReadyWithin(without, patience), false);
  });
});
