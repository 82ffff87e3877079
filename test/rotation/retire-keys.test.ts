import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EncryptionConfiguration, KmsItem } from "../../core/encryption-configuration";
import type { KmsEtcdError } from "../../core/errors";
import { azureKmsKeyId } from "../../core/key-ids";
import type { LocalKeyReference } from "../../core/key-reference";
import { formatLocalKeyFile, localKeyId } from "../../core/local-key-file";
import { pluginInstance } from "../../core/plugin-instance";
import { readSnapshotRecords } from "../../rotation/adapters/etcd/kept-snapshots";
import { localKeyCustody } from "../../rotation/adapters/keys/local-key-custody";
import type { ServerObservation } from "../../rotation/observation";
import { lastingObstacles, type RetirementView, retireKeys, retirementObstacles } from "../../rotation/retire-keys";
import { keyIdHash } from "../../rotation/rules/key-id-rule";
import { runRotation } from "../../rotation/run";
import { type SnapshotRecord, snapshotNeeds } from "../../rotation/snapshot-record";
import { goalFor, keyVersion } from "./goals";
import { observationOf } from "./observation-of";
import { randomFrom } from "./random";
import { simulateCluster } from "./simulated-cluster";

const { signal } = new AbortController();

describe("retiring a key version", function () {
  this.timeout(30_000);
  const retiring = (version: number) => ({ version, plugin: keyVersion(version) });

  const record = (needs: SnapshotRecord["needs"], unknown = 0): SnapshotRecord => ({
    ...{ formatVersion: 1, snapshot: "etcd-1.db", bytes: 1, sha256: "", takenAt: "", clusterId: "1", revision: 1 },
    needs,
    unknown,
  });

  async function viewAt(active: number, snapshots: readonly SnapshotRecord[] = []) {
    const cluster = simulateCluster({ hosts: 2, reload: "hot", objects: 6, random: randomFrom(5), clients: false });
    const goal = (version: number) => goalFor(version, ["cp1", "cp2"]);
    for (const version of [1, active]) {
      const { fleet, stored, clock } = cluster;
      await runRotation({ goal: goal(version), fleet, stored, clock, onEvent: () => undefined, signal });
    }
    const observed = await observationOf(cluster, goal(active));
    return { cluster, view: { observed, goal: goal(active), endpointOf: cluster.fleet.endpoint, snapshots } };
  }

  it("refused while it encrypts, while a configuration names it, while an object needs it, each named", async () => {
    const { view } = await viewAt(1);
    assert.deepEqual(retirementObstacles(view, retiring(1)), ["it is the key that encrypts"]);
    const other = { ...view, goal: goalFor(2, ["cp1", "cp2"]) };
    assert.deepEqual(
      retirementObstacles({ ...other, inEtcd: view.observed.stored?.resources[0] as never }, retiring(1)),
      ["the configuration of cp1 names it", "the configuration of cp2 names it", "6 stored objects need it"],
    );
  });

  it("nothing needs it any more => no obstacle; a snapshot that does, or may => named, and lasting", async () => {
    assert.deepEqual(retirementObstacles((await viewAt(2)).view, retiring(1)), []);
    const { view } = await viewAt(2, [record([{ provider: "kms/v2/other", keyId: "local-1", objects: 0 }])]);
    assert.deepEqual(retirementObstacles(view, retiring(1)), ["the snapshot etcd-1.db needs it"]);
    assert.deepEqual(lastingObstacles(view, retiring(1)), ["the snapshot etcd-1.db needs it"]);
    const unclear = { ...view, snapshots: [record([], 2)] };
    assert.deepEqual(retirementObstacles(unclear, retiring(1)), [
      "the snapshot etcd-1.db has 2 values that may need any key",
    ]);
  });

  it("a key in a cloud, whose plugins have stopped => what a snapshot has under an adopted name is still known by key_id", async () => {
    const { view } = await viewAt(2);
    const plugin = pluginInstance({ kind: "azure", vaultName: "kv1", keyName: "k8s", keyVersion: "0".repeat(32) });
    const keyId = azureKmsKeyId(`https://kv1.vault.azure.net/keys/k8s/${"0".repeat(32)}`);
    const inEtcd = { keys: [{ key: { provider: "kms/v2/adopted", keyId }, objects: 2 }], unknown: 0 };
    assert.deepEqual(retirementObstacles({ ...view, inEtcd }, { version: 9, plugin }), ["2 stored objects need it"]);
  });

  describe("a provider of somebody else's, of which it may not be told which key is behind it", () => {
    const endpoint = "unix:///opt/foreign.socket";
    const v1: KmsItem = { kind: "kms", apiVersion: "v1", name: "azurekms", endpoint };
    const v2: KmsItem = { kind: "kms", apiVersion: "v2", name: "foreign", endpoint };
    const arn = (key: string) => `arn:aws:kms:eu-west-1:111122223333:${key}`;
    const awsKey = (name: string, encryptionContext = {}) =>
      pluginInstance({ kind: "aws", keyArn: arn(`key/${name}`), region: "eu-west-1", encryptionContext });
    const old = { version: 1, plugin: awsKey("old") };
    const nothing = { keys: [], unknown: 0 };

    /** At version 2 with everything looked at in etcd; configmaps stand in a block of somebody else's. */
    async function withForeign(item: KmsItem, more: Partial<ServerObservation> = {}): Promise<RetirementView> {
      const { view } = await viewAt(2);
      const block = { resources: ["configmaps"], providers: [item, { kind: "identity" as const }] };
      const add = (config: EncryptionConfiguration) => ({ blocks: [...config.blocks, block] });
      const servers = view.observed.servers.map(({ file, loaded, ...server }) => ({
        ...server,
        ...more,
        file: file && { ...file, config: add(file.config) },
        loaded: { ...loaded, config: loaded.config && add(loaded.config) },
      }));
      const goal = { ...view.goal, declared: [...view.goal.declared, old.plugin] };
      return { ...view, goal, observed: { ...view.observed, servers }, inEtcd: nothing };
    }
    const plugin = (keyId: string) => ({
      plugins: [{ name: "foreign", endpoint, startedAt: 0, keyId, problem: undefined }],
    });
    const heard = (keyId: string) => ({
      heardKeyIds: [{ provider: "foreign", keyIdHash: keyIdHash(keyId), since: 0 }],
    });
    const mayNeed = (why: string, item: KmsItem) =>
      `cp1, cp2 have for configmaps kms/${item.apiVersion}/${item.name}, which may need it: ${why} (encrypt configmaps with a declared key: name it in resources, and rotate to the end)`;

    it("KMS v1 => its item, its values and a snapshot with such values may need the key, each with the way out", async () => {
      const needs = [{ provider: "kms/v1/azurekms", objects: 3 }];
      const stored = needs.map(({ provider, objects }) => ({ key: { provider }, objects }));
      const view = { ...(await withForeign(v1)), inEtcd: { keys: stored, unknown: 0 }, snapshots: [record(needs)] };
      const snapshot =
        "the snapshot etcd-1.db has values of kms/v1/azurekms that may need it: KMS v1 does not store which key (where you know the key, write its key_id into that need of etcd-1.db.needs.json; where the snapshot is not kept any more, remove both)";
      assert.deepEqual(retirementObstacles(view, retiring(1)), [
        mayNeed("KMS v1 does not store which key", v1),
        "3 stored objects of kms/v1/azurekms may need it: KMS v1 does not store which key (encrypt their resources with a declared key: name them in resources, and rotate to the end)",
        snapshot,
      ]);
      assert.deepEqual(lastingObstacles(view, retiring(1)), [snapshot]);
    });

    it("a snapshot's KMS v1 values whose key somebody has written into the record => that key needs to stay, and no other", async () => {
      const needs = [{ provider: "kms/v1/azurekms", keyId: "local-3", objects: 3 }];
      const { view } = await viewAt(2, [record(needs)]);
      assert.deepEqual(retirementObstacles(view, retiring(1)), []);
      assert.deepEqual(retirementObstacles(view, retiring(3)), ["the snapshot etcd-1.db needs it"]);
    });

    it("KMS v2 whose key_id names another key => nothing; its own => needed; an alias, or none at all => may need it", async () => {
      const at = async (more: Partial<ServerObservation>) => retirementObstacles(await withForeign(v2, more), old);
      const named = ["the configuration of cp1 names it", "the configuration of cp2 names it"];
      assert.deepEqual(await at(plugin(arn("key/other"))), []);
      assert.deepEqual(await at({ ...plugin(arn("key/other")), ...heard(arn("key/other")) }), []);
      assert.deepEqual(await at(heard("local-2")), [], "a declared key's, known by its hash");
      assert.deepEqual(await at(plugin(arn("key/old"))), named);
      assert.deepEqual(await at(heard(arn("key/old"))), named);
      assert.deepEqual(await at({ ...plugin(arn("key/other")), ...heard(arn("key/old")) }), named, "still in use");
      const alias = arn("alias/etcd");
      const unclear = `key_id ${alias} does not say which key`;
      assert.deepEqual(await at({ ...plugin(alias), ...heard(alias) }), [mayNeed(unclear, v2)]);
      const silent = mayNeed(`nobody says which key is behind ${endpoint}`, v2);
      assert.deepEqual(await at({}), [silent]);
      assert.deepEqual(await at({ ...plugin(arn("key/other")), ...heard(arn("alias/moved")) }), [silent]);
    });

    it("values under a foreign name => by their key_id, where that names one key", async () => {
      const { view } = await viewAt(2);
      const at = (keyId: string) => {
        const inEtcd = { keys: [{ key: { provider: "kms/v2/foreign", keyId }, objects: 2 }], unknown: 0 };
        return retirementObstacles({ ...view, inEtcd }, old);
      };
      assert.deepEqual(at(arn("key/other")), []);
      assert.deepEqual(at(arn("key/old")), ["2 stored objects need it"]);
      assert.match(
        at(arn("alias/etcd")).join(),
        /^2 stored objects of kms\/v2\/foreign may need it: key_id arn\S+ does/,
      );
    });

    it("no way to etcd => what is stored with a foreign provider is not seen, so it may need any key", async () => {
      const { inEtcd: _, ...view } = await withForeign(v2, plugin(arn("key/other")));
      const { stored } = view.observed;
      if (stored === undefined) throw new Error("a proof");
      const at = (method: "api" | "etcd") =>
        retirementObstacles({ ...view, observed: { ...view.observed, stored: { ...stored, method } } }, old);
      assert.deepEqual(at("api"), [mayNeed("without a way to etcd it is not seen what is stored with it", v2)]);
      assert.deepEqual(at("etcd"), [], "a preview looks at the goal's resources, the run at everything");
    });

    it("the same key in AWS with another encryption context => it is the key that encrypts, or that a configuration names", async () => {
      const { view } = await viewAt(2);
      const writer = awsKey("old", { cluster: "a" });
      const goal = { ...view.goal, writer, declared: [writer, old.plugin] };
      assert.deepEqual(retirementObstacles({ ...view, goal }, old), ["it is the key that encrypts"]);
      const item: KmsItem = { ...v2, endpoint: view.endpointOf(writer) };
      const other = await withForeign(item);
      const declared = [...other.goal.declared, writer];
      assert.equal(retirementObstacles({ ...other, goal: { ...other.goal, declared } }, old).length, 2);
    });
  });

  it("a directory of snapshots that is not on this machine => lasting, with the way out", async () => {
    const { view } = await viewAt(2);
    const [obstacle = "", ...more] = lastingObstacles({ ...view, unseenSnapshots: ["/mnt/gone"] }, retiring(1));
    assert.match(obstacle, /^what snapshots in \/mnt\/gone need is not known, .*make it, empty/);
    assert.deepEqual(more, []);
  });

  it("what is not known needs everything: a server that is away, values that nobody understands, no look at all", async () => {
    const { cluster, view } = await viewAt(2);
    const away = cluster.hosts[1];
    if (away === undefined) throw new Error("two hosts");
    away.downUntil = Number.POSITIVE_INFINITY;
    const observed = await observationOf(cluster, view.goal);
    assert.deepEqual(retirementObstacles({ ...view, observed }, retiring(1)), [
      "it is not known what cp2 reads with",
      "it is not known what is stored",
    ]);
    const unclear = { ...view, inEtcd: { keys: [], unknown: 3 } };
    assert.deepEqual(retirementObstacles(unclear, retiring(1)), [
      "3 stored values cannot be understood and may need it",
    ]);
  });

  it("a key that may be retired is, one that may not is not, and the error names what needs it", async () => {
    const { view } = await viewAt(2);
    const retired: string[] = [];
    const custody = {
      retire: async (key: LocalKeyReference) => void retired.push(key.keyId),
      reinstate: async () => {},
    };
    const said: string[] = [];
    await assert.rejects(
      retireKeys({ local: custody }, [retiring(2), retiring(1)], view, (line) => said.push(line), signal),
      (thrown: KmsEtcdError) =>
        thrown.code === "blocked" && thrown.message === "key version 2 is not retired: it is the key that encrypts",
    );
    assert.deepEqual(retired, ["local-1"]);
    assert.deepEqual(said, ["key version 1 (local key local-1) is retired"]);
    await assert.rejects(
      retireKeys({}, [retiring(1)], view, () => {}, signal),
      /cannot retire local keys/,
    );
  });

  it("what a snapshot needs: what is counted, and what servers may write meanwhile; plaintext needs nothing", () => {
    const counted = [
      { key: { provider: "identity" }, objects: 3 },
      { key: { provider: "kms/v2/a", keyId: "1" }, objects: 2 },
      { key: { provider: "kms/v2/a", keyId: "1" }, objects: 4 },
    ];
    assert.deepEqual(snapshotNeeds(counted, [{ provider: "kms/v2/b", keyId: "2" }, { provider: "kms/v2/a" }]), [
      { provider: "kms/v2/a", keyId: "1", objects: 6 },
      { provider: "kms/v2/b", keyId: "2", objects: 0 },
    ]);
  });

  describe("a local key", () => {
    let directory: string;
    beforeEach(() => {
      directory = mkdtempSync(join(tmpdir(), "kms-etcd-retire-"));
    });
    afterEach(() => rmSync(directory, { recursive: true, force: true }));

    function keyFile(fill: number): LocalKeyReference {
      const bytes = Buffer.alloc(32, fill);
      const file = join(directory, "v1.key");
      writeFileSync(file, formatLocalKeyFile(bytes), { mode: 0o600 });
      return { kind: "local", file, keyId: localKeyId(bytes) };
    }

    it("retired => not under its name any more, byte for byte kept; again => nothing; reinstated => as it was", async () => {
      const key = keyFile(1);
      const content = readFileSync(key.file, "utf8");
      const custody = localKeyCustody();
      await custody.reinstate(key, signal);
      for (let time = 0; time < 2; time += 1) {
        await custody.retire(key, signal);
        assert.equal(existsSync(key.file), false);
        assert.equal(readFileSync(`${key.file}.retired`, "utf8"), content);
      }
      for (let time = 0; time < 2; time += 1) {
        await custody.reinstate(key, signal);
        assert.equal(readFileSync(key.file, "utf8"), content);
        assert.equal(existsSync(`${key.file}.retired`), false);
      }
    });

    it("another key's file in either place => refused, and both files stay", async () => {
      const key = keyFile(1);
      const custody = localKeyCustody();
      await custody.retire(key, signal);
      keyFile(2);
      for (const work of [custody.retire, custody.reinstate]) {
        await assert.rejects(work(key, signal), (thrown: KmsEtcdError) => thrown.code === "conflict");
      }
      assert.ok(existsSync(key.file) && existsSync(`${key.file}.retired`));
    });

    it("no directory => not known what its snapshots need; without records => none; a record that is none => refused, because its snapshot may need any key", async () => {
      assert.equal(await readSnapshotRecords(join(directory, "none")), undefined);
      assert.deepEqual(await readSnapshotRecords(directory), []);
      writeFileSync(join(directory, "x.db.needs.json"), "{}");
      await assert.rejects(readSnapshotRecords(directory), (thrown: KmsEtcdError) => thrown.code === "corrupt");
    });
  });
});
