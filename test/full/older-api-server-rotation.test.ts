import assert from "node:assert/strict";
import type { RotationOutcome } from "../../rotation/run";
import { findTool } from "../../tools/find-tool";
import { assertAllThere, underClients } from "../e2e/support/disturbed-rotation";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

/** 1.31.0 tells no hash of what it has loaded: the gates go by process starts and by the time of the last reload. */
for (const automaticReload of [false, true]) {
  describe(`API servers of 1.31 that ${automaticReload ? "reload by themselves" : "restart"}`, function () {
    this.timeout(45 * 60_000);
    let cluster: RealCluster;
    before(async () => {
      cluster = await realCluster({
        hosts: 2,
        automaticReload,
        staggerSeconds: automaticReload ? 5 : 0,
        apiServerBinary: (await findTool("kube-apiserver-1.31")).path,
      });
      await cluster.createSecrets(50);
    });
    after(() => cluster.close());

    for (const [what, goal] of [
      ["encrypt", 1],
      ["are rotated", 2],
      ["decrypt again", "identity"],
    ] as const) {
      it(`${what}, and nothing is lost`, async () => {
        assert.match(cluster.controlPlane.kubernetesVersion, /^v?1\.31\./);
        const processes = cluster.controlPlane.hosts.map((host) => cluster.pid(host.name, "kube-apiserver"));
        let outcome: RotationOutcome | undefined;
        let failures: readonly string[] = [];
        await underClients(cluster, [], async (traffic) => {
          outcome = await cluster.rotate(goal);
          await traffic.compareAll();
          ({ failures } = traffic.report());
        });
        process.stdout.write(`      ${cluster.log.at(-1)}\n`);
        assert.equal(outcome?.kind, "done", `${outcome?.reason}\n${cluster.log.slice(-40).join("\n")}`);
        assert.equal(outcome.evidence.complete, true);
        const expected = automaticReload
          ? /apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds after the write/
          : /process start after the write/;
        for (const server of outcome.evidence.servers)
          assert.match(server.basis, expected, "the evidence names its gate");
        if (automaticReload) {
          assert.deepEqual(failures, []);
          const now = cluster.controlPlane.hosts.map((host) => cluster.pid(host.name, "kube-apiserver"));
          assert.deepEqual(now, processes, "no API server was restarted");
        }
        await assertAllThere(cluster, goal);
      });
    }
  });
}
