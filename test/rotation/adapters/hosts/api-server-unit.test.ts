import assert from "node:assert/strict";
import { KmsEtcdError } from "../../../../core/errors";
import { pluginInstance } from "../../../../core/plugin-instance";
import { fileHash } from "../../../../rotation/adapters/hosts/file-hash";
import type { FleetHost } from "../../../../rotation/adapters/hosts/fleet-host";
import { requestRestart, startHostPlugin, stopHostPlugin } from "../../../../rotation/adapters/hosts/host-actions";
import { hostSetUpNeed, plaintextConfigText, setUpHost } from "../../../../rotation/adapters/hosts/host-setup";
import { observePlugins } from "../../../../rotation/adapters/hosts/observe-plugins";
import { apiServerDefinition } from "../../../../rotation/adapters/hosts/read-api-server";
import { selfManagedPluginManifest } from "../../../../rotation/adapters/hosts/self-managed-hosts";
import { undoSetUp } from "../../../../rotation/adapters/hosts/undo-set-up";
import { isUnitAsWritten } from "../../../../rotation/adapters/systemd/sealed-unit";
import { fleetHost } from "./fleet-host";
import { Killed, type KillMode, type MemoryDisk, memoryDisk, memoryHost, put, textOf } from "./memory-host";
import { type MemoryUnits, memoryUnits } from "./memory-units";

const unit = "kube-apiserver.service";
const folder = "/etc/systemd/system";
const unitFile = `${folder}/${unit}`;
const dropIn = `${unitFile}.d/zz-kms-etcd.conf`;
const version = "v1.36.3";
const command = "/usr/bin/kube-apiserver $ARGS --secure-port=6443";
const unitText = `[Service]\nEnvironmentFile=-/etc/default/api\nExecStart=${command}\nRestart=always\n`;
const layout = {
  manifestDirectory: folder,
  apiServerManifest: unit,
  encryptionConfigFile: "/etc/kubernetes/kms-etcd/encryption-config.yaml",
  pluginSocketDirectory: "/run/kms-etcd",
  backupDirectory: "/var/lib/kms-etcd",
  apiServerUnit: unit,
};
const added = `--encryption-provider-config=${layout.encryptionConfigFile} --encryption-provider-config-automatic-reload=true`;
const key = { kind: "azure", vaultName: "v", keyName: "k", keyVersion: "1".repeat(32) } as const;
const plugin = pluginInstance(key);
const settings = { program: ["/opt/node", "/opt/plug in.js"], environment: { HTTPS_PROXY: "http://u:p%20@x/$y" } };

function at(disk: MemoryDisk, control: MemoryUnits, kill?: Parameters<typeof memoryHost>[1]): FleetHost {
  return {
    ...fleetHost(memoryHost(disk, kill)),
    ...layout,
    systemd: { control, apiServerUnit: unit },
    mayBeSetUp: true,
    pluginManifest: (instance, present) => selfManagedPluginManifest(instance, present, layout, settings),
  };
}

function machine(files: Readonly<Record<string, string>> = {}) {
  const disk = memoryDisk({ [unitFile]: unitText, "/etc/default/api": 'ARGS="--etcd-prefix=/x --v=2"\n', ...files });
  const control = memoryUnits(disk);
  return { disk, control, host: at(disk, control) };
}

async function needOf(host: FleetHost, runningSince?: number) {
  return hostSetUpNeed(host, (await apiServerDefinition(host)) ?? assert.fail("no unit"), version, runningSince);
}

