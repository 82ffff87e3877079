import assert from "node:assert/strict";
import { keyRanges, resourceKeyPrefix } from "../../../../rotation/adapters/etcd/etcd-keys";

const none = () => assert.fail("must not be asked");

describe("where a resource is kept in etcd", () => {
  it("built-in groups under the bare plural, all others under group and plural, with Kubernetes' exceptions", () => {
    const expected: Readonly<Record<string, string>> = {
      secrets: "/registry/secrets/",
      configmaps: "/registry/configmaps/",
      "deployments.apps": "/registry/deployments/",
      "leases.coordination.k8s.io": "/registry/leases/",
      "clusterroles.rbac.authorization.k8s.io": "/registry/clusterroles/",
      services: "/registry/services/specs/",
      endpoints: "/registry/services/endpoints/",
      nodes: "/registry/minions/",
      replicationcontrollers: "/registry/controllers/",
      "ingresses.networking.k8s.io": "/registry/ingress/",
      "pandas.example.com": "/registry/example.com/pandas/",
      "apiservices.apiregistration.k8s.io": "/registry/apiregistration.k8s.io/apiservices/",
      "customresourcedefinitions.apiextensions.k8s.io": "/registry/apiextensions.k8s.io/customresourcedefinitions/",
      "gateways.gateway.networking.k8s.io": "/registry/gateway.networking.k8s.io/gateways/",
    };
    for (const [resource, prefix] of Object.entries(expected))
      assert.equal(resourceKeyPrefix(resource, "/registry"), prefix);
  });

  it("another --etcd-prefix, with or without slashes", () => {
    for (const prefix of ["kubernetes.io", "/kubernetes.io", "/kubernetes.io/"]) {
      assert.equal(resourceKeyPrefix("secrets", prefix), "/kubernetes.io/secrets/");
    }
  });

  it("*.* is everything but what other names cover and what is no object", () => {
    const ranges = keyRanges(["secrets", "*.example.com", "*.*"], "/registry", none);
    assert.deepEqual(ranges.get("secrets"), [{ prefix: "/registry/secrets/", except: [] }]);
    assert.deepEqual(ranges.get("*.example.com"), [
      { prefix: "/registry/example.com/", except: ["/registry/secrets/"] },
    ]);
    const [all] = ranges.get("*.*") ?? [];
    assert.ok(all);
    assert.equal(all.prefix, "/registry/");
    assert.deepEqual(all.except, [
      "/registry/secrets/",
      "/registry/example.com/",
      "/registry/masterleases/",
      "/registry/peerserverleases/",
      "/registry/ranges/serviceips",
      "/registry/ranges/servicenodeports",
    ]);
  });

  it("a built-in group's wildcard is what API servers say, without what has its own name", () => {
    const ranges = keyRanges(["deployments.apps", "*.apps"], "/registry", (wildcard) => {
      assert.equal(wildcard, "*.apps");
      return ["deployments.apps", "statefulsets.apps"];
    });
    assert.deepEqual(ranges.get("*.apps"), [{ prefix: "/registry/statefulsets/", except: [] }]);
  });

  it("a resource with an etcd of its own is its own range, also below a wildcard", () => {
    const ranges = keyRanges(["secrets", "*.*"], "/registry", none, ["events", "deployments.apps"]);
    const [main, ...apart] = ranges.get("*.*") ?? [];
    assert.ok(main?.except.includes("/registry/events/") && main.except.includes("/registry/deployments/"));
    assert.deepEqual(apart, [
      { prefix: "/registry/events/", except: [], override: "events" },
      { prefix: "/registry/deployments/", except: [], override: "deployments.apps" },
    ]);
    assert.deepEqual(keyRanges(["events"], "/registry", none, ["events"]).get("events"), [
      { prefix: "/registry/events/", except: [], override: "events" },
    ]);
  });
});
