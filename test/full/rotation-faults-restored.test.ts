import assert from "node:assert/strict";
import { RotationStage } from "../../core/rotation-stage";
import { assertAllThere } from "../e2e/support/disturbed-rotation";
import { eventually } from "../e2e/support/eventually";
import { faultPointOf } from "../e2e/support/fault-points";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";
import { backUpEtcd, restoreEtcd } from "./support/etcd-backup";

/** How far the rotation has come when etcd goes back to before it. */
const points = [
  "between READ and WRITE",
  "in the middle of REWRITE",
  "between the first pruned server and the rest",
  "after the whole of PRUNE",
] as const;

/** As Kubernetes' documentation has it, so that no watch goes on as if nothing had happened; and without, as older runbooks do. */
const bumped = ["--bump-revision=1000000000", "--mark-compacted"];

/** The snapshot is the engine's own, and is restored by etcd's own program. */
describe("an etcd snapshot from before the rotation is restored with etcdutl", function () {
  this.timeout(30 * 60_000);
  let cluster: RealCluster;

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    await cluster.createSecrets(100);
    const outcome = await cluster.rotate(1);
    assert.equal(outcome.kind, "done", outcome.reason);
  });
  after(() => cluster.close());

  /** Runs the rotation to the point, and no further. */
  async function rotateTo(point: (typeof points)[number]): Promise<void> {
    if (point === "after the whole of PRUNE") {
      const rotated = await cluster.rotate(2);
      assert.equal(rotated.kind, "done", rotated.reason);
    } else if (point === "between READ and WRITE") {
      const held = await cluster.rotate(2, { advanceTo: RotationStage.Read });
      assert.equal(held.kind, "done", held.reason);
    } else if (point === "in the middle of REWRITE") {
      const ending = new AbortController();
      const onEvent = (event: Parameters<typeof faultPointOf>[0]) => {
        if (faultPointOf(event) === point) ending.abort();
      };
      const stopped = await cluster.rotate(2, {}, { signal: ending.signal, onEvent });
      assert.equal(stopped.kind, "cancelled", stopped.reason);
    } else {
      await cluster.rotate(2, { advanceTo: RotationStage.Verify });
      // One write and one restart.
      const begun = await cluster.rotate(2, {}, { maxActions: 2 });
      assert.equal(begun.kind, "paused", begun.reason);
    }
  }

  for (const [index, point] of points.entries()) {
    const more = index % 2 === 0 ? [] : bumped;
    it(`${point}${more.length > 0 ? ", with a bumped revision" : ""} => every server reads what it needs again, though it may not be ready, and nothing is lost`, async () => {
      const back = await cluster.rotate(1);
      assert.equal(back.kind, "done", back.reason);
      const backup = await backUpEtcd(cluster);
      assert.deepEqual(
        backup.needs.map((provider) => `k8s:enc:${provider.replace("/v2/", ":v2:")}`),
        [cluster.providerOf(1)],
      );
      await rotateTo(point);
      await restoreEtcd(cluster, backup.file, more);
      await eventually("etcd holds what the old key has encrypted, and that alone", 60, async () => {
        const stored = await cluster.storedProviders().catch(() => ({}));
        return Object.keys(stored).join() === cluster.providerOf(1);
      });
      const outcome = await cluster.rotate(2);
      assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-60).join("\n")}`);
      await assertAllThere(cluster, 2);
    });
  }
});
