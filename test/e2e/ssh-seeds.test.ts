import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pluginInstance } from "../../core/plugin-instance";
import { providerName } from "../../core/provider-name";
import { defaultLimits } from "../../rotation/goal";
import { type CloudKeys, cloudKeys } from "../full/support/cloud-keys";
import { seedComment, seedConfiguration, seedPod } from "../rotation/adapters/hosts/seed-000";
import { skipFor } from "../support/skip-for";
import { socketAnswers } from "../support/socket-answers";
import { whyNoSshServer } from "../support/ssh-server";
import { type RealCluster, realCluster } from "./support/real-cluster";
import { type SshCluster, sshCluster } from "./support/ssh-cluster";

const secrets = 20;

/**
 * A cluster that was set up by hand as the upstream plugin's instructions say: KMS v1 without an apiVersion, the plugin as a
 * static pod of its own, the encryption configuration in the kubelet's folder. Our plugin runs in the upstream image's place,
 * with that image's manifest and flags.
 */
describe("a cluster set up by hand for Azure/kubernetes-kms, taken over through SSH", function () {
  this.timeout(20 * 60_000);
  let cluster: RealCluster;
  let clouds: CloudKeys;
  let ssh: SshCluster;
  const hosts = () => cluster.controlPlane.hosts;
  const socketOf = (index: number) => join(cluster.directory, `o${index}`, "azurekms.socket");
  const theirConfig = (index: number) => join(hosts()[index]?.manifestDirectory ?? "", "encryptionconfig.yaml");
  const configText = (index: number) => seedConfiguration(socketOf(index));
  const next = () => pluginInstance(clouds.azureKey("k8skv", "k8s-next"));

  before(async function () {
    skipFor(whyNoSshServer(), this);
    clouds = await cloudKeys();
    closing.push(() => clouds.close());
    const settings = await clouds.azureHosts();
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    closing.push(() => cluster.close());
    ssh = await sshCluster(cluster, { plugin: { ...settings, arguments: ["--probe-interval=2s"] } });
    closing.push(() => ssh.close());
    for (const [index, host] of hosts().entries()) {
      mkdirSync(join(cluster.directory, `o${index}`), { mode: 0o700 });
      const program = {
        ...settings,
        image: "mcr.microsoft.com/oss/azure/kms/keyvault:v0.5.0",
        command: cluster.controlPlane.pluginCommand,
        // Hosts of a test share one network.
        arguments: ["--healthz-port=0", "--metrics-addr=0"],
      };
      const pod = seedPod(clouds.azureKey("k8skv", "k8s"), program, socketOf(index));
      writeFileSync(join(host.manifestDirectory, "azure-kms-provider.yaml"), pod);
      while (!(await socketAnswers(socketOf(index)))) await delay(200);
      writeFileSync(theirConfig(index), configText(index));
    }
  });
  const closing: (() => Promise<unknown>)[] = [];
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  const rotate = (ready: number) => ssh.rotate(next(), { limits: { ...defaultLimits, ready } });

  async function editManifest(index: number, change: (text: string) => string): Promise<void> {
    const file = ssh.manifestFile(index);
    writeFileSync(file, change(readFileSync(file, "utf8")));
  }

  async function untilReady(index: number): Promise<void> {
    const { status } = (await cluster.request(index, "GET", "/readyz").catch(() => undefined)) ?? {};
    if (status === 200) return;
    await delay(500);
    return untilReady(index);
  }

  it("KMS v1 on a server without its gate => the server does not start, and it is said why and what to add", async () => {
    const flag = /--encryption-provider-config=\S+/;
    await editManifest(0, (text) => text.replace(flag, `--encryption-provider-config=${theirConfig(0)}`));
    for (;;) {
      const gone = await cluster.request(0, "GET", "/readyz").then(
        () => false,
        () => true,
      );
      if (gone) break;
      await delay(200);
    }
    const outcome = await rotate(8_000);
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /cp1: .*uses KMS v1, which Kubernetes 1\.29 and later refuse/);
    assert.match(outcome.remedy ?? "", /add --feature-gates=KMSv1=true/);
    assert.ok(!readFileSync(ssh.manifestFile(0), "utf8").includes("kms-etcd.io/set-up"), "nothing was changed");
    const gate = (text: string) =>
      text.replace(
        "        - --authorization-mode",
        "        - --feature-gates=KMSv1=true\n        - --authorization-mode",
      );
    await editManifest(0, gate);
    await editManifest(1, (text) => gate(text).replace(flag, `--encryption-provider-config=${theirConfig(1)}`));
    for (const [index] of hosts().entries()) await untilReady(index);
    await cluster.createSecrets(secrets);
    for (;;) {
      // The kubelet's stand-in may not have restarted the second server yet.
      const stored = await cluster.storedProviders();
      if (stored["k8s:enc:kms:v1:azurekmsprovider"] !== undefined) break;
      await delay(500);
    }
  });

  it("with the gate => taken over byte for byte, out of the kubelet's folder, and moved to KMS v2 under another key", async () => {
    const outcome = await rotate(defaultLimits.ready);
    assert.equal(outcome.kind, "done", `${outcome.reason}; ${outcome.remedy}\n${cluster.log.join("\n")}`);
    const provider = providerName("v2", next().key, "secrets");
    assert.deepEqual(await cluster.storedProviders(), { [`k8s:enc:kms:v2:${provider}`]: secrets });
    for (const [index, host] of hosts().entries()) {
      assert.ok(!existsSync(theirConfig(index)));
      const backups = readdirSync(host.backupDirectory).map((name) =>
        readFileSync(join(host.backupDirectory, name), "utf8"),
      );
      assert.ok(backups.includes(configText(index)), "their configuration, byte for byte");
      const config = readFileSync(ssh.configFile(index), "utf8");
      assert.ok(!config.includes("azurekmsprovider"));
      assert.ok(config.includes(seedComment), "their comment stays");
      assert.ok(existsSync(ssh.manifestFile(index, "azure-kms-provider.yaml")), "their plugin is theirs to remove");
    }
    for (let index = 0; index < secrets; index += 1) {
      const { status } = await cluster.request(index % 2, "GET", `/api/v1/namespaces/default/secrets/s${index}`);
      assert.equal(status, 200);
    }
  });
});
