import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import type { KmsEtcdError } from "../../../../core/errors";
import { RewriteMethod } from "../../../../core/rewrite-method";
import { isAboutAll } from "../../../../rotation/adapters/kubernetes/own-etcd";
import { createStoredObjects } from "../../../../rotation/adapters/kubernetes/stored-objects";
import type { StoredObjects } from "../../../../rotation/stored-objects";
import { type FakeEtcd, fakeEtcd } from "../etcd/etcd-fake";
import { addObjects, type FakeApiServer, type FakeStore, fakeApiServer, fakeStore } from "./api-server-fake";

describe("stored objects of a cluster", function () {
  this.timeout(30_000); // other work may share the machine
  const signal = new AbortController().signal;
  const targets = [{ resource: "secrets", key: { provider: "identity" } }];
  let store: FakeStore;
  let server: FakeApiServer;
  let etcd: FakeEtcd;
  let stored: StoredObjects;

  beforeEach(async () => {
    store = fakeStore(["secrets"]);
    server = await fakeApiServer(store, "cp1", "new");
    etcd = await fakeEtcd();
    const none = { ca: "", cert: "", key: "" };
    stored = createStoredObjects({
      servers: [{ name: "cp1", url: server.url, tls: none }],
      etcd: { endpoints: [etcd.endpoint], prefix: "/registry" },
    });
  });
  afterEach(async () => {
    await stored.close();
    etcd.close();
    await server.close();
  });

  const inEtcd = (count: number) => {
    for (let index = 0; index < count; index++) etcd.values.set(`/registry/secrets/x/${index}`, Buffer.from("{}"));
  };
  function serveDefinitions(...kinds: readonly (readonly [string, ...boolean[]])[]): void {
    const items = kinds.map(([group, ...served]) => ({
      metadata: { name: `pandas.${group}` },
      spec: { group, versions: served.map((one) => ({ served: one })) },
    }));
    server.intercept = (_, path) =>
      path.includes("/customresourcedefinitions?") ? { status: 200, body: { items } } : undefined;
  }

  const measure = () =>
    stored.measure(targets, [{ server: "cp1", loadedHash: "h", processStartedAt: 1 }], () => {}, signal);

  it("with etcd, the stored values are read, and the proof is bound to the servers it was made for", async () => {
    addObjects(store, "secrets", 5, "old");
    inEtcd(5);
    const proof = await measure();
    assert.equal(proof.method, "etcd");
    assert.deepEqual(proof.servers, [{ server: "cp1", loadedHash: "h", processStartedAt: 1 }]);
    assert.deepEqual(proof.resources, [
      {
        resource: "secrets",
        objects: 5,
        bytes: 10,
        unknown: 0,
        keys: [{ key: { provider: "identity" }, objects: 5, examples: ["secrets/x/0", "secrets/x/1", "secrets/x/2"] }],
      },
    ]);
    assert.ok(server.requests.every((request) => !request.startsWith("PATCH")));
    assert.ok(proof.startedAt <= proof.finishedAt);
  });

  it("an etcd that has much less than the API servers => refused: it is another etcd, or another prefix", async () => {
    addObjects(store, "secrets", 200, "old");
    inEtcd(150);
    await assert.rejects(
      measure(),
      (error: KmsEtcdError) =>
        error.code === "invalid-input" &&
        error.message.includes("etcd has 150 secrets below /registry, but the API servers count 200"),
    );
    addObjects(store, "secrets", 3, "old");
    etcd.values.clear();
    await assert.rejects(measure(), (error: KmsEtcdError) => error.code === "invalid-input");
  });

  it("few objects => one may have come between the two looks, and no more: it is no excuse for another etcd", async () => {
    for (const [objects, counted, isSame] of [
      [1, 11, false],
      [1, 3, false],
      [2, 3, true],
      [10, 11, true],
      [0, 1, false],
      [0, 0, true],
      [90, 101, true],
      [88, 100, false],
    ] as const) {
      assert.equal(isAboutAll(objects, counted), isSame, `${objects} of ${counted}`);
    }
    addObjects(store, "secrets", 11, "old");
    inEtcd(1);
    await assert.rejects(measure(), /etcd has 1 secrets below \/registry, but the API servers count 11/);
  });

  it("objects that come while it looks => looked at again before anything is said", async () => {
    addObjects(store, "secrets", 20, "old");
    inEtcd(10);
    etcd.intercept = ({ key }) => {
      // The first look at the values is over when the next request for them comes.
      if (key.startsWith("/registry/secrets/") && etcd.requests.filter((asked) => asked.key === key).length > 1)
        inEtcd(20);
      return undefined;
    };
    assert.equal((await measure()).resources[0]?.objects, 20);
  });

  it("etcd does not say where it stands => no proof: nobody could tell whether a backup was restored since", async () => {
    addObjects(store, "secrets", 5, "old");
    inEtcd(5);
    assert.deepEqual((await measure()).etcd, { clusterId: "7", revision: 10, raftIndex: 10 });
    etcd.interceptStatus = () => status.UNAVAILABLE;
    await assert.rejects(
      measure(),
      (error: KmsEtcdError) => error.code === "timeout" && error.message.includes("did not say where it stands"),
    );
    etcd.interceptStatus = () => status.PERMISSION_DENIED;
    const { etcd: position, notSeen } = await measure();
    assert.equal(position, undefined);
    assert.match(notSeen?.join() ?? "", /^whether a backup of etcd has been restored since/);
  });

  it("no API server is up => etcd alone tells", async () => {
    inEtcd(4);
    server.intercept = () => ({ status: 0, reset: true });
    const proof = await measure();
    assert.equal(proof.resources[0]?.objects, 4);
    assert.match(proof.notSeen?.[0] ?? "", /none of them answered/);
  });

  it("a server without an address => invalid-input, naming it", async () => {
    await assert.rejects(
      stored.rewrite(targets, ["cp9"], () => {}, signal),
      (error: KmsEtcdError) => error.code === "invalid-input" && error.message.includes("cp9"),
    );
  });

  it("a resource that is not served => not-found, naming it, for rewriting and reading", async () => {
    const wrong = [{ resource: "pandas.example.com", key: { provider: "identity" } }];
    const named = (error: KmsEtcdError) => error.code === "not-found" && error.message.includes("pandas.example.com");
    await assert.rejects(
      stored.rewrite(wrong, ["cp1"], () => {}, signal),
      named,
    );
    await assert.rejects(
      stored.readThrough(
        { server: "cp1", loadedHash: "h", processStartedAt: 1 },
        ["pandas.example.com"],
        () => {},
        signal,
      ),
      named,
    );
  });

  it("without etcd, the API servers prove it", async () => {
    addObjects(store, "secrets", 5, "old");
    const none = { ca: "", cert: "", key: "" };
    const config = { blocks: [{ resources: ["secrets"], providers: [{ kind: "identity" as const }] }] };
    const byApi = createStoredObjects({
      servers: [{ name: "cp1", url: server.url, tls: none }],
      configOf: () => config,
    });
    const proof = await byApi.measure(
      targets,
      [{ server: "cp1", loadedHash: "h", processStartedAt: 1 }],
      () => {},
      signal,
    );
    assert.deepEqual(
      [proof.method, proof.resources[0]?.keys],
      ["api", [{ key: { provider: "identity" }, objects: 5 }]],
    );
    assert.equal(proof.notSeen, undefined);
    await byApi.close();
  });

  it("without etcd, a wildcard's kinds that nobody serves are said not to have been seen", async () => {
    addObjects(store, "secrets", 2, "old");
    serveDefinitions(["a.example.com", false, false], ["b.example.com", false, true]);
    const none = { ca: "", cert: "", key: "" };
    const config = { blocks: [{ resources: ["*.*"], providers: [{ kind: "identity" as const }] }] };
    const byApi = createStoredObjects({
      servers: [{ name: "cp1", url: server.url, tls: none }],
      configOf: () => config,
    });
    const wildcard = [{ resource: "*.*", key: { provider: "identity" } }];
    const state = { server: "cp1", loadedHash: "h", processStartedAt: 1 };
    const proof = await byApi.measure(wildcard, [state], () => {}, signal);
    assert.equal(proof.resources[0]?.objects, 2);
    assert.deepEqual(proof.notSeen, [
      "pandas.a.example.com: no version of it is served",
      "objects of API groups that are switched off",
    ]);
    assert.deepEqual(proof.unproven, ["pandas.a.example.com"]);
    await byApi.close();
  });

  it("a built-in group's kind that nobody serves any more, with encrypted values => unproven, and through the API not seen", async () => {
    addObjects(store, "secrets", 1, "old");
    inEtcd(1);
    const wildcard = [{ resource: "*.", key: { provider: "identity" } }];
    const look = () => stored.measure(wildcard, [], () => {}, signal);
    assert.equal((await look()).unproven, undefined);
    etcd.values.set("/registry/gadgets/x/0", Buffer.from("k8s:enc:aescbc:v1:old:0123456789abcdef"));
    assert.deepEqual((await look()).unproven, ["what is stored below /registry/gadgets/"]);
    await stored.close();
    stored = createStoredObjects({ servers: [{ name: "cp1", url: server.url, tls: { ca: "", cert: "", key: "" } }] });
    const proof = await stored.measure(
      wildcard,
      [{ server: "cp1", loadedHash: "h", processStartedAt: 1 }],
      () => {},
      signal,
    );
    assert.deepEqual(proof.notSeen, ['kinds of "*." that are switched off']);
  });

  it("a rewrite that knows what is stale lists that alone, and offers nothing that was changed since", async () => {
    store.served.push({ name: "configmaps", namespaced: true });
    addObjects(store, "secrets", 600, "new");
    addObjects(store, "configmaps", 3, "old");
    const objects = [...store.objects.values()];
    for (const index of [17, 30]) (objects[index] as (typeof objects)[number]).key = "old";
    const both = [...targets, { resource: "configmaps", key: { provider: "identity" } }];
    const staleUpTo = new Map([
      ["secrets", objects[30]?.version ?? 0],
      ["configmaps", 0],
    ]);
    const { offered, rewritten } = await stored.rewrite(both, ["cp1"], () => {}, signal, RewriteMethod.Patch, {
      staleUpTo,
    });
    assert.deepEqual([offered, rewritten], [31, 2]);
    assert.equal(server.requests.filter((request) => request.startsWith("PATCH")).length, 31);
    assert.ok(server.requests.every((request) => !request.includes("/configmaps")));
    const failures = [{ resource: "configmaps", namespace: "ns1", name: "o00001", reason: "422 Invalid" }];
    const again = await stored.rewrite(both, ["cp1"], () => {}, signal, RewriteMethod.Patch, {
      staleUpTo: new Map([["secrets", 0]]),
      refused: failures,
    });
    assert.deepEqual([again.offered, again.rewritten], [1, 1]);
  });

  it("a custom resource that nobody serves: etcd counts it, a rewrite says that it cannot reach it", async () => {
    serveDefinitions(["example.com", false]);
    addObjects(store, "secrets", 2, "old");
    inEtcd(2);
    etcd.values.set("/registry/example.com/pandas/x/1", Buffer.from("{}"));
    const both = ["secrets", "pandas.example.com"].map((resource) => ({ resource, key: { provider: "identity" } }));
    const proof = await stored.measure(
      both,
      [{ server: "cp1", loadedHash: "h", processStartedAt: 1 }],
      () => {},
      signal,
    );
    assert.deepEqual(
      proof.resources.map(({ resource, objects }) => [resource, objects]),
      [
        ["secrets", 2],
        ["pandas.example.com", 1],
      ],
    );
    const { rewritten, failures } = await stored.rewrite(both, ["cp1"], () => {}, signal);
    assert.equal(rewritten, 2);
    assert.deepEqual(
      failures.map(({ resource }) => resource),
      ["pandas.example.com"],
    );
    assert.match(failures[0]?.reason ?? "", /no version of it is served/);
  });

  it("a layout from the API servers' flags is used where nothing else is given", async () => {
    addObjects(store, "secrets", 3, "old");
    for (let index = 0; index < 3; index++) etcd.values.set(`/other/secrets/x/${index}`, Buffer.from("{}"));
    const none = { ca: "", cert: "", key: "" };
    const byFlags = createStoredObjects({
      servers: [{ name: "cp1", url: server.url, tls: none }],
      etcd: { endpoints: [etcd.endpoint], layout: async () => ({ prefix: "/other" }) },
    });
    const proof = await byFlags.measure(
      targets,
      [{ server: "cp1", loadedHash: "h", processStartedAt: 1 }],
      () => {},
      signal,
    );
    assert.equal(proof.resources[0]?.objects, 3);
    await byFlags.close();
  });

  it("an outlook names who has a say, and reads what there is, without writing", async () => {
    addObjects(store, "secrets", 120, "old");
    const rule = (plural: string, operation = "UPDATE") => ({
      operations: [operation],
      apiGroups: [""],
      apiVersions: ["v1"],
      resources: [plural],
    });
    const lists: Readonly<Record<string, object[]>> = {
      mutatingwebhookconfigurations: [
        { webhooks: [{ name: "a.example.com", rules: [rule("secrets")] }] },
        { webhooks: [{ name: "b.example.com", rules: [rule("secrets", "CREATE")] }] },
        { webhooks: [{ name: "c.example.com", rules: [rule("*/*")], failurePolicy: "Ignore" }] },
      ],
      validatingwebhookconfigurations: [
        { webhooks: [{ name: "d.example.com", rules: [rule("pods"), rule("secrets/status")] }] },
        { webhooks: [{ name: "e.example.com", rules: [{ ...rule("*"), scope: "Namespaced" }] }] },
        { webhooks: [{ name: "f.example.com", rules: [{ ...rule("*"), scope: "Cluster" }] }] },
      ],
      validatingadmissionpolicies: ["bound", "loose"].map((name) => ({
        metadata: { name },
        spec: { matchConstraints: { resourceRules: [rule("secrets")] } },
      })),
      validatingadmissionpolicybindings: [{ spec: { policyName: "bound" } }],
    };
    server.intercept = (_, path) => {
      const items = lists[path.slice(path.lastIndexOf("/") + 1)];
      return items === undefined ? undefined : { status: 200, body: { items } };
    };
    const { admission, reads } = await stored.outlook(targets, ["cp1"], signal);
    assert.deepEqual(admission, [
      {
        resource: "secrets",
        mutatingWebhooks: ["a.example.com", "c.example.com (ignored when it fails)"],
        validatingWebhooks: ["e.example.com"],
        policies: ["bound"],
      },
    ]);
    assert.deepEqual([reads.objects, reads.all, reads.failures], [120, true, []]);
    assert.ok(reads.milliseconds > 0);
    assert.equal([...store.objects.values()].filter(({ key }) => key !== "old").length, 0);
  });
});
