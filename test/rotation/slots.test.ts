import assert from "node:assert/strict";
import type { EncryptionConfiguration, ProviderItem } from "../../core/encryption-configuration";
import { addReaders, promote, slotsOf, withSlotProviders } from "../../rotation/slots";

const ours: ProviderItem = { kind: "kms", apiVersion: "v2", name: "kms-etcd-0123456789ab", endpoint: "unix:///a" };
const foreign: ProviderItem = { kind: "kms", apiVersion: "v2", name: "azurekmsprovider", endpoint: "unix:///b" };
const identity: ProviderItem = { kind: "identity" };

function config(...blocks: [resources: string[], providers: ProviderItem[]][]): EncryptionConfiguration {
  return { blocks: blocks.map(([resources, providers]) => ({ resources, providers })) };
}

function slots(resources: string[], ...configs: EncryptionConfiguration[]) {
  return slotsOf(resources, new Map(configs.map((one, index) => [`cp${index + 1}`, one])));
}

describe("slots: groups of resources that share a list of providers", () => {
  it("resource without a block => a slot of its own", () => {
    assert.deepEqual(slots(["secrets"], config([["pods"], [identity]])), [
      { name: "secrets", resources: ["secrets"], leaving: false },
    ]);
  });

  it("resource in a block with others => they move together", () => {
    const [slot] = slots(["secrets"], config([["secrets", "configmaps"], [foreign]]));
    assert.deepEqual(slot?.resources, ["secrets", "configmaps"]);
  });

  it("our block that nobody wants any more => leaves; a foreign one => is left alone", () => {
    const found = slots(
      ["secrets"],
      config(
        [["secrets"], [ours]],
        [["configmaps"], [{ ...ours, name: "kms-etcd-ba9876543210" }]],
        [["pods"], [foreign]],
      ),
    );
    assert.deepEqual(
      found.map((slot) => [slot.name, slot.leaving]),
      [
        ["secrets", false],
        ["configmaps", true],
      ],
    );
  });

  it("wildcard => takes along the blocks of what it covers, because those have providers of their own", () => {
    const found = slots(["*.*"], config([["secrets"], [ours]], [["*.apps"], [foreign]]));
    assert.deepEqual(
      found.map((slot) => [slot.name, slot.leaving]),
      [
        ["*.*", false],
        ["secrets", false],
        ["*.apps", false],
      ],
    );
  });

  it("resource that only a wildcard covers, which is not wanted => refused with the remedy", () => {
    assert.throws(
      () => slots(["secrets"], config([["*."], [foreign]])),
      /configuration of cp1 encrypts secrets through \*\./,
    );
  });

  it("resource that a wanted wildcard covers already => stays with the wildcard: a block of its own would hide its data", () => {
    const found = slots(["secrets", "*.apps", "*.*"], config([["*.*"], [ours]]));
    assert.deepEqual(
      found.map((slot) => slot.name),
      ["*.*"],
    );
  });

  it("servers that group a resource differently => refused, naming both", () => {
    assert.throws(
      () => slots(["secrets"], config([["secrets"], [foreign]]), config([["secrets", "pods"], [foreign]])),
      /configuration of cp2 groups secrets as \[pods,secrets\], while cp1 has \[secrets\]/,
    );
  });

  it("resource in two blocks => refused", () => {
    assert.throws(
      () => slots(["secrets"], config([["secrets"], [foreign]], [["secrets"], [identity]])),
      /names secrets in 2 blocks/,
    );
  });

  it("new blocks stand where no wildcard masks them (apiserver refuses a masked resource)", () => {
    const start = config([["pods"], [identity]], [["*.apps"], [identity]], [["*.*"], [identity]]);
    const order = (resources: string[]) =>
      withSlotProviders(start, { name: resources.join(), resources, leaving: false }, [ours]).blocks.map((block) =>
        block.resources.join(),
      );
    assert.deepEqual(order(["secrets"]), ["secrets", "pods", "*.apps", "*.*"]);
    assert.deepEqual(order(["*.batch"]), ["pods", "*.batch", "*.apps", "*.*"]);
  });

  it("slot that leaves => its block goes with its last reader, unless it is the only block", () => {
    const slot = { name: "configmaps", resources: ["configmaps"], leaving: true };
    const two = config([["secrets"], [ours]], [["configmaps"], [identity, ours]]);
    assert.deepEqual(
      withSlotProviders(two, slot, [identity]).blocks.map((block) => block.resources),
      [["secrets"]],
    );
    assert.deepEqual(withSlotProviders(config([["configmaps"], [ours]]), slot, [identity]).blocks.length, 1);
  });

  it("READ puts a reader behind the writer, WRITE brings it to the front, everything else keeps its order", () => {
    const read = addReaders([foreign, identity], [ours]);
    assert.deepEqual(read, [foreign, ours, identity]);
    assert.deepEqual(promote(read, "kms/v2/kms-etcd-0123456789ab"), [ours, foreign, identity]);
  });
});
