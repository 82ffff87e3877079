import assert from "node:assert/strict";
import type { EncryptionConfiguration, ProviderItem } from "../../core/encryption-configuration";
import type { KmsEtcdError } from "../../core/errors";
import { addReaders, promote, slotProviders, slotsOf, withSlotProviders } from "../../rotation/slots";

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
      { name: "secrets", resources: ["secrets"], writes: ["secrets"], leaving: false },
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

  it("resource in several blocks => they move together, and the first one writes it, as API servers do", () => {
    const found = slots(
      ["secrets"],
      config([["configmaps", "pods"], [foreign]], [["secrets", "configmaps"], [ours]], [["nodes"], [identity]]),
    );
    assert.deepEqual(
      found.map((slot) => [slot.name, slot.writes, slot.leaving]),
      [
        ["configmaps,secrets", ["secrets"], false],
        ["configmaps,pods", ["configmaps", "pods"], false],
      ],
    );
  });

  it("the same resources in two blocks => one slot with both lists, written as one block", () => {
    const twice = config([["secrets"], [foreign, identity]], [["pods"], [identity]], [["secrets"], [ours, identity]]);
    const [slot, ...others] = slots(["secrets"], twice);
    assert.ok(slot !== undefined && others.length === 0);
    const list = slotProviders(twice, slot);
    assert.deepEqual(list, [foreign, identity, ours]);
    assert.deepEqual(
      withSlotProviders(twice, slot, list),
      config([["secrets"], [foreign, identity, ours]], [["pods"], [identity]]),
    );
  });

  it("servers that have a resource's blocks in another order => refused: they do not write it with the same one", () => {
    const [a, b] = [
      [["secrets", "pods"], [foreign]],
      [["secrets"], [ours]],
    ] as [string[], ProviderItem[]][];
    assert.ok(a !== undefined && b !== undefined);
    assert.throws(
      () => slots(["secrets"], config(a, b), config(b, a)),
      /configuration of cp2 groups secrets as \[secrets\] and \[pods,secrets\], while cp1 has \[pods,secrets\] and \[secrets\]/,
    );
  });

  it("our block that nobody wants, with a resource of somebody else's => refused: that one could not read what ours has stored", () => {
    const shared = config([["pods", "nodes"], [ours]], [["pods"], [foreign]]);
    assert.throws(
      () => slots(["secrets"], shared),
      /has pods, nodes in one block, and some of it in a block of somebody else's/,
    );
  });

  it("resource that only a wildcard of plaintext covers => gets a block of its own: there is nothing to hide", () => {
    const [slot] = slots(["secrets"], config([["*.*"], [identity]]), config([["*.*"], [identity]]));
    assert.equal(slot?.name, "secrets");
    assert.throws(() => slots(["secrets"], config([["*.*"], [identity]]), config([["*.*"], [identity, ours]])), {
      message: /configuration of cp2 encrypts secrets through \*\.\*/,
      remedy: /one run with "\*\.\*" still in resources and enabled: false/,
    });
  });

  it("resource that a narrower wildcard covers, which a wanted one takes along => stays with it", () => {
    const found = slots(["secrets", "*.*"], config([["*."], [foreign]]));
    assert.deepEqual(found.map((slot) => slot.name).sort(), ["*.", "*.*"]);
  });

  it("new blocks stand where no wildcard masks them (apiserver refuses a masked resource)", () => {
    const start = config([["pods"], [identity]], [["*.apps"], [identity]], [["*.*"], [identity]]);
    const order = (resources: string[]) =>
      withSlotProviders(start, { name: resources.join(), resources, writes: resources, leaving: false }, [
        ours,
      ]).blocks.map((block) => block.resources.join());
    assert.deepEqual(order(["secrets"]), ["secrets", "pods", "*.apps", "*.*"]);
    assert.deepEqual(order(["*.batch"]), ["pods", "*.batch", "*.apps", "*.*"]);
  });

  it("a new wildcard's block => behind every block with something that it covers, whatever else stands in that", () => {
    const slotFor = (name: string) => ({ name, resources: [name], writes: [name], leaving: false });
    const mixed = config([["deployments.apps", "*.batch"], [foreign]], [["secrets"], [identity]]);
    const order = (name: string, start: EncryptionConfiguration) =>
      withSlotProviders(start, slotFor(name), [ours]).blocks.map((block) => block.resources.join());
    assert.deepEqual(order("*.apps", mixed), ["deployments.apps,*.batch", "*.apps", "secrets"]);
    assert.deepEqual(order("*.*", mixed), ["deployments.apps,*.batch", "secrets", "*.*"]);
    assert.deepEqual(order("jobs.batch", mixed), ["jobs.batch", "deployments.apps,*.batch", "secrets"]);
  });

  it("two local keys that stored values do not tell apart, on one server or on two => refused with the remedy; one of them alone => not", () => {
    const key = (name: string, kind: "aesgcm" | "aescbc" = "aesgcm"): ProviderItem => ({
      kind,
      keys: [{ name, secret: "c2VjcmV0" }],
    });
    const refusal = (thrown: KmsEtcdError) => {
      assert.equal(thrown.code, "unsupported");
      assert.match(
        thrown.message,
        /cp\d has for secrets the aesgcm key "old:2020", and stored values do not tell it from/,
      );
      assert.match(
        thrown.remedy ?? "",
        /make the other the first key on every server, write every object of secrets again/,
      );
      assert.doesNotMatch(thrown.message, /c2VjcmV0/);
      return true;
    };
    const both = config([["secrets"], [key("old:2019"), key("old:2020")]]);
    assert.throws(() => slots(["secrets"], both), refusal);
    const [first, second] = ["old", "old:2020"].map((name) => config([["secrets"], [key(name), identity]]));
    assert.ok(first && second);
    assert.throws(() => slots(["secrets"], first, second), refusal);
    assert.equal(slots(["secrets"], second, second).length, 1);
    // Blocks of other resources are none of these.
    slots(["secrets"], config([["secrets"], [key("old:2019")]], [["pods"], [key("old:2020")]]));
    // AES-CBC's values have whole blocks behind the name, so most names can be read back.
    slots(["secrets"], config([["secrets"], [key("old:2019", "aescbc"), key("old:2020", "aescbc")]]));
  });

  it("slot that leaves => its block goes with its last reader, unless it is the only block", () => {
    const slot = { name: "configmaps", resources: ["configmaps"], writes: ["configmaps"], leaving: true };
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
