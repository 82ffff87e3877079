import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KmsEtcdError } from "../../core/errors";
import { azureKmsKeyId } from "../../core/key-ids";
import type { LocalKeyReference } from "../../core/key-reference";
import { formatLocalKeyFile, localKeyId } from "../../core/local-key-file";
import { pluginInstance } from "../../core/plugin-instance";
import { readSnapshotRecords } from "../../rotation/adapters/etcd/kept-snapshots";
import { localKeyCustody } from "../../rotation/adapters/keys/local-key-custody";
import { lastingObstacles, retireKeys, retirementObstacles } from "../../rotation/retire-keys";
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
    const record = (needs: SnapshotRecord["needs"], unknown = 0): SnapshotRecord => ({
      ...{ formatVersion: 1, snapshot: "etcd-1.db", bytes: 1, sha256: "", takenAt: "", clusterId: "1", revision: 1 },
      needs,
      unknown,
    });
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
