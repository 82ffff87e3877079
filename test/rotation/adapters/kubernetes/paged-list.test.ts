import assert from "node:assert/strict";
import type { KmsEtcdError } from "../../../../core/errors";
import { countObjects, countPatiently, listPages } from "../../../../rotation/adapters/kubernetes/paged-list";
import { addObjects, type FakeApiServer, type FakeStore, failure, fakeApiServer, fakeStore } from "./api-server-fake";

describe("a list in pages", function () {
  this.timeout(30_000); // other work may share the machine
  let store: FakeStore;
  let server: FakeApiServer;
  const secrets = { name: "secrets", group: "", base: "/api/v1", plural: "secrets", namespaced: true };

  beforeEach(async () => {
    store = fakeStore(["secrets"]);
    addObjects(store, "secrets", 1_100, "old");
    server = await fakeApiServer(store, "cp1", "new");
  });
  afterEach(() => server.close());

  async function listed(signal = new AbortController().signal): Promise<number> {
    let objects = 0;
    for await (const page of listPages([server.client], secrets, signal)) objects += page.length;
    return objects;
  }

  it("that expires again and again => asked for with pauses after the second time", async () => {
    const stop = new AbortController();
    let asked = 0;
    server.intercept = () => {
      if ((asked += 1) === 6) setTimeout(() => stop.abort(), 100);
      return failure(410, "Expired", "too old");
    };
    const begun = Date.now();
    await assert.rejects(listed(stop.signal), (error: KmsEtcdError) => error.code === "cancelled");
    assert.ok(Date.now() - begun > 1_500, "before the sixth time it pauses");
    assert.equal(asked, 6);
  });

  it("that expires once in a while => goes on where it was, at once", async () => {
    let expired = 0;
    server.intercept = (_, path) =>
      path.includes("continue=o00499") && (expired += 1) <= 2
        ? failure(410, "Expired", "too old", { metadata: { continue: "o00499" } })
        : undefined;
    assert.deepEqual([await listed(), expired], [1_100, 3]);
  });

  it("that fails while etcd elects a leader, or is slow => asked for until it answers", async () => {
    let refused = 0;
    server.intercept = (_, path) => {
      if (!path.includes("continue=o00499") || (refused += 1) > 5) return undefined;
      return failure(
        500,
        "InternalError",
        refused % 2 === 0 ? "context deadline exceeded" : "etcdserver: leader changed",
      );
    };
    assert.deepEqual([await listed(), refused], [1_100, 6]);
  });

  it("that fails for a reason which may be an object => asked for longer than a hiccup, unless nobody can read the object", async () => {
    let refused = 0;
    server.intercept = () =>
      (refused += 1) <= 4 ? failure(500, "InternalError", "unable to transform key") : undefined;
    assert.deepEqual([await listed(), refused], [1_100, 7]);
    refused = 0;
    server.intercept = () => {
      refused += 1;
      return failure(500, "InternalError", "no matching prefix found");
    };
    await assert.rejects(listed(), (error: KmsEtcdError) => error.code === "corrupt");
    assert.equal(refused, 3);
  });

  it("of nothing, where API servers say null for the items => no objects", async () => {
    store.objects.clear();
    const { signal } = new AbortController();
    assert.deepEqual([await listed(), await countObjects(server.client, secrets, signal)], [0, 0]);
  });

  it("of which only the number is asked => the same patience, up to the caller's limit", async () => {
    let refused = 0;
    server.intercept = () => ((refused += 1) <= 4 ? failure(503, "ServiceUnavailable") : undefined);
    const { signal } = new AbortController();
    assert.equal(await countPatiently([server.client], secrets, signal), 1_100);
    assert.equal(refused, 5);
    refused = 0;
    await assert.rejects(
      countPatiently([server.client], secrets, signal, 0),
      (error: KmsEtcdError) => error.code === "unreachable",
    );
    assert.ok(refused <= 2);
  });
});
