import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import type { EncryptionConfiguration } from "../../core/encryption-configuration";
import { KmsEtcdError } from "../../core/errors";
import { etcdClient } from "../../rotation/adapters/etcd/etcd-client";
import { resourceKeyPrefix } from "../../rotation/adapters/etcd/etcd-keys";
import type { HostsFleet } from "../../rotation/adapters/hosts/hosts-fleet";
import { createLocalFleet, createLocalStoredObjects } from "../../rotation/adapters/hosts/local-fleet";
import { apiClient } from "../../rotation/adapters/kubernetes/api-client";
import { discoverResources, resourcePath } from "../../rotation/adapters/kubernetes/resources";
import { createStoredObjects } from "../../rotation/adapters/kubernetes/stored-objects";
import type { FleetObservation } from "../../rotation/fleet";
import type { ServerState, StoredKey } from "../../rotation/observation";
import type { StoredObjects } from "../../rotation/stored-objects";
import { type RealCluster, realCluster } from "./support/real-cluster";

const signal = new AbortController().signal;
const counted = ({ key, objects }: StoredKey) => ({ key, objects });
const quiet = () => undefined;
const secretCount = 300;
const pandaCount = 20;

// Servers that read their configuration at start only: a restart takes seconds, a reload up to a minute.
describe("the adapters on a real control plane", function () {
  this.timeout(300_000);
  let cluster: RealCluster;
  let fleet: HostsFleet;
  let byEtcd: StoredObjects;
  let byApi: StoredObjects;

  before(async () => {
    cluster = await realCluster({ automaticReload: false });
    fleet = createLocalFleet(cluster.controlPlane);
    byEtcd = createLocalStoredObjects(cluster.controlPlane, fleet, "etcd");
    byApi = createLocalStoredObjects(cluster.controlPlane, fleet, "api");
    await cluster.createSecrets(secretCount);
    await createPandas();
  });
  after(async () => {
    await Promise.all([byEtcd.close(), byApi.close(), fleet.close()]);
    await cluster.close();
  });

  const names = () => cluster.controlPlane.hosts.map((host) => host.name);
  const tls = (files: { caFile: string; certFile: string; keyFile: string }) => ({
    ca: readFileSync(files.caFile, "utf8"),
    cert: readFileSync(files.certFile, "utf8"),
    key: readFileSync(files.keyFile, "utf8"),
  });
  const addresses = () =>
    cluster.controlPlane.hosts.map((host) => ({ name: host.name, url: host.apiServerUrl, tls: tls(host.client) }));

  async function createPandas(): Promise<void> {
    const crd = {
      metadata: { name: "pandas.example.com" },
      spec: {
        group: "example.com",
        scope: "Namespaced",
        names: { plural: "pandas", singular: "panda", kind: "Panda" },
        versions: ["v2", "v1"].map((name) => ({
          name,
          served: true,
          storage: name === "v1",
          schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
        })),
      },
    };
    const made = await cluster.request(0, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd);
    assert.equal(made.status, 201, made.text);
    for (let index = 0; index < pandaCount; ) {
      const body = { apiVersion: "example.com/v1", kind: "Panda", metadata: { name: `p${index}` }, secret: "bamboo" };
      const { status, text } = await cluster.request(0, "POST", "/apis/example.com/v1/namespaces/default/pandas", body);
      if (status === 201) index += 1;
      else if (status === 404) await delay(100);
      else assert.fail(text);
    }
  }

  /** By etcd's own JSON gateway. */
  async function inEtcd(method: "put" | "deleterange", texts: Readonly<Record<string, string>>): Promise<void> {
    const { endpoints, client } = cluster.controlPlane.etcd;
    const pool = new Pool(endpoints[0] ?? "", { connect: tls(client) });
    const body = Object.fromEntries(
      Object.entries(texts).map(([name, text]) => [name, Buffer.from(text).toString("base64")]),
    );
    const { statusCode } = await pool.request({ method: "POST", path: `/v3/kv/${method}`, body: JSON.stringify(body) });
    assert.equal(statusCode, 200);
    await pool.close();
  }

  /** Looks until what is looked for is seen, for as long as the test may take. */
  async function until(seen: (observed: FleetObservation) => boolean): Promise<FleetObservation> {
    for (;;) {
      const observed = await fleet.observe(signal);
      if (seen(observed)) return observed;
      await delay(200);
    }
  }

  const states = async (): Promise<readonly ServerState[]> => {
    const observed = await until(({ servers }) => servers.every((server) => server.loaded.hash !== undefined));
    return observed.servers.map(({ name, loaded, processStartedAt }) => ({
      server: name,
      loadedHash: loaded.hash ?? "",
      processStartedAt,
    }));
  };

  /** Writes the configuration everywhere, and restarts one server after the other until each has loaded it. */
  async function rollOut(config: EncryptionConfiguration): Promise<void> {
    for (const [index, name] of names().entries()) {
      const before = (await fleet.observe(signal)).servers[index];
      await fleet.writeConfig({ server: name, expectedHash: before?.file?.hash, config });
      await fleet.restart(name);
      const asked = (await fleet.observe(signal)).servers[index];
      await fleet.restart(name);
      const again = (await fleet.observe(signal)).servers[index];
      // Where the first request has been carried out meanwhile, the second is one of its own.
      const sameProcess = asked?.processStartedAt === again?.processStartedAt;
      if (sameProcess && asked?.restartRequestedAt !== undefined && again?.restartRequestedAt !== undefined) {
        assert.equal(again.restartRequestedAt, asked.restartRequestedAt, "asking again asks for no second restart");
      }
      await until(({ servers }) => {
        const server = servers[index];
        return server?.notReady === undefined && server?.file !== undefined && server.loaded.hash === server.file.hash;
      });
    }
  }

  const readerConfig = (): EncryptionConfiguration => configOf(["identity", "kms"]);
  const writerConfig = (): EncryptionConfiguration => configOf(["kms", "identity"]);
  function configOf(order: readonly ("identity" | "kms")[]): EncryptionConfiguration {
    const endpoint = fleet.endpoint(cluster.keyVersion(1));
    const block = (resource: string) => ({
      resources: [resource],
      providers: order.map((kind) =>
        kind === "identity"
          ? { kind }
          : { kind, apiVersion: "v2" as const, name: `key1-${resource.replace(/\W/g, "-")}`, endpoint, timeout: "3s" },
      ),
    });
    return { blocks: [block("secrets"), block("pandas.example.com")] };
  }
  function targets() {
    const { key } = cluster.keyVersion(1);
    const keyId = key.kind === "local" ? key.keyId : "";
    return ["secrets", "pandas.example.com"].map((resource) => ({
      resource,
      key: { provider: `kms/v2/key1-${resource.replace(/\W/g, "-")}`, keyId },
    }));
  }

  it("every server is seen: version, flags, file, what it has loaded, and that it is listed", async () => {
    const { servers, unlistedServers, discovery } = await until(({ servers: all }) =>
      all.every((server) => server.notReady === undefined),
    );
    assert.deepEqual(unlistedServers, []);
    for (const server of servers) {
      assert.equal(server.unreachable, undefined);
      assert.equal(server.version, `v${cluster.controlPlane.kubernetesVersion}`);
      assert.equal(server.reload, "restart");
      assert.equal(server.requestTimeout, 15_000);
      assert.equal(server.loaded.hash, server.file?.hash);
      assert.deepEqual(server.loaded.config?.blocks[0]?.providers, [{ kind: "identity" }]);
      assert.deepEqual(server.plugins, []);
    }
    assert.match(discovery, cluster.controlPlane.separateHostNames ? /3 live$/ : /share the Lease/);
  });

  it("a live server that is not listed is found by its Lease", async function () {
    if (!cluster.controlPlane.separateHostNames) return this.skip(); // needs root: otherwise all servers share one Lease
    const { hosts } = cluster.controlPlane;
    const partial = createLocalFleet({ ...cluster.controlPlane, hosts: hosts.slice(0, 2) });
    assert.deepEqual((await partial.observe(signal)).unlistedServers, [hosts[2]?.name]);
    await partial.close();
  });

  it("every resource that has objects has them in etcd where the adapter looks for them", async () => {
    const [address] = addresses();
    assert.ok(address);
    const client = apiClient(address);
    const { endpoints, client: files, prefix } = cluster.controlPlane.etcd;
    const etcd = etcdClient({ endpoints, tls: tls(files) });
    let found = 0;
    for (const resource of (await discoverResources(client, signal)).served) {
      const { items } = await client.get<{ items: { metadata: { namespace?: string; name: string } }[] }>(
        `${resourcePath(resource)}?limit=1`,
        "application/json",
        signal,
      );
      const object = items[0]?.metadata;
      if (object === undefined) continue;
      const namespace = object.namespace === undefined ? "" : `${object.namespace}/`;
      const key = Buffer.from(`${resourceKeyPrefix(resource.name, prefix)}${namespace}${object.name}`);
      const range = await etcd.range(
        { key, rangeEnd: Buffer.concat([key, Buffer.alloc(1)]), limit: 1, revision: 0 },
        signal,
      );
      assert.equal(range.count, 1, `${resource.name}: ${key.toString()}`);
      found += 1;
    }
    assert.ok(found >= 15, `${found} resources have objects`);
    etcd.close();
    await client.close();
  });

  it("a plugin is started on every host, answers crosswise, and is seen with its key_id", async () => {
    const plugin = cluster.keyVersion(1);
    for (const name of names()) await fleet.startPlugin(name, plugin);
    const { servers } = await until(({ servers: all }) =>
      all.every((server) => server.plugins[0]?.keyId !== undefined),
    );
    const keyIds = new Set(servers.flatMap((server) => server.plugins.map((seen) => seen.keyId)));
    const proof = await fleet.probeCrosswise(plugin, names(), signal);
    assert.deepEqual(proof, { plugin: plugin.name, servers: names(), keyId: [...keyIds][0], failure: undefined });
    assert.equal(keyIds.size, 1);
  });

  it("READ and WRITE by restart; then every object is rewritten once, Secrets and a CRD's, and nothing else changes in them", async () => {
    await rollOut(readerConfig());
    await rollOut(writerConfig());
    const [before] = (await byEtcd.measure(targets(), await states(), quiet, signal)).resources;
    assert.deepEqual(
      before?.keys.map(({ key, objects }) => [key.provider, objects]),
      [["identity", secretCount]],
    );
    const read = async () => {
      const { text } = await cluster.request(1, "GET", "/api/v1/namespaces/default/secrets/s7");
      const { metadata, ...rest } = JSON.parse(text) as { metadata: Record<string, unknown> };
      return {
        version: metadata["resourceVersion"],
        rest: { ...rest, metadata: { ...metadata, resourceVersion: "" } },
      };
    };
    const old = await read();
    const first = await byEtcd.rewrite(targets(), names(), quiet, signal);
    assert.deepEqual(first, { offered: secretCount + pandaCount, rewritten: secretCount + pandaCount, failures: [] });
    const now = await read();
    assert.notEqual(now.version, old.version);
    assert.deepEqual(now.rest, old.rest);
    assert.equal((await byEtcd.rewrite(targets(), names(), quiet, signal)).rewritten, 0);
  });

  it("etcd and the API servers give the same proof, bound to the servers as they are", async () => {
    const bound = await states();
    const [etcd, api] = [
      await byEtcd.measure(targets(), bound, quiet, signal),
      await byApi.measure(targets(), bound, quiet, signal),
    ];
    assert.deepEqual([etcd.method, api.method], ["etcd", "api"]);
    for (const proof of [etcd, api]) {
      assert.deepEqual(proof.servers, bound);
      assert.deepEqual(
        proof.resources.map(({ objects, keys, unknown }) => ({ objects, keys: keys.map(counted), unknown })),
        targets().map(({ key }, index) => {
          const objects = [secretCount, pandaCount][index] ?? 0;
          return { objects, keys: [{ key, objects }], unknown: 0 };
        }),
      );
    }
    assert.ok(etcd.resources.every((entry) => entry.bytes > entry.objects * 100));
  });

  it("a proof through API servers that do not write the key claims nothing", async () => {
    const wrong = [{ resource: "secrets", key: { provider: "kms/v2/another" } }];
    const [entry] = (await byApi.measure(wrong, await states(), quiet, signal)).resources;
    assert.deepEqual([entry?.objects, entry?.unknown, entry?.keys], [secretCount, secretCount, []]);
  });

  it("another prefix of etcd proves nothing, and says so", async () => {
    const { endpoints, client } = cluster.controlPlane.etcd;
    const wrong = createStoredObjects({
      servers: addresses(),
      etcd: { endpoints, tls: tls(client), prefix: "/other" },
    });
    const measuring = wrong.measure(targets(), await states(), quiet, signal);
    await assert.rejects(
      measuring,
      (error: KmsEtcdError) => error instanceof KmsEtcdError && error.code === "invalid-input",
    );
    await wrong.close();
  });

  it("every object is read through one server", async () => {
    const state = (await states())[1];
    assert.ok(state);
    const proof = await byEtcd.readThrough(state, ["secrets", "pandas.example.com"], quiet, signal);
    assert.deepEqual(proof, { state, objects: secretCount + pandaCount, failures: [] });
  });

  it("an API server is killed while objects are rewritten => the others do the work, nothing fails", async () => {
    await rollOut(readerConfig());
    const identity = targets().map(({ resource }) => ({ resource, key: { provider: "identity" } }));
    const pid = cluster.pid("cp2", "kube-apiserver");
    assert.ok(pid);
    let killed = false;
    const result = await byEtcd.rewrite(
      identity,
      names(),
      ({ done }) => {
        if (killed || done < 50) return;
        killed = true;
        process.kill(pid, "SIGKILL");
      },
      signal,
    );
    assert.ok(killed);
    assert.deepEqual(result.failures, []);
    assert.equal(result.offered, secretCount + pandaCount);
    const proof = await byEtcd.measure(identity, [], quiet, signal);
    assert.deepEqual(
      proof.resources.map((entry) => entry.keys.map(counted)),
      [secretCount, pandaCount].map((objects) => [{ key: { provider: "identity" }, objects }]),
    );
    await until(({ servers }) =>
      servers.every((server) => server.unreachable === undefined && server.notReady === undefined),
    );
  });

  it("the configuration that was loaded before is put back from its backup", async () => {
    const before = (await fleet.observe(signal)).servers[0];
    assert.ok(before?.file);
    await fleet.writeConfig({ server: "cp1", expectedHash: before.file.hash, config: writerConfig() });
    const written = (await fleet.observe(signal)).servers[0];
    assert.ok(written?.file);
    assert.deepEqual([written.loaded.hash, written.loaded.config], [before.file.hash, readerConfig()]);
    await assert.rejects(
      fleet.writeConfig({ server: "cp1", expectedHash: before.file.hash, config: { blocks: [] } }),
      (error: KmsEtcdError) => error.code === "conflict",
    );
    await fleet.restoreConfig("cp1", written.file.hash, before.file.hash);
    assert.equal((await fleet.observe(signal)).servers[0]?.file?.hash, before.file.hash);
  });

  it("an object that no server can decrypt => a failure of its resource with the server's reason; all others are read", async () => {
    const key = "/registry/example.com/pandas/default/unreadable";
    await inEtcd("put", { key, value: "k8s:enc:kms:v2:nobody-knows:" });
    try {
      const [state] = await states();
      assert.ok(state);
      const proof = await byEtcd.readThrough(state, ["pandas.example.com", "secrets"], quiet, signal);
      assert.ok(proof.objects >= secretCount);
      assert.ok(proof.failures.length > 0);
      for (const failure of proof.failures) {
        assert.equal(failure.resource, "pandas.example.com");
        assert.match(failure.reason, /^cp1: GET .*\/pandas: 500 InternalError: .{20,}/);
      }
      const measured = await byEtcd.measure(targets(), [], quiet, signal);
      assert.equal(measured.resources[1]?.unknown, 1);
    } finally {
      await inEtcd("deleterange", { key });
    }
  });

  it("a plugin that a configuration names is not stopped; one that none names is, on every host", async () => {
    const plugin = cluster.keyVersion(1);
    await assert.rejects(fleet.stopPlugin("cp1", plugin.name), KmsEtcdError);
    for (const name of names()) {
      const before = (await fleet.observe(signal)).servers.find((server) => server.name === name);
      await fleet.writeConfig({ server: name, expectedHash: before?.file?.hash, config: configOf(["identity"]) });
      await fleet.stopPlugin(name, plugin.name);
    }
    const { servers } = await until(({ servers: all }) =>
      all.every((server) => cluster.pid(server.name, plugin.name) === undefined),
    );
    assert.ok(servers.every((server) => server.plugins.length === 0));
  });
});
