import assert from "node:assert/strict";
import { assertAllThere, assertOutcomes, disturbedRotation, underClients } from "../e2e/support/disturbed-rotation";
import { startEngine } from "../e2e/support/engine-process";
import { faultPoints, strikeAt } from "../e2e/support/fault-points";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

/** Restarting servers, because their rotation takes a minute and meets more on its way. */
describe("SIGKILL in the middle of a rotation", function () {
  this.timeout(30 * 60_000);
  let cluster: RealCluster;
  let version = 1;
  const next = () => (version = version === 1 ? 2 : 1);

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    await cluster.createSecrets(400);
    const outcome = await cluster.rotate(1);
    assert.equal(outcome.kind, "done", outcome.reason);
  });
  after(() => cluster.close());

  for (const at of faultPoints) {
    it(`the engine, ${at} => the next one goes on, and gets there`, async () => {
      const to = next();
      await underClients(cluster, [], async () => {
        const engine = startEngine(cluster, cluster.goal(to), (event) => fault.onEvent(event));
        const fault = strikeAt(at, engine.kill);
        assert.equal(await engine.outcome, undefined, "it was killed");
        await fault.done();
        const outcome = await startEngine(cluster, cluster.goal(to)).outcome;
        assert.equal(outcome?.kind, "done", outcome?.reason);
      });
      await assertAllThere(cluster, to);
    });
  }

  for (const at of faultPoints) {
    it(`an API server, ${at}`, async () => {
      const disturbed = await disturbedRotation(cluster, {
        to: next(),
        at,
        // The one that the engine is at: the one that is being read through.
        strike: ({ message }) => cluster.kill(/ through (cp\d)$/.exec(message)?.[1] ?? "cp1", "kube-apiserver"),
      });
      assertOutcomes(disturbed, ["done"]);
    });
  }

  for (const at of faultPoints) {
    it(`both plugins of a host, ${at}`, async () => {
      const from = version;
      const disturbed = await disturbedRotation(cluster, {
        to: next(),
        at,
        strike: () => {
          for (const plugin of [from, version].map((known) => cluster.keyVersion(known).name)) {
            // The new one may not have been started yet on this host.
            if (cluster.pid("cp2", plugin) !== undefined) cluster.kill("cp2", plugin);
          }
        },
      });
      assertOutcomes(disturbed, ["done"]);
    });
  }

  for (const at of faultPoints) {
    it(`etcd, ${at}`, async () => {
      const disturbed = await disturbedRotation(cluster, {
        to: next(),
        at,
        strike: () => cluster.kill("etcd", "etcd"),
      });
      assertOutcomes(disturbed, ["done"]);
    });
  }
});
