import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { RotationStage } from "../../core/rotation-stage";
import { defaultLimits } from "../../rotation/goal";
import { eventually } from "../e2e/support/eventually";
import { seedConfiguration, seedPod } from "../rotation/adapters/hosts/seed-000";
import { skipFor } from "../support/skip-for";
import { type AzureKubelets, assertDone, azureKubelets, inSeconds, type Seen } from "./support/kubelets/azure-kubelets";
import { imageRepository } from "./support/kubelets/images";
import { whyNoKubelets } from "./support/kubelets/why-no-kubelets";

/** What only a real kubelet does: pods by hand as the upstream instructions have them, images that are not there, a host that reboots. */
describe("real kubelets with a cluster that was set up by hand, and with faults", function () {
  this.timeout(40 * 60_000);
  const secrets = 30;
  const directory = "/etc/kubernetes/manifests";
  const theirConfig = `${directory}/encryptionconfig.yaml`;
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

  function sayAbsences(what: string, { seconds, absences, traffic }: Seen<unknown>): void {
    const longest = Math.max(...absences.map(({ from, to }) => to - from));
    const away = `${absences.length} times a server was away, ${inSeconds(longest)} at most`;
    say(`${what} in ${seconds.toFixed(1)} s; ${away}; ${traffic.requests} requests, ${traffic.failures.length} failed`);
  }

  const podOf = async (host: number, start: string) =>
    (await kubelets.pods(host)).find(({ metadata }) => metadata.name.startsWith(start))?.status.containerStatuses?.[0];

  /** As an editor does it, which the kubelet sees as one change. */
  function put(host: number, name: string, text: string): void {
    const folder = kubelets.machines[host]?.outside(directory) ?? "";
    writeFileSync(join(folder, `.${name}`), text, { mode: 0o600 });
    renameSync(join(folder, `.${name}`), join(folder, name));
  }

  /** With our image under the upstream program's name. */
  function upstreamPod(): string {
    const { image = "" } = kubelets.described.plugin;
    const program = { image, command: ["/kubernetes-kms"], environment: kubelets.environment };
    return seedPod(kubelets.clouds.azureKey("k8skv", "k8s"), program);
  }

  /**
   * The seed's edit of the API server: flag, gate for KMS v1, mounts of the socket's directory and of the configuration. Automatic
   * reload is off, as somebody may have chosen: each change is loaded by a restart, which a kubelet takes its time for.
   */
  function withSeedSettings(text: string): string {
    const pod = parse(text) as {
      spec: { containers: { command: string[]; volumeMounts: object[] }[]; volumes: object[] };
    };
    const [container] = pod.spec.containers;
    container?.command.push(
      `--encryption-provider-config=${theirConfig}`,
      "--encryption-provider-config-automatic-reload=false",
      "--feature-gates=KMSv1=true",
    );
    container?.volumeMounts.push(
      { name: "sock", mountPath: "/opt" },
      { name: "encryption", mountPath: theirConfig, readOnly: true },
    );
    pod.spec.volumes.push(
      { name: "sock", hostPath: { path: "/opt" } },
      { name: "encryption", hostPath: { path: theirConfig, type: "File" } },
    );
    return stringify(pod);
  }

  it("the seed's steps by hand => its pod runs and its probe passes, the configuration in the kubelet's folder is no pod, KMS v1 is in etcd", async () => {
    for (const host of kubelets.machines.keys()) {
      put(host, "azure-kms-provider.yaml", upstreamPod());
      put(host, "encryptionconfig.yaml", seedConfiguration());
      await eventually(
        "the seed's pod runs",
        120,
        async () => (await podOf(host, "azure-kms-provider"))?.ready === true,
      );
    }
    for (const [host, machine] of kubelets.machines.entries()) {
      const started = (await podOf(host, "kube-apiserver"))?.state.running?.startedAt;
      const file = machine.outside(`${directory}/kube-apiserver.yaml`);
      put(host, "kube-apiserver.yaml", withSeedSettings(readFileSync(file, "utf8")));
      await eventually("the API server is another one", 120, async () => {
        const now = (await podOf(host, "kube-apiserver"))?.state.running?.startedAt;
        return now !== undefined && now !== started;
      });
      await eventually("the API server is ready", 120, async () => {
        const { status } = (await kubelets.request(host, "GET", "/readyz").catch(() => undefined)) ?? {};
        return status === 200;
      });
    }
    await kubelets.rewriteSecrets();
    assert.deepEqual(await kubelets.stored(), { "k8s:enc:kms:v1:azurekmsprovider": secrets });
    for (const host of kubelets.machines.keys())
      assert.equal((await podOf(host, "azure-kms-provider"))?.restartCount, 0);
  });

  it("an image that no host has => the kubelets cannot run the plugin: it is said where, and no configuration names it", async () => {
    const image = `${imageRepository}/kms-etcd-plugin@sha256:${"0".repeat(64)}`;
    const before = kubelets.machines.map((machine) => readFileSync(machine.outside(theirConfig), "utf8"));
    const outcome = await kubelets.rotate(1, {
      plugin: { image },
      goal: { limits: { ...defaultLimits, plugin: 30_000 } },
    });
    assert.equal(outcome.kind, "blocked", kubelets.log.join("\n"));
    say(`${outcome.reason}; ${outcome.remedy}`);
    assert.match(outcome.reason ?? "", /kms-etcd-[0-9a-f]{12} on cp1: /);
    assert.match(outcome.remedy ?? "", /an image that the host cannot get/);
    assert.deepEqual(Object.keys(await kubelets.stored()), ["k8s:enc:kms:v1:azurekmsprovider"]);
    for (const [host, machine] of kubelets.machines.entries()) {
      const inUse = /--encryption-provider-config=(\S+)/.exec(
        readFileSync(machine.outside(`${directory}/kube-apiserver.yaml`), "utf8"),
      );
      assert.equal(readFileSync(machine.outside(inUse?.[1] ?? ""), "utf8"), before[host]);
    }
  });

  it("the right image => the manifests with the wrong one are written anew, the configuration leaves the kubelet's folder, and everything is under KMS v2; their pod is theirs", async () => {
    const seen = await kubelets.underClients(() => kubelets.rotate(1), { countUnreachable: false });
    await assertDone(kubelets, seen, 1);
    sayAbsences("to KMS v2", seen);
    for (const [host, machine] of kubelets.machines.entries()) {
      assert.ok(!existsSync(machine.outside(theirConfig)));
      const manifest = readFileSync(machine.outside(`${directory}/kube-apiserver.yaml`), "utf8");
      assert.ok(!manifest.includes(theirConfig), "a volume whose file is gone keeps a kubelet from starting the pod");
      const backups = kubelets.controlPlane.hosts[host]?.backupDirectory ?? "";
      assert.ok(readdirSync(backups).some((name) => readFileSync(join(backups, name), "utf8") === seedConfiguration()));
      assert.equal((await podOf(host, "azure-kms-provider"))?.restartCount, 0);
    }
  });

  it("a host reboots in the middle of a rotation => its kubelet starts all of it again, the engine goes on, nothing is lost", async () => {
    let reboot: Promise<void> | undefined;
    const seen = await kubelets.underClients(
      async () => {
        const outcome = await kubelets.rotate(2, {
          onEvent: ({ stage, kind }) => {
            if (stage === RotationStage.Write && kind === "action") reboot ??= kubelets.reboot(1);
          },
        });
        await reboot;
        if (outcome.kind === "done") return outcome;
        // One that was stopped by it says why, and is started again.
        assert.ok(outcome.kind === "blocked" && outcome.reason && outcome.remedy, outcome.kind);
        say(`first: ${outcome.reason}`);
        return kubelets.rotate(2);
      },
      { countUnreachable: false },
    );
    assert.notEqual(reboot, undefined);
    await assertDone(kubelets, seen, 2);
    sayAbsences("rotated with a reboot", seen);
  });
});
