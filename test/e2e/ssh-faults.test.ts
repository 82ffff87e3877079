import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { killPod, runningPods } from "../../control-plane/running-pods";
import { stateLayout } from "../../control-plane/state-layout";
import type { SelfManagedCluster } from "../../core/self-managed-cluster";
import { defaultLimits } from "../../rotation/goal";
import type { RotationOutcome } from "../../rotation/run";
import type { RotationEvent } from "../../rotation/run-events";
import { skipFor } from "../support/skip-for";
import { whyNoSshServer } from "../support/ssh-server";
import { type RealCluster, realCluster } from "./support/real-cluster";
import { type SshCluster, sshCluster } from "./support/ssh-cluster";

const secrets = 20;

/** Restarting servers, because a restart takes seconds and a reload up to a minute. */
describe("faults on the way to control-plane hosts over SSH", function () {
  this.timeout(20 * 60_000);
  let cluster: RealCluster;
  let ssh: SshCluster;
  const host = (index: number) => cluster.controlPlane.hosts[index] ?? assert.fail(`no host ${index}`);
  const layout = () => stateLayout(cluster.controlPlane.stateDirectory);

  before(async function () {
    skipFor(whyNoSshServer(), this);
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    closing.push(() => cluster.close());
    await cluster.createSecrets(secrets);
    ssh = await sshCluster(cluster);
    closing.push(() => ssh.close());
  });
  const closing: (() => Promise<unknown>)[] = [];
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  type Run = NonNullable<Parameters<SshCluster["rotate"]>[2]>;
  const to = (version: number, run: Run = {}, impatient = false) =>
    ssh.rotate(
      cluster.keyVersion(version),
      {
        declared: [1, 2, 3].map((each) => cluster.keyVersion(each)),
        ...(impatient && { limits: { ...defaultLimits, ready: 8_000, plugin: 8_000 } }),
      },
      run,
    );

  async function assertDone(outcome: RotationOutcome, version: number): Promise<void> {
    assert.equal(outcome.kind, "done", `${outcome.reason}; ${outcome.remedy}\n${cluster.log.join("\n")}`);
    assert.deepEqual(await cluster.storedProviders(), { [cluster.providerOf(version)]: secrets });
  }

  function assertBlocked(outcome: RotationOutcome, reason: RegExp, remedy: RegExp): void {
    assert.equal(outcome.kind, "blocked", cluster.log.join("\n"));
    assert.match(outcome.reason ?? "", reason);
    assert.match(outcome.remedy ?? "", remedy);
  }

  it("the configuration that is there moves to the engine's place, and every connection is cut at every action => done all the same", async () => {
    // Each once: what is cut off whenever it is tried can't get done by anybody.
    const cut = new Set<string>();
    const onEvent = (event: RotationEvent) => {
      const what = `${event.stage} ${event.message}`;
      if (event.kind !== "action" || cut.has(what)) return;
      cut.add(what);
      for (const way of ssh.ways) way.cutNow();
    };
    let outcome = await to(1, { onEvent });
    // A run may end for want of an answer; the next one goes on from where the cluster is.
    for (let runs = 1; outcome.kind !== "done" && runs < 6; runs += 1) outcome = await to(1, { onEvent });
    await assertDone(outcome, 1);
    assert.ok(cut.size >= 8, [...cut].join("\n"));
    assert.match(
      readFileSync(ssh.manifestFile(0), "utf8"),
      new RegExp(`--encryption-provider-config=${ssh.configFile(0)}`),
    );
    for (const [index] of cluster.controlPlane.hosts.entries()) {
      assert.ok(existsSync(host(index).encryptionConfigFile), "what was there before stays where it was");
    }
  });

  it("every action is cut in its middle, each somewhere else => done all the same", async () => {
    let actions = 0;
    const onEvent = (event: RotationEvent) => {
      if (event.kind !== "action" || event.stage === "Rewrite") return;
      actions += 1;
      for (const way of ssh.ways) way.cutOnceAfter((actions * 7) % 40);
    };
    let outcome = await to(3, { onEvent });
    for (let runs = 1; outcome.kind !== "done" && runs < 6; runs += 1) outcome = await to(3, { onEvent });
    await assertDone(outcome, 3);
    assert.ok(actions >= 8, `${actions} actions`);
  });

  it("a host that is rebooted in the middle => the engine waits for it, or says so, and goes on", async () => {
    let rebooted: Promise<void> | undefined;
    const reboot = async () => {
      for (const pod of runningPods(layout(), host(1).name)) killPod(layout(), host(1).name, pod.name);
      await ssh.servers[1]?.stop();
      await ssh.servers[1]?.start();
    };
    const onEvent = (event: RotationEvent) => {
      if (event.kind === "action" && event.stage === "Write") rebooted ??= reboot();
    };
    let outcome = await to(2, { onEvent });
    await rebooted;
    assert.ok(rebooted);
    for (let runs = 1; outcome.kind !== "done" && runs < 4; runs += 1) outcome = await to(2);
    await assertDone(outcome, 2);
    for (const index of ssh.servers.keys()) {
      const beside = readdirSync(dirname(ssh.configFile(index))).filter((name) => /kms-etcd-(tmp|lock)/.test(name));
      assert.deepEqual(beside, [], "what the cuts have left is gone");
    }
  });

  it("a manifest that somebody edits meanwhile => what is theirs is kept, what is ours is refused", async () => {
    const file = ssh.manifestFile(0);
    let edited = false;
    const onEvent = (event: RotationEvent) => {
      if (edited || event.kind !== "action" || !event.message.includes("restart")) return;
      edited = true;
      writeFileSync(
        file,
        readFileSync(file, "utf8").replace("--request-timeout=15s", "--request-timeout=17s # theirs"),
      );
    };
    let outcome = await to(3, { onEvent });
    for (let runs = 1; outcome.kind !== "done" && runs < 4; runs += 1) outcome = await to(3);
    await assertDone(outcome, 3);
    assert.ok(edited);
    assert.match(readFileSync(file, "utf8"), /--request-timeout=17s # theirs/);

    const ours = readFileSync(file, "utf8");
    const other = join(cluster.directory, "other.yaml");
    writeFileSync(other, readFileSync(ssh.configFile(0)));
    writeFileSync(
      file,
      ours.replace(`--encryption-provider-config=${ssh.configFile(0)}`, `--encryption-provider-config=${other}`),
    );
    const refused = await to(2);
    assertBlocked(refused, /cp1: somebody has changed --encryption-provider-config/, /put it back/);
    writeFileSync(file, ours);
    await assertDone(await settled(() => to(3)), 3);
  });

  /** A server that was changed by hand comes back in its own time. */
  async function settled(run: () => Promise<RotationOutcome>): Promise<RotationOutcome> {
    let outcome = await run();
    for (let runs = 1; outcome.kind !== "done" && runs < 4; runs += 1) outcome = await run();
    return outcome;
  }

  describe("a file system that takes nothing", () => {
    const small = () => join(cluster.directory, "small");
    const mount = (...args: readonly string[]) => execFileSync("mount", [...args], { stdio: "pipe" });
    let backups: string;
    before(function () {
      mkdirSync(small());
      try {
        mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", small());
      } catch {
        this.skip(); // mounting needs root
      }
      backups = join(small(), "backups");
    });
    after(() => {
      try {
        execFileSync("umount", [small()], { stdio: "pipe" });
      } catch {
        // it was never mounted
      }
    });

    const onSmallDisk = (): Partial<SelfManagedCluster> => ({
      hosts: ssh.described.hosts.map((described, index) =>
        index === 1 ? { ...described, layout: { ...described.layout, backupDirectory: backups } } : described,
      ),
    });

    it("a full disk, then a read-only one => each is named with the host; nothing is lost, and with room it goes on", async () => {
      mkdirSync(backups, { mode: 0o700 });
      const filler = join(small(), "filler");
      try {
        for (;;) appendFileSync(filler, Buffer.alloc(1_024));
      } catch {
        // full
      }
      const before = readFileSync(ssh.configFile(1), "utf8");
      const full = await to(2, { change: onSmallDisk() });
      assertBlocked(full, /cp2: cannot make .*backups.*the disk is full/, /./);
      assert.equal(readFileSync(ssh.configFile(1), "utf8"), before);
      rmSync(filler);
      // The sftp-server of the run that has ended may still be about to end.
      for (let left = 50; ; left -= 1) {
        try {
          mount("-o", "remount,ro", small());
          break;
        } catch (thrown) {
          if (left === 0) throw thrown;
          await delay(200);
        }
      }
      const readOnly = await to(2, { change: onSmallDisk() });
      assertBlocked(readOnly, /cp2: cannot make .*the file system is read-only/, /./);
      mount("-o", "remount,rw", small());
      await assertDone(await settled(() => to(2, { change: onSmallDisk() })), 2);
    });
  });

  describe("in the end", () => {
    it("a host that is gone for good => it blocks, with the remedy; out of the list, the rest goes on", async () => {
      await ssh.servers[1]?.stop();
      const manifest = ssh.manifestFile(1);
      renameSync(manifest, join(cluster.directory, "gone.yaml"));
      assertBlocked(
        await to(3, {}, true),
        /cp2: cannot be reached/,
        /take it out of the list of servers if it is gone for good/,
      );
      const change = { hosts: ssh.described.hosts.slice(0, 1) };
      // Until its identity Lease has expired it may still be alive somewhere.
      let outcome = await to(3, { change });
      for (let runs = 1; outcome.reason?.includes("live but not listed") === true && runs < 20; runs += 1) {
        await new Promise((resolve) => setTimeout(resolve, 5_000));
        outcome = await to(3, { change });
      }
      await assertDone(outcome, 3);
    });
  });
});
