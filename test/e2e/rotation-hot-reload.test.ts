import assert from "node:assert/strict";
import { startTraffic } from "../../control-plane/client-traffic";
import { statusControlPlane } from "../../control-plane/control-plane-status";
import { type RealCluster, realCluster } from "./support/real-cluster";

/** Which process each API server is: a restart by a changed manifest does not count as one in the runner's own books. */
async function apiServerProcesses(cluster: RealCluster): Promise<readonly (number | undefined)[]> {
  const { hosts } = await statusControlPlane(cluster.controlPlane.stateDirectory);
  const servers = hosts.flatMap((host) => host.pods.filter((pod) => pod.name === "kube-apiserver"));
  assert.equal(servers.length, 3);
  return servers.map((pod) => pod.pid);
}

/** Real kube-apiservers that reload by themselves, under readers and writers through all of them for the whole time. */
describe("a real control plane with automatic reload", function () {
  this.timeout(25 * 60_000);
  let cluster: RealCluster;
  before(async () => {
    cluster = await realCluster({ staggerSeconds: 5 });
    await cluster.createSecrets(200);
  });
  after(() => cluster.close());

  it("enable, rotate 1 to 2 to 3, roll back to 2, disable => no Secret lost, no request failed, no server restarted", async () => {
    assert.deepEqual(Object.keys(await cluster.storedProviders()), ["plaintext"]);
    const before = await apiServerProcesses(cluster);
    const traffic = startTraffic(cluster.controlPlane);
    for (const version of [1, 2, 3, 2, "identity"] as const) {
      const outcome = await cluster.rotate(version);
      assert.equal(outcome.kind, "done", `${version}: ${outcome.reason}\n${cluster.log.join("\n")}`);
      assert.equal(outcome.evidence.complete, true);
      assert.deepEqual(Object.keys(await cluster.storedProviders()), [
        version === "identity" ? "plaintext" : cluster.providerOf(version),
      ]);
      process.stdout.write(`      to ${version}: ${cluster.log.at(-1)}\n`);
    }
    const report = await traffic.stop();
    assert.deepEqual(report.failures, []);
    assert.ok(report.requests > 1_000, `${report.requests} requests`);
    for (let index = 0; index < 200; index += 1) {
      const { status, text } = await cluster.request(index % 3, "GET", `/api/v1/namespaces/default/secrets/s${index}`);
      assert.equal(status, 200);
      const { data } = JSON.parse(text) as { data: { value: string } };
      assert.equal(Buffer.from(data.value, "base64").toString(), `plaintext-${index}`);
    }
    assert.deepEqual(await apiServerProcesses(cluster), before, "no API server was restarted, whoever asked for it");
  });
});
