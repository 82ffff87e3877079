import assert from "node:assert/strict";
import { cpSync, existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { stateLayout } from "../../control-plane/state-layout";
import { RotationStage } from "../../core/rotation-stage";
import { assertAllThere } from "../e2e/support/disturbed-rotation";
import { eventually } from "../e2e/support/eventually";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

/** The backup is etcd's own data directory, taken while etcd was stopped: what every restore ends with. */
describe("an etcd backup from before the rotation is restored after PRUNE", function () {
  this.timeout(15 * 60_000);
  let cluster: RealCluster;
  let backup: string;
  const layout = () => stateLayout(cluster.controlPlane.stateDirectory);
  const manifest = () => join(layout().host("etcd").manifestDirectory, "etcd.yaml");

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    await cluster.createSecrets(100);
    const outcome = await cluster.rotate(1);
    assert.equal(outcome.kind, "done", outcome.reason);
    backup = join(cluster.directory, "backup");
  });
  after(() => cluster.close());

  /** Stops etcd and the API servers, which must not keep what they have in their caches; runs `work`; starts all again. */
  async function whileStopped(work: () => void): Promise<void> {
    const files = [
      manifest(),
      ...cluster.controlPlane.hosts.map((host) => join(host.manifestDirectory, host.apiServerManifest)),
    ];
    const away = files.map((_, index) => join(cluster.directory, `away-${index}.yaml`));
    for (const [index, file] of files.entries()) renameSync(file, away[index] ?? "");
    const running = () =>
      cluster.pid("etcd", "etcd") !== undefined ||
      cluster.controlPlane.hosts.some(({ name }) => cluster.pid(name, "kube-apiserver") !== undefined);
    await eventually("etcd and the API servers have ended", 60, () => !running());
    work();
    for (const [index, file] of files.entries()) renameSync(away[index] ?? "", file);
  }

  const waitUntilReady = () =>
    eventually("every API server is ready", 120, async () => {
      const answers = await Promise.all(
        cluster.controlPlane.hosts.map((_, index) => cluster.request(index, "GET", "/readyz").catch(() => undefined)),
      );
      return answers.every((answer) => answer?.status === 200);
    });

  for (const prune of ["the whole of it", "its first server only"] as const) {
    it(`after ${prune} => the engine gives the servers the old reader, though they are not ready, and nothing is lost`, async () => {
      await cluster.rotate(1);
      await whileStopped(() => {
        rmSync(backup, { recursive: true, force: true });
        cpSync(layout().etcdDataDirectory, backup, { recursive: true });
      });
      await waitUntilReady();
      if (prune === "the whole of it") {
        const rotated = await cluster.rotate(2);
        assert.equal(rotated.kind, "done", rotated.reason);
      } else {
        await cluster.rotate(2, { advanceTo: RotationStage.Verify });
        // One write and one restart.
        const begun = await cluster.rotate(2, {}, { maxActions: 2 });
        assert.equal(begun.kind, "paused", begun.reason);
      }
      await whileStopped(() => {
        assert.ok(existsSync(backup));
        rmSync(layout().etcdDataDirectory, { recursive: true });
        cpSync(backup, layout().etcdDataDirectory, { recursive: true });
      });
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
