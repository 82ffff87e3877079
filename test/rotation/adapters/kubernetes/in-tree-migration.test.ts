import assert from "node:assert/strict";
import type { KmsEtcdError } from "../../../../core/errors";
import { migrateInTree } from "../../../../rotation/adapters/kubernetes/in-tree-migration";
import { discoverResources } from "../../../../rotation/adapters/kubernetes/resources";
import type { Progress } from "../../../../rotation/stored-objects";
import { addObjects, type FakeApiServer, type FakeStore, failure, fakeApiServer, fakeStore } from "./api-server-fake";

describe("rewriting by the cluster's own controller", function () {
  this.timeout(30_000); // other work may share the machine
  const signal = new AbortController().signal;
  let store: FakeStore;
  let server: FakeApiServer;
  /** What stands in the cluster, by name, with the status that the controller has given it. */
  let migrations: Map<string, { spec: unknown; status: object }>;
  let controller: (migration: { spec: unknown; status: object }) => void;

  beforeEach(async () => {
    store = fakeStore(["secrets", "pandas.example.com"]);
    addObjects(store, "secrets", 7, "old");
    addObjects(store, "pandas.example.com", 3, "old");
    server = await fakeApiServer(store, "cp1", "new");
    migrations = new Map();
    controller = (migration) => {
      migration.status = { resourceVersion: "9", conditions: [{ type: "Succeeded", status: "True" }] };
    };
    serve("v1beta1");
  });
  afterEach(() => server.close());

  function serve(version: string | undefined): void {
    const base = `/apis/storagemigration.k8s.io/${version}`;
    server.intercept = (request, path, body) => {
      if (!path.startsWith("/apis/storagemigration.k8s.io/")) return undefined;
      if (version === undefined || !path.startsWith(base)) return failure(404, "NotFound");
      if (path === base) return { status: 200, body: { resources: [{ name: "storageversionmigrations" }] } };
      if (request.method === "DELETE") {
        assert.match(decodeURIComponent(path), /labelSelector=app\.kubernetes\.io\/managed-by=kms-etcd$/);
        migrations.clear();
        return { status: 200 };
      }
      if (request.method === "POST") {
        const made = JSON.parse(body) as { metadata: { name: string }; spec: unknown; apiVersion: string };
        assert.equal(made.apiVersion, `storagemigration.k8s.io/${version}`);
        migrations.set(made.metadata.name, { spec: made.spec, status: {} });
        return { status: 201 };
      }
      const name = path.slice(path.lastIndexOf("/") + 1);
      const found = migrations.get(name);
      if (found === undefined) return failure(404, "NotFound");
      controller(found);
      return { status: 200, body: { metadata: { name }, ...found } };
    };
  }

  const migrate = async (more: Partial<Parameters<typeof migrateInTree>[0]> = {}) =>
    migrateInTree({
      clients: [server.client],
      resources: (await discoverResources(server.client, signal)).served,
      onProgress: () => {},
      signal,
      pollInterval: 5,
      ...more,
    });

  it("one migration a resource, waited for, and none left behind", async () => {
    const specs: unknown[] = [];
    const seen: Progress[] = [];
    const finish = controller;
    controller = (migration) => {
      specs.push(migration.spec);
      finish(migration);
    };
    const result = await migrate({ onProgress: (progress) => seen.push(progress) });
    assert.deepEqual(result, { offered: 10, rewritten: undefined, failures: [] });
    assert.deepEqual(specs, [
      { resource: { group: "", resource: "secrets" } },
      { resource: { group: "example.com", resource: "pandas" } },
    ]);
    assert.deepEqual(seen.at(-1), { done: 10, total: 10 });
    assert.equal(migrations.size, 0);
  });

  it("v1 is taken where it is served", async () => {
    serve("v1");
    assert.equal((await migrate()).offered, 10);
  });

  it("a migration that fails => in the ledger with who refused, without the object's content", async () => {
    controller = (migration) => {
      const message =
        'migration encountered unhandled error: Secret "a" is invalid: data.x: Invalid value: "hunter2"; ' +
        'admission webhook "deny.example.com" denied the request: hunter2';
      migration.status = { resourceVersion: "9", conditions: [{ type: "Failed", status: "True", message }] };
    };
    const { failures } = await migrate();
    assert.deepEqual(
      failures.map(({ resource }) => resource),
      ["secrets", "pandas.example.com"],
    );
    assert.match(failures[0]?.reason ?? "", /Secret "a" is invalid, admission webhook "deny.example.com" denied/);
    assert.doesNotMatch(failures[0]?.reason ?? "", /hunter2/);
    assert.equal(migrations.size, 0);
  });

  it("an API that is not served => unsupported, saying what has to be switched on", async () => {
    serve(undefined);
    await assert.rejects(
      migrate(),
      (error: KmsEtcdError) =>
        error.code === "unsupported" &&
        (error.remedy ?? "").includes("StorageVersionMigrator=true") &&
        (error.remedy ?? "").includes("Patch"),
    );
  });

  it("nobody works on it => unsupported, naming the controllers", async () => {
    controller = () => undefined;
    await assert.rejects(
      migrate({ patience: 30 }),
      (error: KmsEtcdError) =>
        error.code === "unsupported" && (error.remedy ?? "").includes("storage-version-migrator-controller"),
    );
    assert.equal(migrations.size, 0);
  });

  it("it begins and does not get on => given up with a reason, after the time that so many objects take", async () => {
    controller = (migration) => {
      migration.status = { resourceVersion: "9" };
    };
    const begun = Date.now();
    await assert.rejects(migrate({ patience: 30, slowest: 20 }), (error: KmsEtcdError) => {
      assert.equal(error.code, "blocked");
      assert.match(
        error.message,
        /began to migrate secrets, pandas\.example\.com and does not get on: nothing has come/,
      );
      assert.match(error.remedy ?? "", /start it again, or leave rewriteBy at Patch/);
      return true;
    });
    assert.ok(Date.now() - begun >= 530, "10 objects at 20 a second");
    assert.equal(migrations.size, 0);
  });

  it("it begins, and its Lease is no longer renewed => given up soon; renewed, or from another time => waited for", async () => {
    controller = (migration) => {
      migration.status = { resourceVersion: "9" };
    };
    const { intercept } = server;
    let renewals = 0;
    const lease = (renewTime: () => string) => {
      server.intercept = (request, path, body) =>
        path.endsWith("/leases/kube-controller-manager")
          ? { status: 200, body: { spec: { holderIdentity: "cp1", renewTime: renewTime() } } }
          : intercept(request, path, body);
    };
    lease(() => String(Math.min((renewals += 1), 3)));
    await assert.rejects(migrate({ patience: 30 }), (error: KmsEtcdError) =>
      error.message.includes("not renewed its Lease"),
    );
    for (const renewTime of [() => String((renewals += 1)), () => "of last year"]) {
      lease(renewTime);
      const finish = Date.now() + 300;
      controller = (migration) => {
        const conditions = Date.now() < finish ? [] : [{ type: "Succeeded", status: "True" }];
        migration.status = { resourceVersion: "9", conditions };
      };
      assert.equal((await migrate({ patience: 30 })).offered, 10);
      assert.ok(Date.now() >= finish);
    }
  });

  it("stopped => cancelled, and the migrations are taken away", async () => {
    const stop = new AbortController();
    controller = () => stop.abort();
    await assert.rejects(migrate({ signal: stop.signal }), (error: KmsEtcdError) => error.code === "cancelled");
    assert.equal(migrations.size, 0);
  });
});
