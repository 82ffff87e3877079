import assert from "node:assert/strict";
import type { EncryptionConfiguration } from "../../../../core/encryption-configuration";
import { proveByApi } from "../../../../rotation/adapters/kubernetes/api-proof";
import { resourceWriter } from "../../../../rotation/adapters/kubernetes/resource-writer";
import { discoverResources, expandResources } from "../../../../rotation/adapters/kubernetes/resources";
import { addObjects, type FakeApiServer, type FakeStore, failure, fakeApiServer, fakeStore } from "./api-server-fake";

const config = (name: string): EncryptionConfiguration => ({
  blocks: [
    {
      resources: ["secrets", "configmaps"],
      providers: [{ kind: "kms", apiVersion: "v2", name, endpoint: "unix:///s" }, { kind: "identity" }],
    },
  ],
});
const key = { provider: "kms/v2/new", keyId: "id" };

describe("the proof through API servers", function () {
  this.timeout(30_000); // other work may share the machine
  let store: FakeStore;
  let servers: FakeApiServer[];
  const signal = new AbortController().signal;

  beforeEach(async () => {
    store = fakeStore(["secrets", "configmaps"]);
    servers = await Promise.all(["cp1", "cp2", "cp3"].map((name) => fakeApiServer(store, name, "new")));
    addObjects(store, "secrets", 620, "old");
    addObjects(store, "configmaps", 30, "new");
  });
  afterEach(() => Promise.all(servers.map((server) => server.close())));

  async function prove(configOf: (hash: string) => EncryptionConfiguration | undefined = () => config("new")) {
    const targets = [
      { resource: "secrets", key },
      { resource: "configmaps", key },
    ];
    const first = servers[0] as FakeApiServer;
    const served = expandResources(["secrets", "configmaps"], await discoverResources(first.client, signal));
    const states = servers.map((server) => ({
      server: server.client.name,
      loadedHash: `hash-${server.client.name}`,
      processStartedAt: 1,
    }));
    return proveByApi({
      clients: servers.map((server) => server.client),
      states,
      targets,
      served,
      configOf,
      onProgress: () => {},
      signal,
    });
  }

  it("every server stores with the key => every object is proven, after a pass through each", async () => {
    const proof = await prove();
    assert.equal(proof.method, "api");
    assert.deepEqual(
      proof.servers.map((state) => state.server),
      ["cp1", "cp2", "cp3"],
    );
    assert.deepEqual(proof.resources, [
      { resource: "secrets", objects: 620, bytes: 0, keys: [{ key, objects: 620 }], unknown: 0 },
      { resource: "configmaps", objects: 30, bytes: 0, keys: [{ key, objects: 30 }], unknown: 0 },
    ]);
    for (const server of servers) {
      const offered = new Set(server.requests.filter((request) => request.startsWith("PATCH")));
      assert.equal(offered.size, 650, "each server was offered each object");
    }
  });

  it("a server that is not known to write the key => nothing is claimed and nothing is written", async () => {
    for (const other of [config("old"), undefined]) {
      const proof = await prove((hash) => (hash === "hash-cp2" ? other : config("new")));
      assert.deepEqual(
        proof.resources.map((entry) => [entry.objects, entry.unknown, entry.keys]),
        [
          [620, 620, []],
          [30, 30, []],
        ],
      );
    }
    assert.ok(servers.every((server) => server.requests.every((request) => !request.startsWith("PATCH"))));
  });

  it("a count that fails while etcd elects a leader => asked for again, and nothing is said to be unreadable", async () => {
    let refused = 0;
    for (const server of servers)
      server.intercept = (_, path) =>
        path.includes("/secrets?") && (refused += 1) <= 6
          ? failure(500, "InternalError", "etcdserver: leader changed")
          : undefined;
    const [secrets] = (await prove(() => undefined)).resources;
    assert.deepEqual([secrets?.objects, secrets?.unknown, secrets?.unreadable], [620, 620, undefined]);
  });

  it("servers that undo each other's work under one provider name => what they fight over is unknown", async () => {
    (servers[1] as FakeApiServer).writeKey = "another key under the same name";
    const proof = await prove();
    const [secrets, configmaps] = proof.resources;
    assert.deepEqual([secrets?.objects, secrets?.unknown], [620, 620]);
    assert.deepEqual([configmaps?.objects, configmaps?.unknown], [30, 30]);
  });

  it("a client writes between two passes => no doubt about the object", async () => {
    const first = servers[0] as FakeApiServer;
    const last = servers[2] as FakeApiServer;
    let written = 0;
    last.intercept = (request, path) => {
      if (request.method === "PATCH" && path.includes("/secrets/") && written < 5) {
        written += 1;
        const object = store.objects.get(`secrets ${path.split("/")[4]}/${path.split("/")[6]}`);
        if (object) object.version = store.version += 1;
      }
      return undefined;
    };
    assert.deepEqual((await prove()).resources[0], {
      resource: "secrets",
      objects: 620,
      bytes: 0,
      keys: [{ key, objects: 620 }],
      unknown: 0,
    });
    assert.equal(written, 5);
    assert.ok(first.requests.length > 0);
  });

  it("an object that one server refuses => unknown, counted once, and the others are proven", async () => {
    for (const server of servers.slice(0, 2))
      server.intercept = (request, path) =>
        request.method === "PATCH" && path.endsWith("/o00007") && path.includes("/secrets/")
          ? failure(403, "Forbidden")
          : undefined;
    const [secrets] = (await prove()).resources;
    assert.deepEqual([secrets?.objects, secrets?.unknown, secrets?.keys[0]?.objects], [620, 1, 619]);
  });

  it("no server => blocked, because a proof through none says nothing", async () => {
    await Promise.all(servers.splice(0).map((server) => server.close()));
    const proving = proveByApi({
      clients: [],
      states: [],
      targets: [{ resource: "secrets", key }],
      served: new Map(),
      configOf: () => config("new"),
      onProgress: () => {},
      signal,
    });
    await assert.rejects(proving, { code: "blocked" });
  });

  it("no object at all => nothing is stored, and nothing unknown", async () => {
    store.objects.clear();
    assert.deepEqual((await prove()).resources[0], { resource: "secrets", objects: 0, bytes: 0, keys: [], unknown: 0 });
  });
});

describe("the provider that a configuration writes a resource with", () => {
  const block = (resource: string, name: string) => ({
    resources: [resource],
    providers: [{ kind: "kms" as const, apiVersion: "v2" as const, name, endpoint: "unix:///s" }],
  });

  it("the exact name decides before its group's wildcard, and that before *.*", () => {
    const mixed = {
      blocks: [block("deployments.apps", "exact"), block("*.apps", "group"), block("*.", "core"), block("*.*", "all")],
    };
    assert.equal(resourceWriter(mixed, "deployments.apps"), "kms/v2/exact");
    assert.equal(resourceWriter(mixed, "statefulsets.apps"), "kms/v2/group");
    assert.equal(resourceWriter(mixed, "secrets"), "kms/v2/core");
    assert.equal(resourceWriter(mixed, "pandas.example.com"), "kms/v2/all");
    assert.equal(resourceWriter(mixed, "*.apps"), "kms/v2/group");
    assert.equal(resourceWriter(mixed, "*.*"), "kms/v2/all");
  });

  it("what no block covers is stored in plaintext", () => {
    assert.equal(resourceWriter({ blocks: [block("secrets", "s")] }, "configmaps"), "identity");
  });
});
