import assert from "node:assert/strict";
import { createHostsFleet, type HostsFleet } from "../../../../rotation/adapters/hosts/hosts-fleet";
import { type FakeApiServer, fakeApiServer, fakeStore } from "../kubernetes/api-server-fake";
import { apiServerManifestText, fleetHost, paths } from "./fleet-host";
import { type MemoryDisk, memoryDisk, memoryHost, put } from "./memory-host";

const config = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - identity: {}
`;

/** A host whose clock differs: what it says of its files and of its API server's process is by that clock. */
describe("a host whose clock differs from ours", () => {
  const hour = 3_600_000;
  let api: FakeApiServer;
  let disk: MemoryDisk;
  let fleet: HostsFleet;
  let metrics: Readonly<Record<string, number>>;

  async function open(ahead: number, changedAt?: number): Promise<void> {
    disk = memoryDisk({ [paths.apiServer]: apiServerManifestText });
    api = await fakeApiServer(fakeStore(), "cp1", "k");
    api.intercept = (_, path) => {
      if (path.startsWith("/readyz")) return { status: 200, body: "ok" };
      // This version names no loaded file: times are all there is.
      if (path === "/version") return { status: 200, body: { gitVersion: "v1.31.0" } };
      if (path !== "/metrics") return undefined;
      return {
        status: 200,
        body: Object.entries(metrics)
          .map(([name, value]) => `${name} ${value}\n`)
          .join(""),
      };
    };
    const told = changedAt === undefined ? {} : { changedAt: async () => changedAt };
    const host = { ...memoryHost(disk), ...told, clockAhead: async () => ahead };
    fleet = createHostsFleet({ hosts: [fleetHost(host, api.url)], observeTimeout: 2_000 });
  }
  afterEach(async () => {
    await fleet.close();
    await api.close();
  });

  function writeConfig(at: number): void {
    put(disk, paths.config, Buffer.from(config), 0o600);
    const file = disk.files.get(paths.config) ?? assert.fail();
    disk.files.set(paths.config, { ...file, modifiedAt: at });
  }
  const look = async () => (await fleet.observe(new AbortController().signal)).servers[0] ?? assert.fail();
  const lastSuccess =
    'apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{status="success"}';

  for (const ahead of [0, hour, -hour]) {
    it(`${ahead / hour} h ahead => times are ours, and what is loaded is known by the host's own clock`, async () => {
      await open(ahead);
      const there = Date.now() + ahead;
      writeConfig(there - 20_000);
      metrics = { process_start_time_seconds: (there - 5_000) / 1_000 };
      const seen = await look();
      assert.equal(seen.loaded.basis, "process start after the write, by the file's modification time alone");
      for (const [time, age] of [
        [seen.file?.writtenAt, 20_000],
        [seen.processStartedAt, 5_000],
        [seen.loaded.since, 5_000],
      ] as const) {
        assert.ok(Math.abs(Date.now() - age - (time ?? 0)) < 2_000, `${time} is not ${age} ms ago`);
      }
    });

    it(`${ahead / hour} h ahead => an older file that was copied over after the process start is not taken for loaded`, async () => {
      const there = Date.now() + ahead;
      await open(ahead, there - 3_000);
      writeConfig(there - 24 * hour);
      metrics = { process_start_time_seconds: (there - 10_000) / 1_000 };
      assert.equal((await look()).loaded.hash, undefined);
      metrics = { process_start_time_seconds: (there - 1_000) / 1_000 };
      assert.equal((await look()).loaded.basis, "process start after the write");
    });

    it(`${ahead / hour} h ahead => a process from before the write, and a reload that may have begun before it, prove nothing`, async () => {
      await open(ahead);
      const there = Date.now() + ahead;
      writeConfig(there - 10_000);
      metrics = { process_start_time_seconds: (there - 15_000) / 1_000, [lastSuccess]: (there - 2_000) / 1_000 };
      assert.equal((await look()).loaded.hash, undefined);
    });

    it(`${ahead / hour} h ahead => a reload after which a whole poll went by proves it`, async () => {
      await open(ahead);
      const there = Date.now() + ahead;
      writeConfig(there - 90_000);
      metrics = { process_start_time_seconds: (there - 600_000) / 1_000, [lastSuccess]: (there - 85_000) / 1_000 };
      assert.notEqual((await look()).loaded.hash, undefined);
    });
  }
});
