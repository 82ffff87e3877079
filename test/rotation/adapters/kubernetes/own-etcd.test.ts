import assert from "node:assert/strict";
import type { KmsEtcdError } from "../../../../core/errors";
import { isAboutAll } from "../../../../rotation/adapters/kubernetes/own-etcd";
import { createStoredObjects } from "../../../../rotation/adapters/kubernetes/stored-objects";
import type { StoredObjects } from "../../../../rotation/stored-objects";
import { type FakeEtcd, fakeEtcd } from "../etcd/etcd-fake";
import { addObjects, type FakeApiServer, type FakeStore, failure, fakeApiServer, fakeStore } from "./api-server-fake";

describe("whether an etcd is the API servers' own", function () {
  this.timeout(60_000); // other work may share the machine
  const signal = new AbortController().signal;
  const targets = [{ resource: "secrets", key: { provider: "identity" } }];
  let store: FakeStore;
  let servers: FakeApiServer[];
  let etcd: FakeEtcd;
  let stored: StoredObjects;

  beforeEach(async () => {
    store = fakeStore(["secrets"]);
    servers = await Promise.all(["cp1", "cp2"].map((name) => fakeApiServer(store, name, "new")));
    etcd = await fakeEtcd();
    addObjects(store, "secrets", 20, "old");
    inEtcd("/registry/secrets", 20);
    const tls = { ca: "", cert: "", key: "" };
    stored = createStoredObjects({
      servers: servers.map(({ client, url }) => ({ name: client.name, url, tls })),
      etcd: { endpoints: [etcd.endpoint] },
    });
  });
  afterEach(async () => {
    await stored.close();
    etcd.close();
    await Promise.all(servers.map((server) => server.close()));
  });

  const inEtcd = (below: string, count: number) => {
    for (let index = 0; index < count; index++) etcd.values.set(`${below}/x/${index}`, Buffer.from("{}"));
  };
  const measure = () => {
    const states = servers.map(({ client }) => ({ server: client.name, loadedHash: "h", processStartedAt: 1 }));
    return stored.measure(targets, states, () => {}, signal);
  };
  const isOther = (pattern: RegExp) => (error: KmsEtcdError) => {
    assert.equal(error.code, "invalid-input");
    assert.match(error.message, pattern);
    return true;
  };

  it("the revision of a list lies between what etcd says before and after => it is, and there is no doubt", async () => {
    etcd.intercept = () => {
      // Others write meanwhile; lists are as new as etcd.
      store.revision = etcd.revision += 1;
      return undefined;
    };
    const proof = await measure();
    assert.deepEqual([proof.doubts, proof.notSeen, proof.resources[0]?.objects], [undefined, undefined, 20]);
  });

  it("another etcd with as many objects, or more => refused by its revision, whether it is behind or ahead", async () => {
    inEtcd("/registry/secrets", 25);
    for (const revision of [9, 11]) {
      etcd.revision = revision;
      await assert.rejects(
        measure(),
        isOther(new RegExp(`revision ${revision} .* while cp1 listed .* at revision 10`)),
      );
    }
  });

  it("one server that stores elsewhere => refused, naming it", async () => {
    const [, second] = servers;
    if (second === undefined) return;
    const elsewhere = { metadata: { resourceVersion: "99" }, items: [] };
    second.intercept = (_, path) =>
      path.includes("/apiservices?limit=1") ? { status: 200, body: elsewhere } : undefined;
    await assert.rejects(measure(), isOther(/while cp2 listed .* at revision 99/));
  });

  it("another prefix, and nobody may count => refused by what every cluster has below it", async () => {
    etcd.values.clear();
    for (const server of servers)
      server.intercept = (_, path) => {
        if (path.includes("/secrets?")) return failure(403, "Forbidden");
        const items = [{ metadata: { name: "v1.apps", resourceVersion: "3" } }];
        const body = { metadata: { resourceVersion: "10" }, items };
        return path.includes("/apiservices") ? { status: 200, body } : undefined;
      };
    await assert.rejects(measure(), isOther(/etcd has 0 apiservices\.apiregistration\.k8s\.io below \/registry/));
  });

  it("a count that is refused => a doubt, which the evidence has, and not zero", async () => {
    for (const server of servers)
      server.intercept = (_, path) => (path.includes("/secrets?") ? failure(403, "Forbidden") : undefined);
    const { doubts = [], notSeen } = await measure();
    assert.equal(doubts.length, 1);
    assert.match(doubts[0] ?? "", /how many secrets there are .* 403 Forbidden/);
    assert.deepEqual(notSeen, doubts);
  });

  it("discovery that is refused => a doubt with the reason, not that nobody answered", async () => {
    for (const server of servers)
      server.intercept = (_, path) => (path.includes("/apiservices") ? failure(403, "Forbidden") : undefined);
    const { doubts = [] } = await measure();
    assert.match(doubts.join(), /the API servers' own: .*apiservices: 403 Forbidden/);
  });

  it("answers that fail for a moment => asked for again, and no doubt is left", async () => {
    let refused = 0;
    for (const server of servers)
      server.intercept = (_, path) =>
        path.includes("?limit=1") && (refused += 1) <= 5 ? failure(503, "ServiceUnavailable") : undefined;
    assert.equal((await measure()).doubts, undefined);
    assert.ok(refused > 5);
  });

  it("one server is away => the other one's answer is enough", async () => {
    const [first] = servers;
    if (first !== undefined) first.intercept = () => ({ status: 0, reset: true });
    assert.equal((await measure()).doubts, undefined);
  });

  it("more in etcd than is counted is no doubt: what was deleted is counted no more", () => {
    assert.ok(isAboutAll(25, 20));
  });
});
