import assert from "node:assert/strict";
import type { KmsEtcdError } from "../../../../core/errors";
import {
  discoverResources,
  expandResources,
  resourcePath,
  type ServedResource,
} from "../../../../rotation/adapters/kubernetes/resources";
import { type FakeApiServer, fakeApiServer, fakeStore } from "./api-server-fake";

const served = (name: string): ServedResource => {
  const [plural = "", ...group] = name.split(".");
  return { name, group: group.join("."), base: "/x", plural, namespaced: true };
};
const all = ["secrets", "configmaps", "deployments.apps", "statefulsets.apps", "pandas.example.com"].map(served);
const expanded = (names: readonly string[]) =>
  Object.fromEntries(
    [...expandResources(names, { served: all, aggregated: [] })].map(([name, resources]) => [
      name,
      resources.map((resource) => resource.name),
    ]),
  );

describe("resources as an encryption configuration names them", () => {
  it("an exact name, a group's wildcard and *.* each get what no more exact name takes", () => {
    assert.deepEqual(expanded(["secrets", "*.apps", "deployments.apps", "*.*"]), {
      secrets: ["secrets"],
      "*.apps": ["statefulsets.apps"],
      "deployments.apps": ["deployments.apps"],
      "*.*": ["configmaps", "pandas.example.com"],
    });
    assert.deepEqual(expanded(["*."]), { "*.": ["secrets", "configmaps"] });
  });

  it("a name that is not served => not-found, naming it", () => {
    for (const name of ["pandas.example.org", "*.example.org", "secret"]) {
      assert.throws(
        () => expanded(["secrets", name]),
        (error: KmsEtcdError) => error.code === "not-found" && error.message.includes(`"${name}"`),
      );
    }
  });

  it("paths have the namespace only where there is one", () => {
    const resource = { ...served("pandas.example.com"), base: "/apis/example.com/v1" };
    assert.equal(resourcePath(resource), "/apis/example.com/v1/pandas");
    assert.equal(resourcePath(resource, { namespace: "a", name: "b" }), "/apis/example.com/v1/namespaces/a/pandas/b");
    assert.equal(
      resourcePath({ ...resource, namespaced: false }, { namespace: "", name: "a:b/c" }),
      "/apis/example.com/v1/pandas/a%3Ab%2Fc",
    );
  });
});

describe("discovery of resources", () => {
  let server: FakeApiServer;
  const signal = new AbortController().signal;
  beforeEach(async () => {
    server = await fakeApiServer(fakeStore(), "cp1", "k");
  });
  afterEach(() => server.close());

  const resource = (name: string, verbs = ["list", "patch"], scope = "Namespaced") => ({
    resource: name,
    scope,
    verbs,
  });
  const group = (name: string, ...versions: readonly (readonly [string, ...object[]])[]) => ({
    metadata: { name },
    versions: versions.map(([version, ...resources]) => ({ version, resources })),
  });
  function answers(core: readonly object[], groups: readonly object[], services: readonly object[] = []) {
    server.intercept = (_, path) => {
      const kind = "APIGroupDiscoveryList";
      if (path === "/api") return { status: 200, body: { kind, items: core } };
      if (path === "/apis") return { status: 200, body: { kind, items: groups } };
      return path.endsWith("/apiservices") ? { status: 200, body: { items: services } } : undefined;
    };
  }

  it("the preferred version is taken, what can't be listed and patched is not, events count once", async () => {
    answers(
      [
        group("", [
          "v1",
          resource("secrets"),
          resource("bindings", ["create"]),
          resource("events"),
          resource("componentstatuses", ["list"]),
        ]),
      ],
      [
        group(
          "example.com",
          ["v2", resource("pandas")],
          ["v1", resource("pandas"), resource("bears", ["list", "patch"], "Cluster")],
        ),
        group("events.k8s.io", ["v1", resource("events")]),
      ],
    );
    assert.deepEqual((await discoverResources(server.client, signal)).served, [
      { name: "secrets", group: "", base: "/api/v1", plural: "secrets", namespaced: true },
      { name: "events", group: "", base: "/api/v1", plural: "events", namespaced: true },
      {
        name: "pandas.example.com",
        group: "example.com",
        base: "/apis/example.com/v2",
        plural: "pandas",
        namespaced: true,
      },
      {
        name: "bears.example.com",
        group: "example.com",
        base: "/apis/example.com/v1",
        plural: "bears",
        namespaced: false,
      },
    ]);
  });

  it("what an aggregated server stores is not ours; a broken group stands in nobody's way", async () => {
    answers(
      [group("", ["v1", resource("secrets")])],
      [
        group("metrics.k8s.io", ["v1beta1", resource("pods")]),
        { metadata: { name: "broken.example.com" }, versions: [{ version: "v1", freshness: "Stale" }] },
      ],
      [
        { spec: { group: "metrics.k8s.io", version: "v1beta1", service: { name: "m" } } },
        { spec: { group: "apps", version: "v1" } },
      ],
    );
    const found = await discoverResources(server.client, signal);
    assert.deepEqual(
      found.served.map(({ name }) => name),
      ["secrets"],
    );
    assert.deepEqual(found.aggregated, ["pods.metrics.k8s.io"]);
    assert.throws(
      () => expandResources(["pods.metrics.k8s.io"], found),
      (error: KmsEtcdError) => error.code === "not-found" && error.message.includes("aggregated API server"),
    );
  });

  it("a server without aggregated discovery => unsupported, naming the version that has it", async () => {
    server.intercept = (_, path) => (path === "/api" ? { status: 200, body: { kind: "APIVersions" } } : undefined);
    await assert.rejects(
      discoverResources(server.client, signal),
      (error: KmsEtcdError) => error.code === "unsupported" && (error.remedy ?? "").includes("1.27"),
    );
  });
});
