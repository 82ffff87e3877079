import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { FleetHost } from "../../rotation/adapters/hosts/fleet-host";
import { assertAllThere, underClients } from "./support/disturbed-rotation";
import { type FaultPoint, faultPoints, strikeAt } from "./support/fault-points";
import { networkLink } from "./support/network-link";
import { type RealCluster, realCluster } from "./support/real-cluster";

/** One of each kind in a single rotation that mostly waits; test/full/rotation-faults-* has every fault at every point. */
describe("a rotation of servers that reload, with a fault at each of four points", function () {
  this.timeout(20 * 60_000);
  let cluster: RealCluster;
  before(async () => {
    cluster = await realCluster({ hosts: 2, staggerSeconds: 5 });
    await cluster.createSecrets(200);
  });
  after(() => cluster.close());

  it("plugin, etcd and API server get SIGKILL, the network is cut => one run gets there, and nothing is lost", async () => {
    const link = await networkLink(cluster.controlPlane.hosts[1]?.apiServerUrl ?? "");
    const reach = (at: FleetHost): FleetHost =>
      at.host.name === "cp2" ? { ...at, apiServer: { ...at.apiServer, url: link.url } } : at;
    const strikes: Readonly<Record<FaultPoint, () => void | Promise<void>>> = {
      "while the new plugin starts": async () => {
        const { name } = cluster.keyVersion(1);
        while (cluster.pid("cp1", name) === undefined) await delay(20);
        cluster.kill("cp1", name);
      },
      "between READ and WRITE": () => cluster.kill("etcd", "etcd"),
      "in the middle of REWRITE": () => cluster.kill("cp1", "kube-apiserver"),
      "between the first pruned server and the rest": async () => {
        link.cut();
        await delay(10_000);
        link.mend();
      },
    };
    const faults = faultPoints.map((at) => strikeAt(at, strikes[at]));
    try {
      await underClients(cluster, [], async () => {
        const onEvent = (event: Parameters<(typeof faults)[number]["onEvent"]>[0]) => {
          for (const fault of faults) fault.onEvent(event);
        };
        const outcome = await cluster.rotate(1, {}, { onEvent, reach });
        for (const fault of faults) await fault.done();
        assert.equal(outcome.kind, "done", outcome.reason);
      });
    } finally {
      await link.close();
    }
    await assertAllThere(cluster, 1);
  });
});
