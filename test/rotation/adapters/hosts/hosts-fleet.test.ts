import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { EncryptionConfiguration } from "../../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../../core/errors";
import { pluginInstance } from "../../../../core/plugin-instance";
import { fileHash } from "../../../../rotation/adapters/hosts/file-hash";
import type { Host } from "../../../../rotation/adapters/hosts/host";
import { createHostsFleet, type HostsFleet } from "../../../../rotation/adapters/hosts/hosts-fleet";
import { type FakeAnswer, type FakeApiServer, fakeApiServer, fakeStore } from "../kubernetes/api-server-fake";
import { apiServerManifestText, fleetHost, paths } from "./fleet-host";
import { type MemoryDisk, memoryDisk, memoryHost, put, textOf } from "./memory-host";

const idHash = (name: string) => `sha256:${createHash("sha256").update(`apiserver-${name}`).digest("hex")}`;
const config = (more = "") =>
  `apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n  - resources: [secrets]\n    providers:\n${more}      - identity: {}\n`;
const kms = (path: string, name = "k1") => `      - kms: {apiVersion: v2, name: ${name}, endpoint: "unix://${path}"}\n`;
const hashOf = (text: string) => fileHash(Buffer.from(text));
const plugin = pluginInstance({ kind: "local", file: "/keys/1", keyId: "local-1" });

interface Server {
  readonly api: FakeApiServer;
  readonly disk: MemoryDisk;
  host: Host;
  loaded: string;
  startedAt: number;
  version: string;
  readyz: FakeAnswer;
}

