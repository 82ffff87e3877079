import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse } from "yaml";
import { startTraffic } from "../../control-plane/client-traffic";
import { pluginInstance } from "../../core/plugin-instance";
import { closeCluster } from "../../rotation/cluster";
import { planRotation } from "../../rotation/plan";
import { isLoss } from "../e2e/support/disturbed-rotation";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";
import { type SshCluster, sshCluster } from "../e2e/support/ssh-cluster";
import { skipFor } from "../support/skip-for";
import { whyNoSshServer } from "../support/ssh-server";
import { type CloudKeys, cloudKeys } from "./support/cloud-keys";
import { type SystemdHost, startSystemd, whyNoSystemd } from "./support/systemd-host";

const unit = "kube-apiserver.service";
const dropIn = join(`${unit}.d`, "zz-kms-etcd.conf");

/** API servers that a real systemd runs, three of them, with their flags in three places, over real SSH. */
describe("API servers that are units of systemd", function () {
  this.timeout(20 * 60_000);
  let cluster: RealCluster;
  let clouds: CloudKeys;
  let ssh: SshCluster;
  let directory: string;
  const machines: SystemdHost[] = [];
  const closing: (() => Promise<unknown>)[] = [];
  const plugin = (version: number) => pluginInstance(clouds.azureKey("seedvault", `k8s-${version}`));

  before(async function () {
    skipFor(whyNoSshServer() ?? whyNoSystemd(), this);
    clouds = await cloudKeys();
    closing.push(() => clouds.close());
    const { azure } = await clouds.pluginSettings();
    cluster = await realCluster({ staggerSeconds: 5 });
    closing.push(() => cluster.close());
    await cluster.createSecrets(40);
    directory = mkdtempSync(join(tmpdir(), "ku-"));
    closing.push(async () => rmSync(directory, { recursive: true, force: true }));
    for (const [index, host] of cluster.controlPlane.hosts.entries()) {
      const machine = await startSystemd(join(directory, host.name));
      machines.push(machine);
      closing.push(() => machine.stop());
      await moveToUnit(index);
    }
    const azureConfigFile = azure?.arguments?.[0]?.split("=")[1] ?? "";
    ssh = await sshCluster(cluster, {
      units: { apiServerUnit: unit, behind: machines.map((machine) => () => machine.behind) },
      plugin: { azureConfigFile, arguments: ["--probe-interval=2s"], environment: azure?.environment ?? {} },
    });
    closing.push(() => ssh.close());
  });
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  const machine = (index: number) => machines[index] as SystemdHost;
  const environmentFile = () => join(directory, "kube-apiserver.env");
  const pids = () => machines.map((each) => each.mainPid(unit));
  const arguments_ = (index: number) => readFileSync(`/proc/${pids()[index]}/cmdline`, "utf8").split("\0");

  /** What a static pod ran becomes a unit: flags in the unit itself, in a file of variables, or in a drop-in. */
  async function moveToUnit(index: number): Promise<void> {
    const host = cluster.controlPlane.hosts[index];
    assert.ok(host);
    const file = join(host.manifestDirectory, host.apiServerManifest);
    const pod = parse(readFileSync(file, "utf8")) as { spec: { containers: { command: string[] }[] } };
    const [program, ...flags] = (pod.spec.containers[0]?.command ?? []).filter(
      (word) => !word.startsWith("--encryption-provider-config"),
    );
    rmSync(file);
    rmSync(host.encryptionConfigFile);
    while (cluster.pid(host.name, "kube-apiserver") !== undefined) await delay(100);
    const { unitDirectory } = machine(index);
    const service = (command: string, more = "") =>
      `# by hand\n[Service]\n${more}ExecStart=${command}\nRestart=on-failure\nRestartSec=2\nStandardOutput=null\nStandardError=null\n\n[Install]\nWantedBy=multi-user.target\n`;
    if (index === 0) writeFileSync(join(unitDirectory, unit), service([program, ...flags].join(" \\\n  ")));
    if (index === 1) {
      writeFileSync(environmentFile(), `# flags\nKUBE_APISERVER_ARGS="${flags.join(" ")}"\n`);
      const variables = `EnvironmentFile=-${environmentFile()}\nEnvironment=PROGRAM=unused\n`;
      writeFileSync(join(unitDirectory, unit), service(`${program} $KUBE_APISERVER_ARGS`, variables));
    }
    if (index === 2) {
      writeFileSync(join(unitDirectory, unit), service("/bin/false --of the package"));
      mkdirSync(join(unitDirectory, `${unit}.d`));
      const words = flags.map((flag) => `'${flag}'`).join(" ");
      const command = `[Service]\nExecStart=\nExecStart=${program} ${words}\n`;
      writeFileSync(join(unitDirectory, `${unit}.d`, "10-flags.conf"), command);
    }
    machine(index).systemctl("daemon-reload");
    machine(index).systemctl("enable", "--now", unit);
    await ready(index);
  }

  async function ready(index: number): Promise<void> {
    for (;;) {
      const answer = await cluster.request(index, "GET", "/readyz").catch(() => undefined);
      if (answer?.status === 200) return;
      await delay(200);
    }
  }

  async function rotateTo(version: number): Promise<void> {
    const outcome = await ssh.rotate(plugin(version), { declared: [1, 2, 3].map(plugin) });
    assert.equal(outcome.kind, "done", `${outcome.reason}; ${outcome.remedy}\n${cluster.log.join("\n")}`);
    assert.equal(outcome.evidence.method, "etcd");
    assert.equal(Object.keys(await cluster.storedProviders()).length, 1);
    process.stdout.write(`      to ${version}: ${cluster.log.at(-1)}\n`);
  }

  it("a plan => says for each unit what it lacks, and changes nothing", async () => {
    const before = pids();
    const opened = await ssh.open();
    try {
      const { fleet, stored } = opened;
      const goal = { ...cluster.goal("identity"), writer: plugin(1), declared: [plugin(1)] };
      const plan = await planRotation({ goal, fleet, stored, signal: new AbortController().signal });
      assert.equal(plan.blocked, undefined);
      assert.match(
        plan.stages[0]?.summary ?? "",
        /cp1 is set up for encryption: kube-apiserver\.service: there is no --encryption-provider-config/,
      );
      assert.equal(plan.stages[0]?.restarts, 3);
    } finally {
      await closeCluster(opened);
    }
    assert.deepEqual(pids(), before);
    for (const each of machines) assert.ok(!existsSync(join(each.unitDirectory, dropIn)));
  });

  it("a server that does not start with what it is given => the drop-in goes again, the server is well, and no other is touched", async () => {
    const { unitDirectory, systemctl } = machine(0);
    const before = pids();
    // A sandbox in which the configuration is not to be seen.
    const sandbox = join(unitDirectory, `${unit}.d`, "20-sandbox.conf");
    mkdirSync(join(unitDirectory, `${unit}.d`), { recursive: true });
    writeFileSync(sandbox, `[Service]\nInaccessiblePaths=${ssh.configFile(0)}\n`);
    systemctl("daemon-reload");
    const outcome = await ssh.rotate(plugin(1), {
      declared: [1, 2, 3].map(plugin),
      limits: { ...cluster.goal("identity").limits, restart: 60_000 },
    });
    assert.equal(outcome.kind, "blocked", cluster.log.join("\n"));
    assert.match(`${outcome.reason}`, /cp1 did not become ready after it was set up for encryption/);
    assert.ok(!existsSync(join(unitDirectory, dropIn)), cluster.log.join("\n"));
    await ready(0);
    assert.deepEqual(pids().slice(1), before.slice(1));
    rmSync(sandbox);
    systemctl("daemon-reload");
  });

  it("enable => one restart each, one after the other, by a drop-in; the units and their variables stay byte for byte", async () => {
    const said = cluster.log.length;
    const theirs = () => [
      ...machines.map((each) => readFileSync(join(each.unitDirectory, unit), "utf8")),
      readFileSync(environmentFile(), "utf8"),
      readFileSync(join(machine(2).unitDirectory, `${unit}.d`, "10-flags.conf"), "utf8"),
    ];
    const [files, before] = [theirs(), pids()];
    const commands = machines.map((_, index) => arguments_(index).filter(Boolean));
    const traffic = startTraffic(cluster.controlPlane, { countUnreachable: false });
    await rotateTo(1).finally(() => traffic.stop());
    assert.deepEqual(traffic.report().failures.filter(isLoss), []);
    assert.deepEqual(theirs(), files);
    assert.equal(
      cluster.log.slice(said).filter((line) => line.includes("set the API server up")).length,
      3,
      cluster.log.join("\n"),
    );
    for (const [index, each] of machines.entries()) {
      assert.notEqual(pids()[index], before[index]);
      assert.deepEqual(arguments_(index).filter(Boolean), [
        ...(commands[index] ?? []),
        `--encryption-provider-config=${ssh.configFile(index)}`,
        "--encryption-provider-config-automatic-reload=true",
      ]);
      assert.equal(statSync(join(each.unitDirectory, dropIn)).mode & 0o777, 0o600);
      assert.equal(each.systemctl("show", "--property=NeedDaemonReload", "--value", unit), "no");
      const service = `${plugin(1).name}.service`;
      assert.equal(each.systemctl("is-enabled", service), "enabled");
      assert.equal(each.systemctl("is-active", service), "active");
    }
  });

  it("rotate, roll back => without a restart; the old plugin's unit is gone", async () => {
    const before = pids();
    const traffic = startTraffic(cluster.controlPlane);
    await rotateTo(2)
      .then(() => rotateTo(1))
      .finally(() => traffic.stop());
    assert.deepEqual(traffic.report().failures, []);
    assert.deepEqual(pids(), before);
    for (const each of machines) {
      const units = readdirSync(each.unitDirectory).filter((name) => name.startsWith("kms-etcd-"));
      assert.deepEqual(units, [`${plugin(1).name}.service`]);
      assert.deepEqual(
        readdirSync(join(each.unitDirectory, "multi-user.target.wants")).sort(),
        [...units, unit].sort(),
      );
    }
  });

  it("a host that is rebooted => plugin and API server come back by themselves, and the next rotation is done", async () => {
    await ssh.servers[1]?.stop();
    await machine(1).reboot();
    await ssh.servers[1]?.start();
    await ready(1);
    await rotateTo(2);
  });

  it("a unit that somebody changes => their change is kept and put to use, with a restart of that server alone", async () => {
    const file = join(machine(0).unitDirectory, unit);
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace("\nRestart=", " \\\n  --max-requests-inflight=399\nRestart="),
    );
    const before = pids();
    await rotateTo(1);
    assert.ok(arguments_(0).includes("--max-requests-inflight=399"));
    assert.ok(arguments_(0).includes(`--encryption-provider-config=${ssh.configFile(0)}`));
    assert.deepEqual(pids().slice(1), before.slice(1));
  });

  it("a drop-in of ours that somebody has edited => refused, and nothing is overwritten", async () => {
    const file = join(machine(0).unitDirectory, dropIn);
    const before = readFileSync(file, "utf8");
    const edited = before.replace(ssh.configFile(0), "/elsewhere.yaml");
    writeFileSync(file, edited);
    const outcome = await ssh.rotate(plugin(2), { declared: [1, 2].map(plugin) });
    assert.equal(outcome.kind, "blocked", cluster.log.join("\n"));
    assert.match(`${outcome.reason}`, /cp1.*somebody has (changed --encryption-provider-config|edited)/);
    assert.equal(readFileSync(file, "utf8"), edited);
    writeFileSync(file, before);
    machine(0).systemctl("daemon-reload");
  });

  it("automatic reload that somebody has turned off => stays off; a rotation restarts one server after the other", async () => {
    for (const [index, each] of machines.entries()) {
      const file =
        index === 1 ? environmentFile() : join(each.unitDirectory, index === 0 ? unit : `${unit}.d/10-flags.conf`);
      const flag = "--encryption-provider-config-automatic-reload=false";
      const text = readFileSync(file, "utf8").replace(
        "--bind-address=127.0.0.1",
        `--bind-address=127.0.0.1${index === 2 ? "'" : ""} ${index === 2 ? "'" : ""}${flag}`,
      );
      writeFileSync(file, text);
      rmSync(join(each.unitDirectory, dropIn));
      each.systemctl("daemon-reload");
    }
    const traffic = startTraffic(cluster.controlPlane, { countUnreachable: false });
    await rotateTo(3).finally(() => traffic.stop());
    assert.deepEqual(traffic.report().failures.filter(isLoss), []);
    for (const index of machines.keys()) {
      const given = arguments_(index).filter((word) =>
        word.startsWith("--encryption-provider-config-automatic-reload"),
      );
      assert.deepEqual(given, ["--encryption-provider-config-automatic-reload=false"]);
    }
    assert.ok(
      cluster.log.some((line) => line.includes("restart")),
      cluster.log.join("\n"),
    );
  });

  it("command lines are fixed: systemctl with the names of units, the clock, files through sftp", () => {
    const commands = new Set(ssh.servers.flatMap((server) => server.commands()));
    const shapes = new Set(
      [...commands].map((command) => command.replaceAll(/[\w-]+\.service/g, "UNIT").replaceAll(/( UNIT)+/g, " UNIT")),
    );
    assert.deepEqual([...shapes].sort(), [
      "date -u +%s.%N",
      "internal-sftp",
      "systemctl daemon-reload",
      "systemctl disable --now -- UNIT",
      "systemctl enable --now -- UNIT",
      "systemctl reset-failed -- UNIT",
      "systemctl restart --no-block -- UNIT",
      "systemctl show --property=Id,LoadState,ActiveState,SubState,Result,Job,FragmentPath,DropInPaths -- UNIT",
    ]);
  });
});
