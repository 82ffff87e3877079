import assert from "node:assert/strict";
import { changedProperties, topLevelNames } from "../../provider/property-diff";
import { unknown } from "../../provider/property-values";

describe("property diff", () => {
  it("equal properties => no change", () => {
    const inputs = { keyVersion: 1, resources: ["secrets"], local: { controlPlaneFile: "/a" }, limits: null };
    assert.equal(changedProperties(inputs, structuredClone(inputs)).size, 0);
    assert.equal(changedProperties(inputs, { ...inputs, limits: undefined as never }).size, 0);
  });

  it("nested properties and list entries => their paths, with add, delete and update", () => {
    const changes = changedProperties(
      { keyVersion: 1, keys: [{ version: 1 }], limits: { reloadSeconds: 1, restartSeconds: 2 } },
      { keyVersion: 2, keys: [{ version: 1 }, { version: 2 }], limits: { restartSeconds: 3 }, plan: ["x"] },
    );
    assert.deepEqual(Object.fromEntries(changes), {
      keyVersion: "update",
      "keys[1]": "add",
      "limits.reloadSeconds": "delete",
      "limits.restartSeconds": "update",
      plan: "add",
    });
    assert.deepEqual(topLevelNames(changes), ["keyVersion", "keys", "limits", "plan"]);
  });

  it("a value that is not known yet => an update", () => {
    assert.deepEqual(Object.fromEntries(changedProperties({ keyId: "a" }, { keyId: unknown })), { keyId: "update" });
  });

  it("a value of another type => an update, not a comparison of its parts", () => {
    assert.deepEqual(Object.fromEntries(changedProperties({ a: [1] }, { a: { b: 1 } })), { a: "update" });
  });
});
