import assert from "node:assert/strict";
import { createKnownKeys } from "../../../../provider/azure/known-keys";
import { heldFacts } from "../../../../rotation/adapters/aks/held-key-rules";
import { otherHeldKeys, secondKey } from "../../../../rotation/adapters/aks/held-keys";
import type { KmsSettings } from "../../../../rotation/adapters/aks/kms-settings";

const key = (name: string) => `https://va.vault.azure.net/keys/${name}`;
const version = (name: string) => `${key(name)}/${"0".repeat(32)}`;
const followed: KmsSettings = { mode: "cmk", keyId: key("followed"), networkAccess: "Public" };
const plugin: KmsSettings = { mode: "legacy", keyId: version("plugin"), networkAccess: "Public" };

describe("the keys that AKS holds with KMS data encryption", () => {
  it("a key that AKS follows => no version of it may be disabled; another key, also of a longer name, may", () => {
    const keys = createKnownKeys();
    const held = () => heldFacts({ goal: followed, plannedKeys: keys.planned }, []);
    keys.plan(version("followed-too"), { enabled: false });
    assert.deepEqual(held(), { heldKeyIds: [key("followed")], retiredKeyIds: [] });
    keys.plan(version("followed").toUpperCase(), { enabled: false });
    assert.deepEqual(held().retiredKeyIds, [key("followed")]);
    keys.hold("aks", held().heldKeyIds);
    assert.deepEqual(
      ["followed", "followed-too"].map((name) => keys.holderOf(version(name))),
      ["aks", undefined],
    );
  });

  it("the last key of the KMS plugin => held after the change, and after the next one", () => {
    const second = secondKey(plugin, undefined, followed);
    assert.equal(second, version("plugin"));
    const last = secondKey(followed, second, { mode: "pmk" });
    const others = otherHeldKeys({ mode: "pmk" }, { mode: "pmk" }, undefined, last);
    const planned = () => ({ enabled: false });
    assert.deepEqual(heldFacts({ goal: { mode: "pmk" }, plannedKeys: planned }, others), {
      heldKeyIds: [version("plugin")],
      retiredKeyIds: [version("plugin")],
    });
  });
});