describe("an API server that is a unit", () => {
  it("its flags are those of the unit with its variables", async () => {
    const { manifest } = (await apiServerDefinition(machine().host)) ?? assert.fail();
    assert.deepEqual(manifest.arguments, [
      "/usr/bin/kube-apiserver",
      "--etcd-prefix=/x",
      "--v=2",
      "--secure-port=6443",
    ]);
    assert.equal(
      await apiServerDefinition({
        ...machine().host,
        systemd: { control: machine().control, apiServerUnit: "x.service" },
      }),
      undefined,
    );
  });

  it("set up => a drop-in with the same command line and two flags more, loaded and restarted; then nothing is lacking", async () => {
    const { disk, control, host } = machine();
    assert.match(
      (await needOf(host))?.reason ?? "",
      /^kube-apiserver\.service: there is no --encryption-provider-config/,
    );
    await setUpHost(host, version, 1_000);
    assert.equal(control.started(unit), `${command} ${added}`);
    assert.deepEqual(control.asked, [`restart ${unit}`]);
    assert.equal(textOf(disk, unitFile), unitText);
    assert.equal(textOf(disk, layout.encryptionConfigFile), plaintextConfigText);
    assert.ok(isUnitAsWritten(textOf(disk, dropIn) ?? ""));
    assert.equal(await needOf(host), undefined);
  });

  it("what somebody has set stays: automatic reload, and a configuration elsewhere moves byte for byte", async () => {
    const own = "--encryption-provider-config=/etc/old.yaml --encryption-provider-config-automatic-reload=false";
    const config = `# theirs\n${plaintextConfigText}`;
    const { disk, control, host } = machine({
      [unitFile]: unitText.replace("$ARGS", `$ARGS ${own}`),
      "/etc/old.yaml": config,
    });
    await setUpHost(host, version, 1_000);
    assert.equal(textOf(disk, layout.encryptionConfigFile), config);
    assert.ok(
      control
        .started(unit)
        ?.endsWith(`=false --secure-port=6443 --encryption-provider-config=${layout.encryptionConfigFile}`),
    );
    assert.equal(await needOf(host), undefined);
  });

  it("a server that does not come up => the drop-in goes, and the unit runs as before", async () => {
    const { disk, control, host } = machine();
    await setUpHost(host, version, 1_000);
    await undoSetUp(host);
    assert.equal(textOf(disk, dropIn), undefined);
    assert.equal(control.started(unit), command);
  });

  it("a unit that was changed since => its new command line is taken over", async () => {
    const { disk, control, host } = machine();
    await setUpHost(host, version, 1_000);
    put(disk, unitFile, Buffer.from(unitText.replace("6443", "7443")), 0o644);
    assert.match((await needOf(host))?.reason ?? "", /somebody has changed the unit's ExecStart= since/);
    await setUpHost(host, version, 2_000);
    assert.equal(control.started(unit), `${command.replace("6443", "7443")} ${added}`);
  });

  const refusals: Readonly<Record<string, readonly [Readonly<Record<string, string>>, RegExp]>> = {
    "a script": [{ [unitFile]: "[Service]\nExecStart=/bin/sh -c 'exec kube-apiserver'\n" }, /no single ExecStart=/],
    "two commands": [{ [unitFile]: "[Service]\nExecStart=/bin/a ; /bin/kube-apiserver\n" }, /no single ExecStart=/],
    "a user of its own": [{ [unitFile]: `${unitText}User=kube\n` }, /does not run as root/],
  };
  for (const [what, [files, message]] of Object.entries(refusals)) {
    it(`${what} => refused, with what to do, and nothing is written`, async () => {
      const { control, host } = machine(files);
      const need = await needOf(host);
      assert.match(need?.reason ?? "", message);
      assert.ok(need?.refused);
      assert.deepEqual(control.asked, []);
    });
  }

  it("a drop-in behind ours with a command line of its own => refused, not written again and again", async () => {
    const { disk, control, host } = machine();
    await setUpHost(host, version, 1_000);
    put(
      disk,
      `${unitFile}.d/zzz.conf`,
      Buffer.from("[Service]\nExecStart=\nExecStart=/usr/bin/kube-apiserver\n"),
      0o644,
    );
    await control.reload();
    assert.match((await needOf(host))?.reason ?? "", /somebody has changed --encryption-provider-config/);
    await assert.rejects(setUpHost(host, version, 2_000), (error: KmsEtcdError) => error.code === "conflict");
  });

  it("our drop-in, edited => neither set-up nor restart overwrites it", async () => {
    const { disk, host } = machine();
    await setUpHost(host, version, 1_000);
    const edited = (textOf(disk, dropIn) ?? "").replace("--secure-port=6443", "--secure-port=1");
    put(disk, dropIn, Buffer.from(edited), 0o600);
    await assert.rejects(requestRestart(host, 2_000), (error: KmsEtcdError) => error.code === "blocked");
    assert.equal(textOf(disk, dropIn), edited);
  });

  it("a restart is asked for once while systemd is at it, and again where it was lost", async () => {
    const { control, host } = machine();
    await setUpHost(host, version, 1_000);
    control.jobs.add(unit);
    await requestRestart(host, 1_000);
    assert.deepEqual(control.asked, [`restart ${unit}`]);
    control.jobs.clear();
    await requestRestart(host, 1_000);
    assert.deepEqual(control.asked, [`restart ${unit}`, `restart ${unit}`]);
    assert.equal(control.started(unit), `${command} ${added}`);
  });

  it("setting up, cut off anywhere => doing it again ends the same", async () => {
    const wanted = machine();
    const counted = memoryHost(wanted.disk);
    await setUpHost({ ...wanted.host, host: counted }, version, 1_000);
    for (const mode of ["before", "middle", "after"] as const satisfies readonly KillMode[]) {
      for (let step = 0; step < counted.steps(); step++) {
        const { disk, control, host } = machine();
        await assert.rejects(setUpHost(at(disk, control, { step, mode }), version, 1_000), Killed);
        await setUpHost(host, version, 1_000);
        assert.equal(control.started(unit), `${command} ${added}`, `${mode} step ${step}`);
        assert.equal(textOf(disk, layout.encryptionConfigFile), plaintextConfigText);
        assert.equal(await needOf(host, 5_000), undefined);
      }
    }
  });

  it("the same where the old process did not answer when it was written down => known by being older than the file", async () => {
    const { disk, control, host } = machine();
    const cut = { ...control, reload: () => Promise.reject(new Killed()) };
    let reloads = 0;
    const once = { ...cut, reload: () => (reloads++ === 0 ? Promise.resolve() : cut.reload()) };
    await assert.rejects(
      setUpHost({ ...host, systemd: { apiServerUnit: unit, control: once } }, version, undefined),
      Killed,
    );
    const writtenAt = disk.files.get(dropIn)?.modifiedAt ?? assert.fail();
    assert.match(
      (await needOf(host, writtenAt - 60_000))?.reason ?? "",
      /the restart that it was to make has not come/,
    );
    assert.equal(await needOf(host, writtenAt + 500), undefined);
    await setUpHost(host, version, writtenAt - 60_000);
    assert.equal(control.started(unit), `${command} ${added}`);
  });

  it("a restart that was lost with the engine's connection => is lacking while the old process runs, and is made", async () => {
    const { control, host } = machine();
    const cut = { ...control, restart: () => Promise.reject(new Killed()) };
    await assert.rejects(
      setUpHost({ ...host, systemd: { apiServerUnit: unit, control: cut } }, version, 1_000),
      Killed,
    );
    assert.match((await needOf(host, 1_000))?.reason ?? "", /the restart that it was to make has not come/);
    assert.equal(await needOf(host, 5_000), undefined);
    await setUpHost(host, version, 1_000);
    assert.equal(control.started(unit), `${command} ${added}`);
  });
});

describe("a plugin that is a unit", () => {
  const file = `${folder}/${plugin.name}.service`;
  const lookAtAll = (host: FleetHost) =>
    observePlugins({ ...host, socketDirectory: layout.pluginSocketDirectory, configs: [] }, AbortSignal.timeout(5_000));
  const look = async (host: FleetHost) => (await lookAtAll(host)).plugins;

  it("starts with its flags, at every boot, before the API server, and keeps what a shell would read", async () => {
    const { disk, control, host } = machine();
    await startHostPlugin(host, plugin);
    const text = textOf(disk, file) ?? "";
    assert.match(
      control.started(`${plugin.name}.service`) ?? "",
      /^\/opt\/node "\/opt\/plug in\.js" azure --keyvault-name=v /,
    );
    assert.match(
      text,
      /^Environment="HTTPS_PROXY=http:\/\/u:p%%20@x\/\$y"$|^Environment=HTTPS_PROXY=http:\/\/u:p%%20@x\/\$y$/m,
    );
    assert.match(text, /^Before=kube-apiserver\.service$/m);
    assert.match(text, /^RuntimeDirectory=kms-etcd$/m);
    assert.match(text, /^WantedBy=multi-user\.target$/m);
    assert.equal(disk.files.get(file)?.mode, 0o600);
    await startHostPlugin(host, plugin);
    assert.equal(textOf(disk, file), text);
  });

  it("written and not started, because the engine was cut off => it is not there, and is started", async () => {
    const { disk, control, host } = machine();
    await assert.rejects(
      startHostPlugin(
        {
          ...host,
          systemd: { apiServerUnit: unit, control: { ...control, enable: () => Promise.reject(new Killed()) } },
        },
        plugin,
      ),
      Killed,
    );
    assert.ok(textOf(disk, file));
    assert.deepEqual(await look(host), []);
    await startHostPlugin(host, plugin);
    assert.equal((await look(host)).length, 1);
  });

  it("other settings => another process with them; cut off in between, it is not there, and is started", async () => {
    const { disk, control, host } = machine();
    await startHostPlugin(host, plugin);
    const changed: FleetHost = {
      ...host,
      pluginManifest: (wanted, present) =>
        host.pluginManifest(wanted, present).replace("--keyvault-name=v", "--keyvault-name=w"),
    };
    const reload = () => Promise.reject(new Killed());
    await assert.rejects(
      startHostPlugin({ ...changed, systemd: { apiServerUnit: unit, control: { ...control, reload } } }, plugin),
      Killed,
    );
    assert.match(textOf(disk, file) ?? "", /--keyvault-name=w/);
    assert.deepEqual(await look(changed), []);
    assert.equal(control.asked.at(-1), `stop ${plugin.name}.service`, "it starts at boot all the same");
    await startHostPlugin(changed, plugin);
    assert.match(control.started(`${plugin.name}.service`) ?? "", /--keyvault-name=w/);
    assert.equal((await look(changed)).length, 1);
  });

  it("other settings that cannot be written => the plugin that was there goes on, also at boot", async () => {
    const { control, host } = machine();
    await startHostPlugin(host, plugin);
    const before = control.started(`${plugin.name}.service`);
    const full = { ...host.host, createFile: () => Promise.reject(new KmsEtcdError("blocked", "the disk is full")) };
    const changed: FleetHost = {
      ...host,
      host: full,
      pluginManifest: (wanted, present) =>
        host.pluginManifest(wanted, present).replace("--keyvault-name=v", "--keyvault-name=w"),
    };
    await assert.rejects(startHostPlugin(changed, plugin), /the disk is full/);
    assert.equal(control.started(`${plugin.name}.service`), before);
    assert.equal(control.asked.at(-1), `enable ${plugin.name}.service`);
  });

  it("stopped => disabled before its file goes; edited => kept in the backups", async () => {
    const { disk, control, host } = machine();
    await startHostPlugin(host, plugin);
    const edited = `${textOf(disk, file)}# mine\n`;
    put(disk, file, Buffer.from(edited), 0o600);
    await stopHostPlugin(host, plugin.name);
    assert.deepEqual(control.asked.slice(1), [`disable ${plugin.name}.service`]);
    assert.equal(textOf(disk, file), undefined);
    assert.ok(textOf(disk, `${layout.backupDirectory}/${fileHash(Buffer.from(edited)).slice("sha256:".length)}.yaml`));
  });

  it("stopping it is cut off between systemd and its file => it is seen as idle, and stopping it again ends it", async () => {
    const { disk, control, host } = machine();
    await startHostPlugin(host, plugin);
    assert.deepEqual((await lookAtAll(host)).idlePlugins, []);
    await assert.rejects(stopHostPlugin(at(disk, control, { step: 0, mode: "before" }), plugin.name), Killed);
    assert.ok(textOf(disk, file));
    assert.deepEqual(await lookAtAll(host), { plugins: [], idlePlugins: [plugin.name] });
    await stopHostPlugin(host, plugin.name);
    assert.equal(textOf(disk, file), undefined);
    assert.deepEqual(await lookAtAll(host), { plugins: [], idlePlugins: [] });
  });

  it("edited => not overwritten, and the places are named without values", async () => {
    const { disk, host } = machine();
    await startHostPlugin(host, plugin);
    put(disk, file, Buffer.from((textOf(disk, file) ?? "").replace("Restart=always", "Restart=no")), 0o600);
    await assert.rejects(startHostPlugin(host, plugin), (error: KmsEtcdError) => {
      assert.equal(error.code, "blocked");
      assert.match(error.message, /differs in \[Service\] Restart$/);
      return true;
    });
  });
});
