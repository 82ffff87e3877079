import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { startTraffic } from "../../control-plane/client-traffic";
import { pluginInstance } from "../../core/plugin-instance";
import { closeCluster } from "../../rotation/cluster";
import { planRotation } from "../../rotation/plan";
import { type CloudKeys, cloudKeys } from "../full/support/cloud-keys";
import { skipFor } from "../support/skip-for";
import { whyNoSshServer } from "../support/ssh-server";
import { isLoss } from "./support/disturbed-rotation";
import { type RealCluster, realCluster } from "./support/real-cluster";
import { type SshCluster, sshCluster, withoutEncryption } from "./support/ssh-cluster";

/** Three hosts that never heard of encryption, keys in a Key Vault, and nothing but SSH to get there. */
describe("a self-managed cluster over SSH", function () {
  this.timeout(15 * 60_000);
  let cluster: RealCluster;
  let clouds: CloudKeys;
  let ssh: SshCluster;
  const plugin = (version: number) => pluginInstance(clouds.azureKey("seedvault", `k8s-${version}`));

  before(async function () {
    skipFor(whyNoSshServer(), this);
    clouds = await cloudKeys();
    closing.push(() => clouds.close());
    cluster = await realCluster({ staggerSeconds: 5 });
    closing.push(() => cluster.close());
    await cluster.createSecrets(60);
    await withoutEncryption(cluster);
    ssh = await sshCluster(cluster, {
      plugin: { ...(await clouds.azureHosts()), arguments: ["--probe-interval=2s"] },
    });
    closing.push(() => ssh.close());
  });
  const closing: (() => Promise<unknown>)[] = [];
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  async function rotateTo(writer: number | "identity"): Promise<void> {
    const goal = writer === "identity" ? writer : plugin(writer);
    const declared = [1, 2].map(plugin);
    const outcome = await ssh.rotate(goal, { declared });
    assert.equal(outcome.kind, "done", `${outcome.reason}; ${outcome.remedy}\n${cluster.log.join("\n")}`);
    assert.equal(outcome.evidence.complete, true);
    assert.equal(outcome.evidence.method, "etcd");
    assert.deepEqual(await cluster.storedProviders().then((stored) => Object.keys(stored).length), 1);
    process.stdout.write(`      to ${writer}: ${cluster.log.at(-1)}\n`);
  }

  it("a plan => says that each server is set up and restarts, and what will be rewritten; nothing is changed", async () => {
    const opened = await ssh.open();
    try {
      const { fleet, stored } = opened;
      const signal = new AbortController().signal;
      const goal = { ...cluster.goal("identity"), writer: plugin(1), declared: [plugin(1)] };
      const plan = await planRotation({ goal, fleet, stored, signal });
      assert.equal(plan.blocked, undefined);
      const [first] = plan.stages;
      assert.match(first?.summary ?? "", /cp1 is set up for encryption: .*there is no --encryption-provider-config/);
      assert.equal(first?.restarts, 3);
      assert.equal(plan.stages.find(({ stage }) => stage === "Rewrite")?.objects, 60);
    } finally {
      await closeCluster(opened);
    }
    assert.ok(!readFileSync(ssh.manifestFile(0), "utf8").includes("encryption-provider-config"));
    assert.deepEqual(Object.keys(await cluster.storedProviders()), ["plaintext"]);
  });

  it("enable => every server is set up one after the other, every Secret is under the key in the vault", async () => {
    const traffic = startTraffic(cluster.controlPlane, { countUnreachable: false });
    const { failures, requests } = await rotateTo(1)
      .finally(() => traffic.stop())
      .then(() => traffic.report());
    // Each server restarts once: what it answers while it goes down is no loss.
    assert.deepEqual(failures.filter(isLoss), []);
    assert.ok(requests > 100);
    const setUps = cluster.log.filter((line) => line.includes("set the API server up"));
    assert.equal(setUps.length, 3, cluster.log.join("\n"));
    for (const [index] of cluster.controlPlane.hosts.entries()) {
      const text = readFileSync(ssh.manifestFile(index), "utf8");
      assert.match(text, /--encryption-provider-config-automatic-reload=true/);
      const pod = parse(text) as { spec: { volumes: { name: string }[] } };
      assert.deepEqual(
        pod.spec.volumes.map(({ name }) => name),
        ["kms-etcd-config", "kms-etcd-sockets"],
      );
    }
  });

  it("rotate, roll back => without a restart, without a failed request", async () => {
    const before = cluster.controlPlane.hosts.map((host) => cluster.pid(host.name, "kube-apiserver"));
    const traffic = startTraffic(cluster.controlPlane);
    await rotateTo(2)
      .then(() => rotateTo(1))
      .finally(() => traffic.stop());
    assert.deepEqual(traffic.report().failures, []);
    const after = cluster.controlPlane.hosts.map((host) => cluster.pid(host.name, "kube-apiserver"));
    assert.deepEqual(after, before);
  });

  const apiServers = () => cluster.controlPlane.hosts.map((host) => cluster.pid(host.name, "kube-apiserver"));
  const plugins = () => cluster.controlPlane.hosts.map((host) => cluster.pid(host.name, plugin(1).name));
  const starts = () => cluster.log.filter((line) => line.includes(`start ${plugin(1).name}`));

  it("another image of the plugin => the plan says so; one host after the other, no API server restarts, nothing fails", async () => {
    const changed = {
      change: { plugin: { ...ssh.described.plugin, image: `registry.example/plugin@sha256:${"1".repeat(64)}` } },
    };
    const opened = await ssh.open(changed.change);
    const goal = { ...cluster.goal("identity"), writer: plugin(1), declared: [plugin(1)] };
    const signal = new AbortController().signal;
    const plan = await planRotation({ goal, ...opened, signal }).finally(() => closeCluster(opened));
    assert.deepEqual(
      plan.stages.map(({ stage, servers, restarts }) => ({ stage, servers, restarts })),
      [{ stage: "Plugin", servers: ["cp1", "cp2", "cp3"], restarts: 0 }],
    );
    assert.match(
      plan.stages[0]?.summary ?? "",
      /on cp1 runs with other settings than are wanted \(spec\.containers.*image\)/,
    );
    const before = { apiServers: apiServers(), plugins: plugins(), starts: starts().length };
    const traffic = startTraffic(cluster.controlPlane);
    const outcome = await ssh.rotate(plugin(1), {}, changed).finally(() => traffic.stop());
    assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.join("\n")}`);
    assert.deepEqual(traffic.report().failures, []);
    assert.deepEqual(apiServers(), before.apiServers);
    assert.ok(plugins().every((pid, index) => pid !== undefined && pid !== before.plugins[index]));
    assert.equal(starts().length - before.starts, 3, cluster.log.join("\n"));
    assert.equal((await ssh.rotate(plugin(1), {}, changed)).kind, "done");
    assert.equal(starts().length - before.starts, 3, "nothing is left to do");
  });

  it("a plugin that cannot run with its new settings => stops at the first host, and the former settings mend it", async () => {
    const image = `registry.example/plugin@sha256:${"1".repeat(64)}`;
    const good = { change: { plugin: { ...ssh.described.plugin, image } } };
    const bad = { change: { plugin: { ...ssh.described.plugin, image, command: ["/bin/false"] } } };
    const before = plugins();
    const limits = { ...cluster.goal("identity").limits, plugin: 8_000 };
    const outcome = await ssh.rotate(plugin(1), { limits }, bad);
    assert.equal(outcome.kind, "blocked", cluster.log.join("\n"));
    assert.match(`${outcome.reason}`, /cp1.*kms-etcd-|kms-etcd-.*on cp1/);
    assert.deepEqual(plugins().slice(1), before.slice(1), "the others still run as they did");
    const mended = await ssh.rotate(plugin(1), {}, good);
    assert.equal(mended.kind, "done", `${mended.reason}\n${cluster.log.join("\n")}`);
    assert.deepEqual(plugins().slice(1), before.slice(1));
    assert.notEqual(plugins()[0], undefined);
  });

  it("files are root's alone; what is replaced is kept outside of the kubelet's folder", () => {
    for (const [index, host] of cluster.controlPlane.hosts.entries()) {
      assert.equal(statSync(ssh.configFile(index)).mode & 0o777, 0o600);
      const manifests = readdirSync(host.manifestDirectory);
      assert.deepEqual(manifests.sort(), [host.apiServerManifest, `${plugin(1).name}.yaml`].sort());
      for (const name of readdirSync(host.backupDirectory)) {
        assert.equal(statSync(join(host.backupDirectory, name)).mode & 0o077, 0, name);
      }
      const backups = readdirSync(host.backupDirectory).map((name) =>
        readFileSync(join(host.backupDirectory, name), "utf8"),
      );
      assert.ok(backups.some((text) => text.includes("kind: Pod") && !text.includes("encryption-provider-config")));
    }
  });

  it("command lines hold no content: sftp, and the clock", () => {
    const commands = new Set(ssh.servers.flatMap((server) => server.commands()));
    assert.deepEqual([...commands].sort(), ["date -u +%s.%N", "internal-sftp"]);
  });
});
