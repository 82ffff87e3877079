import assert from "node:assert/strict";
import { join } from "node:path";
import { KmsEtcdError } from "../../../../core/errors";
import { fileHash } from "../../../../rotation/adapters/hosts/file-hash";
import type { FleetHost } from "../../../../rotation/adapters/hosts/fleet-host";
import { requestRestart } from "../../../../rotation/adapters/hosts/host-actions";
import { setUpHost } from "../../../../rotation/adapters/hosts/host-setup";
import { createHostsFleet, type HostsFleet } from "../../../../rotation/adapters/hosts/hosts-fleet";
import { isInPlace, presentHash, readSetUpRecord } from "../../../../rotation/adapters/hosts/set-up-record";
import { undoSetUp } from "../../../../rotation/adapters/hosts/undo-set-up";
import { defaultLimits } from "../../../../rotation/goal";
import { type RotationOptions, runRotation } from "../../../../rotation/run";
import { goalFor } from "../../goals";
import { randomFrom } from "../../random";
import { simulateCluster } from "../../simulated-cluster";
import { type FakeApiServer, fakeApiServer, fakeStore } from "../kubernetes/api-server-fake";
import { fleetHost } from "./fleet-host";
import { kubeadmManifest } from "./kubeadm-manifest";
import { Killed, type KillMode, type MemoryDisk, memoryDisk, memoryHost, put, textOf } from "./memory-host";
import { memoryUnits } from "./memory-units";
import { seedConfiguration } from "./seed-000";

const version = "v1.36.3";
const unit = "kube-apiserver.service";
const units = "/etc/systemd/system";
const command = "/usr/bin/kube-apiserver --secure-port=6443";
const pods = "/etc/kubernetes/manifests";
const places = {
  encryptionConfigFile: "/etc/kubernetes/kms-etcd/encryption-config.yaml",
  pluginSocketDirectory: "/run/kms-etcd",
  backupDirectory: "/var/lib/kms-etcd",
  mayBeSetUp: true,
};
const record = join(places.backupDirectory, "set-up.json");

interface Machine {
  readonly disk: MemoryDisk;
  /** The file that a set-up writes, and what it is before. */
  readonly file: string;
  readonly before: string | undefined;
  at(kill?: Parameters<typeof memoryHost>[1]): FleetHost;
  /** What the kubelet, or systemd, has started last. */
  running(): string | undefined;
}

function staticPod(before = kubeadmManifest, more: Readonly<Record<string, string>> = {}): Machine {
  const file = `${pods}/kube-apiserver.yaml`;
  const disk = memoryDisk({ [file]: before, ...more });
  return {
    disk,
    file,
    before,
    at: (kill) => ({
      ...fleetHost(memoryHost(disk, kill)),
      ...places,
      manifestDirectory: pods,
      apiServerManifest: "kube-apiserver.yaml",
    }),
    running: () => textOf(disk, file),
  };
}

function service(): Machine {
  const disk = memoryDisk({ [`${units}/${unit}`]: `[Service]\nExecStart=${command}\nRestart=always\n` });
  const control = memoryUnits(disk);
  return {
    disk,
    file: `${units}/${unit}.d/zz-kms-etcd.conf`,
    before: undefined,
    at: (kill) => ({
      ...fleetHost(memoryHost(disk, kill)),
      ...places,
      manifestDirectory: units,
      apiServerManifest: unit,
      systemd: { control, apiServerUnit: unit },
    }),
    running: () => control.started(unit) ?? command,
  };
}

const kinds = { "a static pod's manifest": staticPod, "a unit's drop-in": service };
type Cut = "its answer is cut" | "the engine is killed" | "the user ends the run";

/** What fails once the set-up's file is in its place. */
function cutAt(at: FleetHost, file: string, how: Cut): FleetHost {
  let isDead = false;
  const { host } = at;
  const rename = async (from: string, to: string) => {
    await host.rename(from, to);
    if (to !== file || isDead || how === "the user ends the run") return;
    isDead = true;
    throw how === "its answer is cut" ? new KmsEtcdError("unreachable", "the connection was cut") : new Killed();
  };
  const removeFile = (path: string) =>
    isDead && how === "the engine is killed" ? Promise.reject(new Killed()) : host.removeFile(path);
  return { ...at, host: { ...host, rename, removeFile } };
}

