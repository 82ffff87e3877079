import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../e2e/support/eventually";
import { skipFor } from "../support/skip-for";
import {
  type AzureKubelets,
  assertDone,
  azureKubelets,
  inSeconds,
  type Writer,
} from "./support/kubelets/azure-kubelets";
import type { KubeletPod } from "./support/kubelets/kubelet-cluster";
import { whyNoKubelets } from "./support/kubelets/why-no-kubelets";

/** Everything as on a real control plane but the cloud: kubeadm's layout, kubelets, containers, images, etcd with three members, OpenSSH. */
describe("a kubeadm cluster on real kubelets, over SSH", function () {
  this.timeout(40 * 60_000);
  const secrets = 60;
  let kubelets: AzureKubelets;
  let closing = async () => {};
  const say = (text: string) => process.stdout.write(`      ${text}\n`);

  before(async function () {
    skipFor(await whyNoKubelets(), this);
    kubelets = await azureKubelets({ hosts: 3, secrets });
    closing = kubelets.close;
    say(kubelets.log.join(", "));
  });
  after(() => closing());

  const hosts = () => [...kubelets.machines.entries()].map(([host, machine]) => ({ host, ...machine }));
  const podsOf = async (host: number, start: string) =>
    (await kubelets.pods(host)).filter(({ metadata }) => metadata.name.startsWith(start));
  const startOf = (pod: KubeletPod | undefined) => pod?.status.containerStatuses?.[0]?.state.running?.startedAt;
  const apiServerStarts = () =>
    Promise.all(hosts().map(async ({ host }) => startOf((await podsOf(host, "kube-apiserver"))[0]) ?? ""));

  async function rotated(to: Writer, countUnreachable: boolean) {
    const seen = await kubelets.underClients(() => kubelets.rotate(to), { countUnreachable });
    await assertDone(kubelets, seen, to);
    const { requests, failures, slowest } = seen.traffic;
    say(
      `to ${to}: ${seen.seconds.toFixed(1)} s; ${requests} requests, the slowest ${slowest} ms, ${failures.length} failed`,
    );
    return seen;
  }

  it("the hosts are as kubeadm makes them: API server and etcd as static pods, encryption not heard of", async () => {
    for (const { host, name, outside } of hosts()) {
      const names = (await kubelets.pods(host)).map(({ metadata }) => metadata.name).sort();
      assert.deepEqual(names, [`etcd-${name}`, `kube-apiserver-${name}`]);
      assert.ok(!readFileSync(outside("/etc/kubernetes/manifests/kube-apiserver.yaml"), "utf8").includes("encryption"));
    }
    assert.deepEqual(await kubelets.stored(), { plaintext: secrets });
  });

  it("enable => each kubelet restarts its API server, seconds after the edit, one after the other, and the gates wait for it", async () => {
    const { absences, said } = await rotated(1, false);
    assert.equal(said.split("set the API server up").length - 1, 3, said);
    const inOrder = [...absences].sort((a, b) => a.from - b.from);
    assert.deepEqual([...new Set(inOrder.map(({ host }) => host))].sort(), ["cp1", "cp2", "cp3"], said);
    // Invariant 3: none goes before the one before it is back.
    for (const [index, { host, from }] of inOrder.entries()) {
      const before = inOrder[index - 1];
      assert.ok(before === undefined || before.host === host || before.to <= from, JSON.stringify(inOrder));
    }
    const starts = await apiServerStarts();
    for (const [host, { name, manifestDirectory, apiServerManifest }] of kubelets.controlPlane.hosts.entries()) {
      const edited = statSync(join(manifestDirectory, apiServerManifest)).mtimeMs;
      const back = Math.max(...absences.filter((absence) => absence.host === name).map(({ to }) => to));
      const started = Date.parse(starts[host] ?? "");
      say(
        `${name}: new container ${inSeconds(started - edited)} after the edit, ready ${inSeconds(back - edited)} after it`,
      );
    }
  });

  it("the plugin => a pod of every kubelet's, ready by its probes, with the seeds' labels; its log names vault, key and address", async () => {
    const plugin = kubelets.plugin(1).name;
    for (const { host, name } of hosts()) {
      await eventually(`${name} has the plugin ready`, 120, async () => {
        const [pod] = await podsOf(host, plugin);
        return pod?.status.containerStatuses?.[0]?.ready === true;
      });
      const [pod] = await podsOf(host, plugin);
      assert.deepEqual(pod?.metadata.labels, { tier: "control-plane", component: "azure-kms-provider" });
      assert.equal(pod.spec.hostNetwork, true);
      assert.equal(pod.status.containerStatuses?.[0]?.restartCount, 0);
      // As kubectl get pods and kubectl logs do: through the API server, which asks the kubelet.
      const path = `/api/v1/namespaces/kube-system/pods/${plugin}-${name}`;
      await eventually(
        `${path} is to be seen`,
        180,
        async () => (await kubelets.request(0, "GET", path)).status === 200,
      );
      const { status, text } = await kubelets.request(0, "GET", `${path}/log`);
      assert.equal(status, 200, text);
      for (const part of ["k8skv", "k8s-1", `/run/kms-etcd/${plugin}.socket`]) assert.ok(text.includes(part), text);
    }
  });

  it("rotate => no API server restarts, no request fails, the old plugin's container is gone", async () => {
    const before = await apiServerStarts();
    const { traffic, absences } = await rotated(2, true);
    assert.deepEqual([traffic.failures, absences], [[], []]);
    assert.deepEqual(await apiServerStarts(), before);
    for (const { host, name } of hosts()) {
      const old = kubelets.plugin(1).name;
      await eventually(`${name} has no old plugin`, 60, async () => (await podsOf(host, old)).length === 0);
      assert.equal((await podsOf(host, kubelets.plugin(2).name)).length, 1);
    }
  });

  it("other settings for the plugin => each kubelet starts it anew, one after the other; no API server restarts, no request fails", async () => {
    const before = await apiServerStarts();
    const { name } = kubelets.plugin(2);
    const startsOf = () => Promise.all(hosts().map(async ({ host }) => startOf((await podsOf(host, name))[0]) ?? ""));
    const former = await startsOf();
    const settings = { ...kubelets.described.plugin, arguments: ["--probe-interval=3s"] };
    const seen = await kubelets.underClients(() => kubelets.rotate(2, { plugin: settings }));
    await assertDone(kubelets, seen, 2);
    assert.deepEqual(seen.traffic.failures, []);
    assert.deepEqual(await apiServerStarts(), before);
    const starts = await startsOf();
    for (const [host, start] of starts.entries()) {
      const one = Date.parse(start);
      assert.ok(one > Date.parse(former[host] ?? ""), seen.said);
      assert.ok(host === 0 || one > Date.parse(starts[host - 1] ?? ""), `${starts.join()}\n${seen.said}`);
    }
    say(`other settings on ${starts.length} hosts in ${seen.seconds.toFixed(1)} s`);
  });

  it("disable => plaintext everywhere, no plugin left, and still no restart", async () => {
    const before = await apiServerStarts();
    const { traffic } = await rotated("identity", true);
    assert.deepEqual(traffic.failures, []);
    assert.deepEqual(await apiServerStarts(), before);
    for (const { host, name, outside } of hosts()) {
      assert.deepEqual(readdirSync(outside("/etc/kubernetes/manifests")).sort(), ["etcd.yaml", "kube-apiserver.yaml"]);
      await eventually(`${name} has no plugin`, 60, async () => (await kubelets.pods(host)).length === 2);
    }
  });

  it("command lines hold no content: sftp, and the clock", () => {
    const commands = new Set(kubelets.ssh.flatMap((server) => server.commands()));
    assert.deepEqual([...commands].sort(), ["date -u +%s.%N", "internal-sftp"]);
  });
});
