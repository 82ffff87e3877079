import assert from "node:assert/strict";
import fc from "fast-check";
import { formatDuration, parseDuration } from "../../core/duration";
import { canonicalKey, describeKey, type KeyReference } from "../../core/key-reference";
import { pluginName, providerName, resourceSlot } from "../../core/provider-name";

const azure: KeyReference = { kind: "azure", vaultName: "MyVault", keyName: "etcd", keyVersion: "ABC" };
const aws: KeyReference = { kind: "aws", keyArn: "arn:aws:kms:eu-west-1:1:key/a", region: "eu-west-1" };

describe("names that must never be reused", () => {
  it("provider names differ by API version, key, encryption context and slot (invariant 6)", () => {
    const names = [
      providerName("v2", azure, "secrets"),
      providerName("v1", azure, "secrets"),
      providerName("v2", azure, "configmaps"),
      providerName("v2", { ...azure, keyVersion: "ABD" }, "secrets"),
      providerName("v2", { ...azure, managedHsm: true }, "secrets"),
      providerName("v2", aws, "secrets"),
      providerName("v2", { ...aws, encryptionContext: { cluster: "a" } }, "secrets"),
      providerName("v2", { ...aws, encryptionContext: { cluster: "b" } }, "secrets"),
    ];
    assert.equal(new Set(names).size, names.length);
    for (const name of names) assert.match(name, /^kms-etcd-[0-9a-f]{12}$/);
  });

  it("names stay what they are: they stand in stored data", () => {
    assert.equal(
      providerName("v2", { kind: "local", file: "/anywhere", keyId: "local-1" }, "secrets"),
      "kms-etcd-b2952e597680",
    );
    assert.equal(pluginName(aws), pluginName({ ...aws, region: "us-east-1" }), "the ARN says which key it is");
  });

  it("a vault's name counts without regard to case, as Azure has it; an order of context entries does not count", () => {
    assert.equal(canonicalKey(azure), canonicalKey({ ...azure, vaultName: "myvault" }));
    assert.equal(
      canonicalKey({ ...aws, encryptionContext: { a: "1", b: "2" } }),
      canonicalKey({ ...aws, encryptionContext: { b: "2", a: "1" } }),
    );
    assert.equal(describeKey(azure), "MyVault/etcd/ABC");
  });

  it("a slot does not depend on the order of its resources", () => {
    assert.equal(resourceSlot(["secrets", "configmaps"]), resourceSlot(["configmaps", "secrets"]));
  });
});

describe("durations as Go writes them", () => {
  it("are read back as they are written", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 10_000_000 }),
        (milliseconds) => parseDuration(formatDuration(milliseconds)) === milliseconds,
      ),
    );
  });

  it("are read in all of Go's units, and nothing else", () => {
    assert.equal(parseDuration("1h2m3.5s"), 3_723_500);
    assert.equal(parseDuration("0"), 0);
    for (const wrong of ["", "3", "s", "3 s", "3sx", "-3s"])
      assert.throws(() => parseDuration(wrong, "timeout"), /timeout is ".*", which is not a duration/);
  });
});
