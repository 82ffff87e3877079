import assert from "node:assert/strict";
import { KmsEtcdError } from "../../../../core/errors";
import { readObjectsThrough, readSample } from "../../../../rotation/adapters/kubernetes/read-through";
import { discoverResources } from "../../../../rotation/adapters/kubernetes/resources";
import { rewriteObjects } from "../../../../rotation/adapters/kubernetes/rewriter";
import { failedObjects } from "../../../../rotation/object-failures";
import type { Progress } from "../../../../rotation/stored-objects";
import { addObjects, type FakeApiServer, type FakeStore, failure, fakeApiServer, fakeStore } from "./api-server-fake";

describe("rewriting", function () {
  this.timeout(30_000); // other work may share the machine
  let store: FakeStore;
  let servers: FakeApiServer[];
  const signal = new AbortController().signal;
  const clients = () => servers.map((server) => server.client);
  const first = () => servers[0] as FakeApiServer;
  const rewrite = async (options: { onProgress?: (progress: Progress) => void; signal?: AbortSignal } = {}) =>
    rewriteObjects(
      clients(),
      (await discoverResources(first().client, signal)).served,
      options.onProgress ?? (() => {}),
      options.signal ?? signal,
    );
  const stale = () => [...store.objects.values()].filter((object) => object.key !== "new").length;
  const patches = (server: FakeApiServer) => server.requests.filter((request) => request.startsWith("PATCH"));

  beforeEach(async () => {
    store = fakeStore(["secrets", "nodes", "pandas.example.com"]);
    servers = await Promise.all(["cp1", "cp2", "cp3"].map((name) => fakeApiServer(store, name, "new")));
  });
  afterEach(() => Promise.all(servers.map((server) => server.close())));

  it("objects of every kind, over several pages => all rewritten once, spread over all servers", async () => {
    addObjects(store, "secrets", 1_203, "old");
    addObjects(store, "nodes", 7, "old");
    addObjects(store, "pandas.example.com", 140, "old");
    const seen: Progress[] = [];
    assert.deepEqual(await rewrite({ onProgress: (progress) => seen.push(progress) }), {
      offered: 1_350,
      rewritten: 1_350,
      failures: [],
    });
    assert.equal(stale(), 0);
    assert.deepEqual(seen.at(-1), { done: 1_350, total: 1_350 });
    assert.ok(seen.every((progress) => progress.total === 1_350));
    for (const server of servers) assert.ok(patches(server).length > 250, `${patches(server).length} patches`);
    const refused = servers.reduce((sum, { refusedForms }) => sum + refusedForms, 0);
    assert.ok(refused > 0 && refused < 140, `${refused} patches of custom resources had to be sent in another form`);
    assert.equal(servers.flatMap(patches).length, 1_350 + refused);
    const lists = servers.flatMap((server) => server.requests).filter((request) => request.includes("/secrets?"));
    assert.ok(
      lists.every((request) => /limit=(1|500)(&|$)/.test(request)),
      "never unpaged",
    );
    assert.deepEqual(await rewrite(), { offered: 1_350, rewritten: 0, failures: [] });
  });

  it("429 with Retry-After => fewer in flight, the wait is kept, nothing is lost", async () => {
    addObjects(store, "secrets", 300, "old");
    let refused = 0;
    for (const server of servers) {
      server.intercept = (request) => {
        if (request.method !== "PATCH" || refused >= 40) return undefined;
        refused += 1;
        return { ...failure(429, "TooManyRequests"), headers: { "retry-after": "1" } };
      };
    }
    const begun = Date.now();
    assert.deepEqual(await rewrite(), { offered: 300, rewritten: 300, failures: [] });
    assert.equal(refused, 40);
    assert.ok(Date.now() - begun >= 1_000);
  });

  it("a server that resets connections => the others do its work", async () => {
    addObjects(store, "secrets", 400, "old");
    (servers[1] as FakeApiServer).intercept = () => ({ status: 0, reset: true });
    assert.deepEqual(await rewrite(), { offered: 400, rewritten: 400, failures: [] });
    assert.ok(patches(servers[1] as FakeApiServer).length < 40, "it is left alone for longer and longer");
  });

  it("deleted or written by someone else meanwhile => no failure", async () => {
    addObjects(store, "secrets", 10, "old");
    for (const server of servers) {
      server.intercept = (request, path) => {
        if (request.method !== "PATCH") return undefined;
        if (path.endsWith("/o00003")) return failure(404, "NotFound");
        return path.endsWith("/o00004") ? failure(409, "Conflict") : undefined;
      };
    }
    const { rewrittenNames, ...result } = await rewrite();
    assert.deepEqual(result, { offered: 10, rewritten: 8, failures: [] });
    assert.ok(rewrittenNames?.length === 8 && rewrittenNames.some((name) => name.endsWith("/o00005")));
  });

  it("an object that is refused => in the ledger with the reason and without the object's content; the others are done", async () => {
    addObjects(store, "secrets", 20, "old");
    let asked = 0;
    for (const server of servers) {
      server.intercept = (request, path) => {
        if (request.method !== "PATCH") return undefined;
        if (path.endsWith("/o00005")) {
          asked += 1;
          return failure(422, "Invalid", 'Secret "o00005" is invalid: data.password: Invalid value: "hunter2"', {
            details: { causes: [{ reason: "FieldValueInvalid", field: "data.password", message: "hunter2" }] },
          });
        }
        return path.endsWith("/o00006")
          ? failure(403, "Forbidden", 'admission webhook "deny.example.com" denied the request: hunter2 is weak')
          : undefined;
      };
    }
    const { rewritten, failures } = await rewrite();
    assert.equal(rewritten, 18);
    assert.deepEqual(
      [...failures].sort((a, b) => (a.name < b.name ? -1 : 1)),
      [
        {
          resource: "secrets",
          namespace: "ns2",
          name: "o00005",
          reason: "422 Invalid (data.password: FieldValueInvalid)",
        },
        {
          resource: "secrets",
          namespace: "ns0",
          name: "o00006",
          reason: '403 Forbidden: admission webhook "deny.example.com" denied the request',
        },
      ],
    );
    assert.equal(asked, 2, "tried once more at the end");
  });

  it("a server error that passes => tried again with back-off, no failure", async () => {
    addObjects(store, "secrets", 5, "old");
    let errors = 0;
    for (const server of servers) {
      server.intercept = (request, path) =>
        request.method === "PATCH" && path.endsWith("/o00002") && errors++ < 3
          ? failure(500, "InternalError", "etcdserver: leader changed")
          : undefined;
    }
    const { rewrittenNames: _names, ...result } = await rewrite();
    assert.deepEqual(result, { offered: 5, rewritten: 5, failures: [] });
  });

  it("an expired continue token => the list goes on with the token that the server offers", async () => {
    addObjects(store, "secrets", 1_100, "old");
    let expired = 0;
    for (const server of servers) {
      server.intercept = (_, path) => {
        if (!path.includes("continue=o00499") || expired > 0) return undefined;
        expired += 1;
        return failure(410, "Expired", "too old", { metadata: { continue: "o00499" } });
      };
    }
    const { rewritten, failures } = await rewrite();
    assert.deepEqual([expired, rewritten, failures], [1, 1_100, []]);
    assert.equal(stale(), 0);
  });

  it("a list that fails because of an object => the ledger has the resource, and the other resources are done", async () => {
    addObjects(store, "secrets", 5, "old");
    addObjects(store, "nodes", 5, "old");
    for (const server of servers) {
      server.intercept = (request, path) =>
        request.method === "GET" && path.includes("/secrets?")
          ? failure(500, "InternalError", "no matching prefix found")
          : undefined;
    }
    const { rewritten, failures } = await rewrite();
    assert.equal(rewritten, 5);
    assert.equal(failures.length, 1);
    assert.deepEqual([failures[0]?.resource, failures[0]?.name], ["secrets", ""]);
    assert.match(failures[0]?.reason ?? "", /no matching prefix found/);
  });

  it("stopped => cancelled, every request that was sent has its answer, and the next run does the rest", async () => {
    addObjects(store, "secrets", 600, "old");
    for (const server of servers) server.delay = 2;
    const controller = new AbortController();
    const running = rewrite({
      onProgress: ({ done }) => done === 100 && controller.abort(),
      signal: controller.signal,
    });
    await assert.rejects(running, (error: KmsEtcdError) => error instanceof KmsEtcdError && error.code === "cancelled");
    const done = 600 - stale();
    assert.ok(done >= 100 && done < 300, `${done} were rewritten`);
    assert.equal(servers.flatMap(patches).length, done, "none was cut off");
    assert.equal((await rewrite()).rewritten, 600 - done);
  });

  it("never more in flight than the limit, and more than at first when all goes well", async () => {
    await Promise.all(servers.splice(1).map((server) => server.close()));
    addObjects(store, "secrets", 3_000, "old");
    first().delay = 5;
    await rewrite();
    assert.ok(first().mostAtOnce > 20 && first().mostAtOnce <= 66, `${first().mostAtOnce} at once`);
  });

  it("everything of a kind is refused => it is ended and named with its true count, and the next kind is done", async () => {
    addObjects(store, "nodes", 4_000, "old");
    addObjects(store, "pandas.example.com", 300, "old");
    for (const server of servers)
      server.intercept = (request, path) =>
        request.method === "PATCH" && path.includes("/nodes/") ? failure(403, "Forbidden", "no") : undefined;
    const { offered, rewritten, failures } = await rewrite();
    assert.equal(rewritten, 300);
    assert.ok(servers.flatMap(patches).length < 1_400);
    assert.equal(failedObjects(failures), 4_000);
    assert.ok(failures.length < 30, "some are named, one failure stands for the others");
    assert.match(
      failures.at(-1)?.reason ?? "",
      /^of nodes, 1\d+ were refused and 2\d+ more not tried: 403 Forbidden: no$/,
    );
    assert.ok(offered < 1_400);
  });

  it("one namespace refuses => it is kept apart, and the objects of the others are all done", async () => {
    addObjects(store, "secrets", 1_500, "old");
    for (const server of servers)
      server.intercept = (request, path) =>
        request.method === "PATCH" && path.includes("/ns1/") ? failure(422, "Invalid") : undefined;
    const { rewritten, failures } = await rewrite();
    assert.equal(rewritten, 1_000);
    assert.equal(stale(), 500);
    assert.equal(failedObjects(failures), 500);
    assert.ok(failures.every(({ resource, namespace }) => resource === "secrets" && namespace === "ns1"));
    assert.ok(servers.flatMap(patches).length < 1_400, "what it holds besides was not tried");
  });

  it("Retry-After: 0 again and again => the servers are not asked without end", async () => {
    addObjects(store, "secrets", 20, "old");
    const begun = Date.now();
    for (const server of servers)
      server.intercept = (request) =>
        request.method === "PATCH" && Date.now() - begun < 1_500
          ? { ...failure(429, "TooManyRequests"), headers: { "retry-after": "0" } }
          : undefined;
    assert.equal((await rewrite()).rewritten, 20);
    assert.ok(servers.flatMap(patches).length < 100, `${servers.flatMap(patches).length} patches`);
  });

  it("a sample for a plan ends in its time, whatever Retry-After asks for", async () => {
    addObjects(store, "secrets", 20, "old");
    for (const server of servers)
      server.intercept = (_, path) =>
        path.includes("/namespaces/")
          ? { ...failure(429, "TooManyRequests"), headers: { "retry-after": "86400" } }
          : undefined;
    const resources = (await discoverResources(first().client, signal)).served;
    const begun = Date.now();
    const sample = await readSample(clients(), resources, signal, 500);
    assert.ok(Date.now() - begun < 10_000);
    assert.deepEqual([sample.objects, sample.all, sample.failures], [0, false, []]);
  });

  it("reading through a server: every object is read by name, without resourceVersion, from that server alone", async () => {
    addObjects(store, "secrets", 12, "old");
    const state = { server: "cp2", loadedHash: "sha256:1", processStartedAt: 5 };
    const second = servers[1] as FakeApiServer;
    second.intercept = (request, path) =>
      request.method === "GET" && path.endsWith("/o00007")
        ? failure(500, "InternalError", "failed to decrypt DEK")
        : undefined;
    const resources = (await discoverResources(second.client, signal)).served.filter(
      (resource) => resource.name === "secrets",
    );
    const proof = await readObjectsThrough(second.client, state, resources, () => {}, signal);
    assert.deepEqual([proof.state, proof.objects], [state, 12]);
    assert.deepEqual(proof.failures, [
      { resource: "secrets", namespace: "ns1", name: "o00007", reason: "500 InternalError: failed to decrypt DEK" },
    ]);
    const reads = second.requests.filter((request) => request.includes("/namespaces/"));
    assert.ok(
      reads.length >= 12 && reads.every((request) => request.startsWith("GET") && !request.includes("resourceVersion")),
    );
    assert.equal(stale(), 12, "nothing was written");
  });
});