for (const [what, machine] of Object.entries(kinds)) {
  describe(`a set-up that fails, by ${what}`, function () {
    this.timeout(30_000);
    let it_: Machine;
    let api: FakeApiServer;
    let startedAt: number;
    let isUp: () => boolean;
    let loads: string | undefined;
    const fleets: HostsFleet[] = [];

    beforeEach(async () => {
      it_ = machine();
      loads = undefined;
      startedAt = 1_700_000_000_000;
      const first = it_.running();
      // It does not start with anything else.
      isUp = () => it_.running() === first;
      api = await fakeApiServer(fakeStore(), "cp1", "k");
      api.intercept = (_, path) => {
        if (!isUp()) return { status: 0, reset: true };
        if (path.startsWith("/readyz")) return { status: 200, body: "ok" };
        if (path === "/version") return { status: 200, body: { gitVersion: version } };
        if (path === "/metrics") {
          const metric = "apiserver_encryption_config_controller_last_config_info";
          const loaded = loads === undefined ? "" : `${metric}{apiserver_id_hash="x",hash="${loads}"} 1\n`;
          return { status: 200, body: `process_start_time_seconds ${startedAt / 1_000}\n${loaded}` };
        }
        if (!path.includes("/leases")) return undefined;
        const metadata = { name: "apiserver-cp1", labels: { "kubernetes.io/hostname": "cp1" } };
        return { status: 200, body: { items: [{ metadata, spec: { renewTime: new Date().toISOString() } }] } };
      };
    });
    afterEach(async () => {
      await Promise.all(fleets.splice(0).map((fleet) => fleet.close()));
      await api.close();
    });

    /** Another engine, which knows nothing but what is on the host. */
    function engine(at = it_.at()): HostsFleet {
      const fleet = createHostsFleet({ hosts: [{ ...at, apiServer: fleetHost(at.host, api.url).apiServer }] });
      fleets.push(fleet);
      return fleet;
    }

    async function rotate(fleet: HostsFleet, more: Partial<RotationOptions> = {}) {
      const actions: string[] = [];
      let now = 1_000_000;
      const outcome = await runRotation({
        goal: goalFor(1, ["cp1"], { limits: { ...defaultLimits, ready: 5_000, restart: 5_000 } }),
        fleet,
        stored: simulateCluster({ hosts: 1, reload: "hot", objects: 1, random: randomFrom(1) }).stored,
        clock: {
          now: () => now,
          sleep: async (milliseconds) => {
            now += milliseconds;
          },
        },
        signal: new AbortController().signal,
        ...more,
        onEvent: (event) => {
          if (event.kind === "action") actions.push(event.message);
          more.onEvent?.(event);
        },
      });
      return { outcome, actions };
    }

    const seen = async (fleet: HostsFleet) =>
      (await fleet.observe(new AbortController().signal)).servers[0] ?? assert.fail();

    function assertAsBefore(): void {
      assert.equal(textOf(it_.disk, it_.file), it_.before);
      assert.ok(isUp(), "it runs as before");
      assert.equal(textOf(it_.disk, record), undefined);
    }

    for (const how of ["its answer is cut", "the engine is killed", "the user ends the run"] as const) {
      it(`${how} => the next run sees it as unproven, takes it back, and sets up no more`, async () => {
        const ended = new AbortController();
        const first = rotate(engine(cutAt(it_.at(), it_.file, how)), {
          maxActions: 1,
          signal: ended.signal,
          onEvent: ({ kind }) => {
            if (kind === "action" && how === "the user ends the run") ended.abort();
          },
        });
        if (how === "the engine is killed") await assert.rejects(first, Killed);
        else assert.equal((await first).outcome.kind, how === "its answer is cut" ? "paused" : "cancelled");
        assert.notEqual(textOf(it_.disk, it_.file), it_.before);
        // Where nobody has asked systemd for a restart yet, the former process is still there.
        const fleet = engine();
        assert.equal((await seen(fleet)).setUpUnproven, true);
        const { outcome, actions } = await rotate(fleet);
        assert.equal(outcome.kind, "blocked");
        assert.match(outcome.reason ?? "", /cp1 did not become ready after it was set up for encryption/);
        assert.equal(actions.at(-1), "cp1: put the API server's manifest back");
        assertAsBefore();
      });
    }

    it("its answer is cut => the same run takes it back, and sets up no more", async () => {
      const { outcome, actions } = await rotate(engine(cutAt(it_.at(), it_.file, "its answer is cut")));
      assert.match(outcome.reason ?? "", /cp1 did not become ready after it was set up for encryption/);
      assert.equal(actions.at(-1), "cp1: put the API server's manifest back");
      assertAsBefore();
    });

    it("seen well => to be confirmed; after that, trouble is no longer its doing, in a later run neither", async () => {
      const fleet = engine();
      await fleet.setUp?.("cp1");
      isUp = () => true;
      assert.equal((await seen(fleet)).setUpUnproven, true, "its process from before proves nothing");
      isUp = () => false;
      assert.equal((await seen(fleet)).setUpUnproven, true);
      startedAt += 60_000;
      isUp = () => true;
      const { setUpUnproven, setUp, file } = await seen(fleet);
      assert.deepEqual({ setUpUnproven, setUp }, { setUpUnproven: true, setUp: undefined });
      isUp = () => false;
      assert.equal((await seen(fleet)).setUpUnproven, undefined);
      await fleet.confirmLoaded?.("cp1", file?.hash ?? "");
      assert.equal(textOf(it_.disk, record), undefined);
      assert.equal((await seen(engine())).setUpUnproven, undefined);
      await engine().undoSetUp?.("cp1");
      assert.notEqual(textOf(it_.disk, it_.file), it_.before);
    });

    it("a run that sees it well => confirms it, so a server that is down later keeps what it was given", async () => {
      const fleet = engine();
      await fleet.setUp?.("cp1");
      put(it_.disk, places.encryptionConfigFile, Buffer.from(seedConfiguration()), 0o600);
      startedAt = Date.now() + 60_000;
      isUp = () => true;
      loads = fileHash(Buffer.from(seedConfiguration()));
      await rotate(fleet, { maxActions: 0 });
      assert.equal(textOf(it_.disk, record), undefined);
      assert.notEqual(textOf(it_.disk, it_.file), it_.before);
    });

    it("a restart that is asked for meanwhile => it can be taken back all the same", async () => {
      const at = it_.at();
      await setUpHost(at, version, 1_000);
      put(it_.disk, places.encryptionConfigFile, Buffer.from(seedConfiguration()), 0o600);
      await requestRestart(at, 2_000);
      assert.equal((await seen(engine())).setUpUnproven, true);
      await undoSetUp(at);
      assertAsBefore();
    });

    it("set up again on top of one that is unproven => goes back to before both", async () => {
      const at = it_.at();
      await setUpHost(at, version, 1_000);
      const first = textOf(it_.disk, it_.file);
      // As where the layout was changed in between.
      await setUpHost({ ...at, encryptionConfigFile: "/etc/elsewhere/config.yaml" }, version, 1_000);
      assert.notEqual(textOf(it_.disk, it_.file), first);
      await undoSetUp(at);
      assertAsBefore();
    });

    it("somebody has changed it since => it is theirs, and stays", async () => {
      const at = it_.at();
      await setUpHost(at, version, 1_000);
      const edited = `${textOf(it_.disk, it_.file)}# mine\n`;
      put(it_.disk, it_.file, Buffer.from(edited), 0o600);
      assert.equal((await seen(engine())).setUpUnproven, undefined);
      await assert.rejects(undoSetUp(at), (error: KmsEtcdError) => error.code === "conflict");
      assert.equal(textOf(it_.disk, it_.file), edited);
    });

    it("taking it back, cut off anywhere => it is still seen as unproven until it is done, and then as before", async () => {
      for (const mode of ["before", "middle", "after"] as const satisfies readonly KillMode[]) {
        for (let step = 0, killed = true; killed; step += 1) {
          it_ = machine();
          await setUpHost(it_.at(), version, 1_000);
          const failing = textOf(it_.disk, it_.file) ?? assert.fail();
          killed = await undoSetUp(it_.at({ step, mode })).then(
            () => false,
            (thrown: unknown) => thrown instanceof Killed || assert.fail(String(thrown)),
          );
          const present = presentHash(it_.disk.files.get(it_.file)?.bytes);
          const isLeft = isInPlace(await readSetUpRecord(it_.at()), present);
          assert.ok(isLeft || it_.running() === (it_.before ?? command), `${mode} step ${step}`);
          await undoSetUp(it_.at());
          assertAsBefore();
          const kept = `${places.backupDirectory}/${fileHash(Buffer.from(failing)).slice("sha256:".length)}.yaml`;
          assert.equal(textOf(it_.disk, kept), failing, "what it did not start with can be looked at");
        }
      }
    });
  });
}