describe("a fleet of hosts", function () {
  this.timeout(30_000); // other work may share the machine
  const signal = new AbortController().signal;
  let servers: Server[];
  let fleet: HostsFleet;
  let leases: { readonly hostName: string; readonly age: number }[];

  beforeEach(async () => {
    leases = [
      { hostName: "cp1", age: 1 },
      { hostName: "cp2", age: 1 },
    ];
    servers = await Promise.all(
      ["cp1", "cp2"].map(async (name) => {
        const disk = memoryDisk({ [paths.config]: config(), [paths.apiServer]: apiServerManifestText });
        const api = await fakeApiServer(fakeStore(), name, "k");
        const server: Server = {
          api,
          disk,
          host: memoryHost(disk, undefined, undefined, name),
          loaded: hashOf(config()),
          startedAt: 1_700_000_000_000,
          version: "v1.36.3",
          readyz: { status: 200, body: "ok" },
        };
        api.intercept = (_, path) => answer(server, name, path);
        return server;
      }),
    );
    open();
  });
  afterEach(async () => {
    await fleet.close();
    await Promise.all(servers.map((server) => server.api.close()));
  });

  function open(): void {
    fleet = createHostsFleet({
      hosts: servers.map((server) => fleetHost(server.host, server.api.url)),
      observeTimeout: 1_000,
    });
  }

  function answer(server: Server, name: string, path: string): FakeAnswer | undefined {
    if (path.startsWith("/readyz")) return server.readyz;
    if (path === "/version") return { status: 200, body: { gitVersion: server.version } };
    if (path === "/metrics") {
      const info = `apiserver_encryption_config_controller_last_config_info{apiserver_id_hash="${idHash(name)}",hash="${server.loaded}"} 1`;
      return { status: 200, body: `${info}\nprocess_start_time_seconds ${server.startedAt / 1_000}\n` };
    }
    if (!path.includes("/leases")) return undefined;
    const items = leases.map(({ hostName, age }) => ({
      metadata: { name: `apiserver-${hostName}`, labels: { "kubernetes.io/hostname": hostName } },
      spec: { renewTime: new Date(Date.now() - age * 1_000).toISOString() },
    }));
    return { status: 200, body: { items } };
  }

  const look = async (index = 0) => {
    const seen = (await fleet.observe(signal)).servers[index];
    assert.ok(seen);
    return seen;
  };
  const server = (index: number): Server => {
    const found = servers[index];
    assert.ok(found);
    return found;
  };

  it("a well server => its version, flags, file, and what it has loaded", async () => {
    const seen = await look();
    assert.deepEqual(
      { ...seen, file: seen.file?.hash, loaded: { ...seen.loaded, config: seen.loaded.config !== undefined } },
      {
        name: "cp1",
        unreachable: undefined,
        notReady: undefined,
        version: "v1.36.3",
        reload: "hot",
        heardKeyIds: [],
        processStartedAt: 1_700_000_000_000,
        restartRequestedAt: undefined,
        requestTimeout: 15_000,
        file: hashOf(config()),
        loaded: {
          hash: hashOf(config()),
          config: true,
          since: 1_700_000_000_000,
          basis: "apiserver_encryption_config_controller_last_config_info",
          failures: 0,
        },
        plugins: [],
      },
    );
    assert.equal((await fleet.observe(signal)).discovery, "API server identity Leases in kube-system: 2 live");
  });

  it("another file than the loaded one => the loaded configuration is known from its backup, and by its hash", async () => {
    const written = {
      blocks: [
        {
          resources: ["secrets"],
          providers: [
            { kind: "kms" as const, apiVersion: "v2" as const, name: "k1", endpoint: fleet.endpoint(plugin) },
            { kind: "identity" as const },
          ],
        },
      ],
    };
    await fleet.writeConfig({ server: "cp1", expectedHash: hashOf(config()), config: written });
    const seen = await look();
    assert.deepEqual(seen.file?.config, written);
    assert.ok(
      textOf(server(0).disk, paths.config)?.includes(`unix://${paths.sockets}/`),
      "the host's own socket directory is in its file",
    );
    assert.equal(seen.loaded.hash, hashOf(config()));
    assert.deepEqual(seen.loaded.config?.blocks[0]?.providers, [{ kind: "identity" }]);
    assert.ok(seen.file);
    assert.deepEqual(fleet.configOf(seen.file.hash), written);
    await fleet.restoreConfig("cp1", seen.file.hash, hashOf(config()));
    assert.equal(textOf(server(0).disk, paths.config), config());
  });

  it("a loaded configuration that nobody kept => its hash, and nothing made up", async () => {
    server(0).loaded = `sha256:${"0".repeat(64)}`;
    const seen = await look();
    assert.deepEqual([seen.loaded.hash, seen.loaded.config], [server(0).loaded, undefined]);
  });

  it("not ready => the checks that fail, by name", async () => {
    server(0).readyz = {
      status: 500,
      body: "[+]ping ok\n[-]kms-providers failed: reason withheld\n[+]log ok\n[-]informer-sync failed: reason withheld\nreadyz check failed\n",
    };
    assert.equal((await look()).notReady, "kms-providers, informer-sync");
  });

  it("an API server that is down => unreachable with the reason, its host's file and plugins are still seen", async () => {
    put(
      server(0).disk,
      `${paths.manifests}/p.yaml`,
      Buffer.from(
        `kind: Pod\nmetadata: {name: ${plugin.name}, labels: {component: kms-etcd-plugin}}\nspec: {containers: [{command: [x, "--listen-addr=unix:///host/run/p"]}]}\n`,
      ),
      0o600,
    );
    server(0).api.intercept = () => ({ status: 0, reset: true });
    const seen = await look();
    assert.match(seen.unreachable ?? "", /^cp1: GET \/(readyz|version|metrics)/);
    assert.equal(seen.file?.hash, hashOf(config()));
    assert.deepEqual(
      seen.plugins.map((found) => [found.name, found.keyId]),
      [[plugin.name, undefined]],
    );
    assert.match(seen.plugins[0]?.problem ?? "", /no sockets here/);
    assert.equal((await look(1)).unreachable, undefined);
  });

  it("a host whose files hang, or an API server that does => unreachable in time, and the other is seen", async () => {
    await fleet.close();
    server(0).host = { ...server(0).host, readFile: () => new Promise(() => {}) };
    server(1).api.delay = 3_000;
    open();
    const begun = Date.now();
    const { servers: seen } = await fleet.observe(signal);
    assert.ok(Date.now() - begun < 2_500);
    assert.match(seen[0]?.unreachable ?? "", /did not answer in time/);
    assert.match(seen[1]?.unreachable ?? "", /in time/);
  });

  it("a file that is no configuration => its hash, and why, with line but nothing of its text; the server is still seen", async () => {
    const garbage = "kind: EncryptionConfiguration\nresources: ['c2VjcmV0\n";
    put(server(0).disk, paths.config, Buffer.from(garbage), 0o600);
    const seen = await look();
    assert.deepEqual([seen.unreachable, seen.file], [undefined, undefined]);
    assert.equal(seen.fileProblem?.hash, hashOf(garbage));
    assert.match(seen.fileProblem.reason, /config\.yaml: encryption configuration: line \d+ is not YAML/);
    assert.equal(seen.loaded.hash, hashOf(config()));
    assert.ok(!JSON.stringify(seen).includes("c2Vj"));
  });

  it("a file that may not be read => said so, without a hash; the server is still seen", async () => {
    await fleet.close();
    const { readFile } = server(0).host;
    server(0).host = {
      ...server(0).host,
      readFile: (path) => {
        if (path !== paths.config) return readFile(path);
        throw new KmsEtcdError("permission-denied", `cp1: cannot read ${path}: EACCES`);
      },
    };
    open();
    const seen = await look();
    assert.deepEqual(seen.fileProblem, { reason: `cp1: cannot read ${paths.config}: EACCES`, hash: undefined });
    assert.equal(seen.unreachable, undefined);
  });

  it("what a host can go back to: what was loaded when the engine wrote, until that is seen loaded", async () => {
    const before = hashOf(config());
    const key = { name: "a", secret: "c2VjcmV0" };
    const other: EncryptionConfiguration = {
      blocks: [{ resources: ["secrets"], providers: [{ kind: "identity" }, { kind: "secretbox", keys: [key] }] }],
    };
    assert.equal((await look()).fallback, undefined);
    await fleet.writeConfig({ server: "cp1", expectedHash: before, config: other, loadedHash: before });
    const written = await look();
    assert.equal(written.fallback?.hash, before);
    // Somebody spoils the file: what the engine wrote last is the better one to go back to.
    const text = server(0).disk.files.get(paths.config)?.bytes ?? Buffer.alloc(0);
    put(server(0).disk, paths.config, Buffer.from("spoilt"), 0o600);
    assert.equal((await look()).fallback?.hash, written.file?.hash);
    put(server(0).disk, paths.config, text, 0o600);
    await fleet.confirmLoaded?.("cp1", written.file?.hash ?? "");
    assert.equal((await look()).fallback, undefined);
  });

  it("no configuration file => none, with the server still seen", async () => {
    server(0).disk.files.delete(paths.config);
    const seen = await look();
    assert.deepEqual([seen.unreachable, seen.file], [undefined, undefined]);
  });

  it("plugins: ours by their manifests, others by the sockets that the configuration names, none made up", async () => {
    put(
      server(0).disk,
      paths.config,
      Buffer.from(config(kms("/host/run/gone.socket") + kms("/var/other/kms.sock", "theirs"))),
      0o600,
    );
    put(
      server(0).disk,
      `${paths.manifests}/theirs.yaml`,
      Buffer.from(
        "kind: Pod\nmetadata: {name: vault-kms}\nspec: {containers: [{command: [x, --socket=/var/other/kms.sock]}]}\n",
      ),
      0o600,
    );
    await fleet.startPlugin("cp1", plugin);
    const seen = await look();
    assert.deepEqual(
      new Map(seen.plugins.map((found) => [found.name, found.endpoint])),
      new Map([
        [plugin.name, fleet.endpoint(plugin)],
        ["vault-kms", "unix:///var/other/kms.sock"],
      ]),
    );
    await fleet.stopPlugin("cp1", plugin.name);
    assert.deepEqual(
      (await look()).plugins.map((found) => found.name),
      ["vault-kms"],
    );
  });

  it("a restart is pending from when it was asked for until another process runs", async () => {
    await fleet.restart("cp1");
    const asked = server(0).disk.files.get(paths.apiServer)?.modifiedAt;
    assert.equal((await look()).restartRequestedAt, asked);
    await fleet.restart("cp1");
    assert.equal(server(0).disk.files.get(paths.apiServer)?.modifiedAt, asked, "asking again changes nothing");
    server(0).startedAt += 30_000;
    assert.equal((await look()).restartRequestedAt, undefined);
    await fleet.restart("cp1");
    assert.notEqual(
      server(0).disk.files.get(paths.apiServer)?.modifiedAt,
      asked,
      "and another restart can be asked for",
    );
  });

  it("a process start that wavers by a second is one process; a later one is another", async () => {
    await look();
    server(0).startedAt += 1_000;
    assert.equal((await look()).processStartedAt, 1_700_000_000_000);
    server(0).startedAt += 5_000;
    assert.equal((await look()).processStartedAt, 1_700_000_006_000);
  });

  it("a live server that is not listed => its host name; a listed one that is away for the moment is not taken for one", async () => {
    await look();
    server(1).api.intercept = () => ({ status: 0, reset: true });
    assert.deepEqual((await fleet.observe(signal)).unlistedServers, []);
    leases = [...leases, { hostName: "cp9", age: 5 }, { hostName: "cp8", age: 300 }];
    assert.deepEqual((await fleet.observe(signal)).unlistedServers, ["cp9"]);
  });

  it("an unknown server => invalid-input, naming those that are known", async () => {
    await assert.rejects(
      async () => fleet.restart("cp7"),
      (error: KmsEtcdError) => error.code === "invalid-input" && error.message.includes("cp7 is not one of cp1, cp2"),
    );
  });

  it("one endpoint a plugin, on every host", () => {
    assert.equal(fleet.endpoint(plugin), `unix:///run/kms-etcd/${plugin.socketFile}`);
  });
});
