/** Real kube-apiservers that reload by themselves, under readers and writers through all of them for the whole time. */
import assert from "node:assert/strict";
import { startTraffic } from "../../../control-plane/client-traffic";
import { statusControlPlane } from "../../../control-plane/control-plane-status";
import { observeCluster } from "./cluster-observer";
import { assertAllThere } from "./disturbed-rotation";
import { type RealCluster, realCluster } from "./real-cluster";

/** From plaintext through each of the goals in turn. */
export function hotReloadJourney(title: string, goals: readonly (number | "identity")[]): void {
  describe("a real control plane with automatic reload", function () {
    this.timeout(25 * 60_000);
    let cluster: RealCluster;
    before(async () => {
      cluster = await realCluster({ staggerSeconds: 5 });
      await cluster.createSecrets(200);
    });
    after(() => cluster.close());

    it(`${title} => no Secret lost, no request failed, no server restarted`, async () => {
      assert.deepEqual(Object.keys(await cluster.storedProviders()), ["plaintext"]);
      const before = await apiServerProcesses(cluster);
      const traffic = startTraffic(cluster.controlPlane);
      const observer = observeCluster(cluster.controlPlane, { pause: 2_000 });
      for (const goal of goals) {
        const outcome = await cluster.rotate(goal);
        assert.equal(outcome.kind, "done", `${goal}: ${outcome.reason}\n${cluster.log.join("\n")}`);
        assert.equal(outcome.evidence.complete, true);
        process.stdout.write(`      to ${goal}: ${cluster.log.at(-1)}\n`);
        await assertAllThere(cluster, goal);
      }
      const report = await traffic.stop();
      await observer.stop();
      assert.deepEqual(report.failures, []);
      assert.ok(report.requests > 1_000, `${report.requests} requests`);
      assert.deepEqual(observer.violations, []);
      assert.ok(observer.looks() > 30, `${observer.looks()} looks`);
      assert.deepEqual(await apiServerProcesses(cluster), before, "no API server was restarted, whoever asked for it");
    });
  });
}

/** Which process each API server is: a restart by a changed manifest does not count as one in the runner's own books. */
async function apiServerProcesses(cluster: RealCluster): Promise<readonly (number | undefined)[]> {
  const { hosts } = await statusControlPlane(cluster.controlPlane.stateDirectory);
  const servers = hosts.flatMap((host) => host.pods.filter((pod) => pod.name === "kube-apiserver"));
  assert.equal(servers.length, 3);
  return servers.map((pod) => pod.pid);
}