describe("a set-up that fails", () => {
  it("the configuration was in the kubelet's folder => it stays there until the server has been seen well, as the former manifest names it", async () => {
    const stray = `${pods}/encryptionconfig.yaml`;
    const reads = kubeadmManifest.replace("    image:", `    - --encryption-provider-config=${stray}\n    image:`);
    const { at, disk, file } = staticPod(reads, { [stray]: seedConfiguration() });
    const fleet = createHostsFleet({ hosts: [at()] });
    await fleet.setUp?.("cp1");
    const [server] = (await fleet.observe(new AbortController().signal)).servers;
    assert.equal(server?.setUp, undefined, "there is nothing to set up while it is away");
    await fleet.setUp?.("cp1");
    assert.equal(textOf(disk, stray), seedConfiguration());
    await fleet.undoSetUp?.("cp1");
    assert.equal(textOf(disk, file), reads);
    await fleet.close();
  });

  it("the copy of what it was before is damaged => nothing is changed, and what to do is said", async () => {
    const { at, disk, file } = staticPod();
    await setUpHost(at(), version, 1_000);
    const set = textOf(disk, file);
    const copy = `${places.backupDirectory}/${fileHash(Buffer.from(kubeadmManifest)).slice("sha256:".length)}.yaml`;
    put(disk, copy, Buffer.from("half"), 0o600);
    await assert.rejects(
      undoSetUp(at()),
      (error: KmsEtcdError) => error.code === "not-found" && error.remedy?.includes(file) === true,
    );
    assert.equal(textOf(disk, file), set);
  });
});
