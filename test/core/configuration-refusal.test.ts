import assert from "node:assert/strict";
import { refusalOf } from "../../core/configuration-refusal";
import type { ProviderItem } from "../../core/encryption-configuration";

const identity: ProviderItem = { kind: "identity" };
const kms = (name: string, apiVersion: "v1" | "v2" = "v2"): ProviderItem => ({
  kind: "kms",
  apiVersion,
  name,
  endpoint: `unix:///${name}`,
});

function refused(lists: readonly (readonly string[])[], providers: readonly ProviderItem[][] = [], reload = false) {
  const blocks = lists.map((resources, index) => ({ resources, providers: providers[index] ?? [identity] }));
  const refusal = refusalOf({ blocks }, reload);
  return refusal && `${refusal.path} ${refusal.problem}`;
}

describe("what API servers do not load", () => {
  it("blocks that an earlier wildcard masks, wildcards of their own kind among them", () => {
    for (const [first, second] of [
      ["*.*", "secrets"],
      ["*.*", "*.apps"],
      ["*.*", "*.*"],
      ["*.", "secrets"],
      ["*.apps", "deployments.apps"],
      ["*.apps", "*.apps"],
      ["*.example.com", "pandas.example.com"],
    ] as const) {
      const message = refused([[first], [second]]);
      assert.equal(message, `resources[1].resources[0] is "${second}", which the earlier "${first}" masks`);
    }
    assert.equal(refused([["secrets"], ["deployments.apps", "*.batch"], ["*."], ["*.apps"], ["*.*"]]), undefined);
    assert.equal(refused([["*."], ["deployments.apps"]]), undefined);
    assert.equal(refused([["*.example.com"], ["pandas.a.example.com"]]), undefined);
  });

  it("a resource in several blocks is loaded, in one list it is not, nor with a wildcard that covers it", () => {
    assert.equal(refused([["secrets", "pods"], ["secrets"], ["secrets"]]), undefined);
    assert.match(refused([["secrets", "pods", "secrets"]]) ?? "", /resources\[0\]\.resources\[2\] repeats "secrets"/);
    assert.match(refused([["secrets", "*."]]) ?? "", /is "secrets", which "\*\." in the same list covers/);
    assert.match(refused([["*.apps", "*.*"]]) ?? "", /is "\*\.apps", which "\*\.\*" in the same list covers/);
    assert.equal(refused([["secrets", "*.apps"]]), undefined);
  });

  it("names that stand for nothing stored", () => {
    for (const name of ["Secrets", "*", "apiserveripinfo", "events.events.k8s.io", "*.extensions", "pods.*"])
      assert.match(refused([[name]]) ?? "", /^resources\[0\]\.resources\[0\] is "/, name);
  });

  it("a KMS name twice: of v2 always, of v1 where the server reloads by itself", () => {
    const twice = (a: ProviderItem, b: ProviderItem, reload: boolean) =>
      refused([["secrets"], ["pods"]], [[a], [b]], reload) !== undefined;
    assert.deepEqual(
      [false, true].map((reload) => [
        twice(kms("a"), kms("a"), reload),
        twice(kms("a", "v1"), kms("a"), reload),
        twice(kms("a", "v1"), kms("a", "v1"), reload),
        twice(kms("a"), kms("b"), reload),
      ]),
      [
        [true, true, false, false],
        [true, true, true, false],
      ],
    );
  });
});
