import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { parse } from "yaml";
import { stateLayout } from "../../control-plane/state-layout";
import { type PluginInstance, pluginInstance } from "../../core/plugin-instance";
import { firstPluginPorts } from "../../core/plugin-static-pod";
import { providerName } from "../../core/provider-name";
import { RotationStage } from "../../core/rotation-stage";
import { findTool } from "../../tools/find-tool";
import type { RealCluster } from "../e2e/support/real-cluster";
import type { SshCluster } from "../e2e/support/ssh-cluster";
import { skipFor } from "../support/skip-for";
import { socketAnswers } from "../support/socket-answers";
import { whyNoSshServer } from "../support/ssh-server";
import { type GuidedCluster, guidedCluster, guidedConfiguration, upstreamGuides } from "./support/upstream-guides";

const run = promisify(execFile);
const secrets = 12;

/**
 * The rotation that the upstream plugins' guides write down, step by step: after each the tests look at every host as a person
 * would who follows the guide. Both plugins keep the upstream program's flags; ours runs in its place. Servers restart.
 */
for (const [name, guide] of Object.entries(upstreamGuides)) {
  describe(`the rotation of ${name}'s guide, step by step on every host`, function () {
    this.timeout(30 * 60_000);
    let cluster: RealCluster;
    let ssh: SshCluster;
    let guided: GuidedCluster;
    let next: PluginInstance;
    let kubectl: string;
    let close = () => Promise.resolve();

    const hosts = () => cluster.controlPlane.hosts;
    const socketOf = (index: number) => guided.socketOf(index);
    const manifest = (index: number, file: string) => readFileSync(ssh.manifestFile(index, file), "utf8");
    const theirs = `k8s:enc:kms:v1:${guide.provider}`;
    const ours = () => `k8s:enc:kms:v2:${nextProvider()}`;
    const nextProvider = () => providerName("v2", next.key, "secrets");

    before(async function () {
      skipFor(whyNoSshServer(), this);
      kubectl = (await findTool("kubectl")).path;
      guided = await guidedCluster(guide, secrets);
      close = () => guided.close();
      ({ cluster, ssh } = guided);
      next = pluginInstance(guide.key(guided.clouds, 2));
    });
    after(() => close());

    const isNew = (index: number, before: number | undefined) => {
      const pid = cluster.pid(hosts()[index]?.name ?? "", "kube-apiserver");
      return pid !== undefined && pid !== before;
    };
    const isReady = async (index: number) =>
      (await cluster.request(index, "GET", "/readyz").catch(() => undefined))?.status === 200;
    const pids = () => hosts().map((host) => cluster.pid(host.name, "kube-apiserver"));

    /** Goes on up to the stage, and says how often each host's API server was restarted for it. */
    async function upTo(advanceTo: RotationStage): Promise<readonly number[]> {
      const from = cluster.log.length;
      const outcome = await ssh.rotate(next, { advanceTo });
      const said = cluster.log.slice(from);
      assert.equal(outcome.kind, "done", `${outcome.reason}; ${outcome.remedy}\n${said.join("\n")}`);
      return hosts().map((host) => said.filter((line) => line.includes(`${host.name}: restart the API server`)).length);
    }

    /** The names of the providers in the order of the file that the API server is told to read. */
    function providersAt(index: number): readonly string[] {
      const flag = /--encryption-provider-config=(\S+)/.exec(manifest(index, hosts()[index]?.apiServerManifest ?? ""));
      assert.equal(flag?.[1], ssh.configFile(index));
      assert.equal(statSync(ssh.configFile(index)).mode & 0o777, 0o600);
      const { resources } = parse(readFileSync(ssh.configFile(index), "utf8")) as {
        resources: { providers: Record<string, { name?: string }>[] }[];
      };
      return (resources[0]?.providers ?? []).map((provider) => provider["kms"]?.name ?? Object.keys(provider)[0] ?? "");
    }

    /** As the guides validate: `kubectl get secret NAME -o yaml` through each server, and what it says is what was written. */
    async function assertReadable(): Promise<void> {
      const kubeconfig = stateLayout(cluster.controlPlane.stateDirectory).kubeconfigFile;
      for (const [index, host] of hosts().entries()) {
        assert.ok(await isReady(index), host.name);
        const args = ["--kubeconfig", kubeconfig, "--server", host.apiServerUrl, "get", "secret", `s${index}`];
        const { stdout } = await run(kubectl, [...args, "-o", "yaml"]);
        const { data } = parse(stdout) as { data: { value: string } };
        assert.equal(Buffer.from(data.value, "base64").toString(), `plaintext-${index}`);
      }
    }

    it("before: every value in etcd is under the guide's own provider", async () => {
      assert.deepEqual(await cluster.storedProviders(), { [theirs]: secrets });
      await assertReadable();
    });

    it("a second plugin with the new key => its own pod, socket and ports on every host, beside the first one, which is untouched", async () => {
      await upTo(RotationStage.Plugin);
      for (const index of hosts().keys()) {
        assert.equal(manifest(index, `${guide.pod}.yaml`), guided.pods[index]);
        const text = manifest(index, `${next.name}.yaml`);
        assert.equal(statSync(ssh.manifestFile(index, `${next.name}.yaml`)).mode & 0o777, 0o600);
        const pod = parse(text) as {
          metadata: { name: string; labels: object };
          spec: { containers: { image: string; ports: { containerPort: number }[] }[] };
        };
        assert.notEqual(pod.metadata.name, guide.pod);
        assert.deepEqual(pod.metadata.labels, { tier: "control-plane", component: guide.pod });
        const [container] = pod.spec.containers;
        assert.equal(container?.image, guide.image);
        assert.equal(container.ports[0]?.containerPort, firstPluginPorts(next.key).health + 1);
        assert.ok(!text.includes(socketOf(index)));
        const directory = ssh.described.hosts[index]?.layout.pluginSocketDirectory ?? "";
        for (const socket of [socketOf(index), join(directory, next.socketFile)]) {
          assert.ok(await socketAnswers(socket), socket);
        }
        assert.deepEqual(providersAt(index), [guide.provider, "identity"]);
      }
      assert.deepEqual(await cluster.storedProviders(), { [theirs]: secrets });
      await assertReadable();
    });

    it("the new provider as second, all API servers restarted => every host can read with both, and writes with the old one", async () => {
      const before = pids();
      assert.deepEqual(await upTo(RotationStage.Read), [1, 1]);
      for (const index of hosts().keys()) {
        const [first, ...others] = providersAt(index);
        assert.deepEqual([first, [...others].sort()], [guide.provider, ["identity", nextProvider()].sort()]);
        assert.ok(isNew(index, before[index]));
      }
      assert.deepEqual(await cluster.storedProviders(), { [theirs]: secrets });
      await assertReadable();
    });

    it("the order switched, all restarted again => new values are under the new key, the old ones stay and are readable", async () => {
      const before = pids();
      assert.deepEqual(await upTo(RotationStage.Write), [1, 1]);
      for (const index of hosts().keys()) {
        assert.equal(providersAt(index)[0], nextProvider());
        assert.ok(providersAt(index).includes(guide.provider));
        assert.ok(isNew(index, before[index]));
        const body = { apiVersion: "v1", kind: "Secret", metadata: { name: `new-${index}` } };
        const { status } = await cluster.request(index, "POST", "/api/v1/namespaces/default/secrets", body);
        assert.equal(status, 201);
      }
      assert.deepEqual(await cluster.storedProviders(), { [theirs]: secrets, [ours()]: hosts().length });
      await assertReadable();
    });

    it("everything rewritten => every value in etcd is under the new key; no configuration is touched, nothing restarts", async () => {
      const before = [pids(), hosts().map((_, index) => readFileSync(ssh.configFile(index), "utf8"))];
      assert.deepEqual(await upTo(RotationStage.Verify), [0, 0]);
      assert.deepEqual(await cluster.storedProviders(), { [ours()]: secrets + hosts().length });
      assert.deepEqual([pids(), hosts().map((_, index) => readFileSync(ssh.configFile(index), "utf8"))], before);
      await assertReadable();
    });

    it("the old provider removed => the new one alone on every host, everything readable; the guide's own pod is left to whoever made it", async () => {
      const before = pids();
      assert.deepEqual(await upTo(RotationStage.Prune), [1, 1]);
      for (const index of hosts().keys()) {
        assert.deepEqual(providersAt(index), [nextProvider()]);
        assert.ok(isNew(index, before[index]));
        assert.equal(manifest(index, `${guide.pod}.yaml`), guided.pods[index]);
      }
      assert.deepEqual(await cluster.storedProviders(), { [ours()]: secrets + hosts().length });
      await assertReadable();
    });

    it("no key, configuration or content of a Secret => on a command line, or in what the engine and sshd have said", () => {
      const privateKey = ssh.described.ssh.privateKey?.split("\n").at(2) ?? assert.fail("no key");
      const commands = ssh.servers.flatMap((server) => server.commands());
      assert.deepEqual([...new Set(commands)].sort(), ["date -u +%s.%N", "internal-sftp"]);
      const logs = ssh.servers.map(({ privateKeyFile }) =>
        readFileSync(join(privateKeyFile, "..", "sshd.log"), "utf8"),
      );
      for (const text of [...cluster.log, ...logs]) {
        for (const hidden of [
          "EncryptionConfiguration",
          "plaintext-1",
          privateKey,
          guidedConfiguration(guide, socketOf(0)).slice(-60),
        ]) {
          assert.ok(!text.includes(hidden), text);
        }
      }
      const backups = hosts().flatMap((host) =>
        readdirSync(host.backupDirectory).map((file) => join(host.backupDirectory, file)),
      );
      assert.ok(backups.length > 0 && backups.every((file) => (statSync(file).mode & 0o077) === 0));
    });
  });
}
