import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import type { LocalControlPlaneHost } from "../../core/local-control-plane";
import { assertOutcomes, disturbedRotation } from "../e2e/support/disturbed-rotation";
import { faultPoints } from "../e2e/support/fault-points";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

for (const automaticReload of [false, true]) {
  describe(`a configuration edited by hand on one of two servers that ${automaticReload ? "reload" : "restart"}`, function () {
    this.timeout(30 * 60_000);
    let cluster: RealCluster;
    let version = 1;
    const next = () => (version = version === 1 ? 2 : 1);
    const file = () => (cluster.controlPlane.hosts[1] as LocalControlPlaneHost).encryptionConfigFile;

    before(async () => {
      cluster = await realCluster({ automaticReload, hosts: 2 });
      await cluster.createSecrets(400);
      const outcome = await cluster.rotate(1);
      assert.equal(outcome.kind, "done", outcome.reason);
    });
    after(() => cluster.close());

    for (const at of faultPoints) {
      it(`with a remark and another resource, ${at} => the edit stays, and the rotation gets there`, async () => {
        const disturbed = await disturbedRotation(cluster, {
          to: next(),
          at,
          strike: () => {
            const text = readFileSync(file(), "utf8").replace(/^# edited .*\n/, "");
            const block = text.includes("configmaps")
              ? ""
              : "  - resources: [configmaps]\n    providers:\n      - identity: {}\n";
            writeFileSync(file(), `# edited ${at}\n${text}${block}`);
          },
        });
        assertOutcomes(disturbed, ["done"]);
        const text = readFileSync(file(), "utf8");
        assert.match(text, new RegExp(`^# edited ${at}`));
        assert.match(text, /configmaps/);
      });
    }

    /** What a configuration management does that knows nothing of the rotation: it puts its own copy back. */
    for (const at of faultPoints) {
      it(`back to the one from before the rotation, ${at} => no server ever loads what it could not read everything with`, async () => {
        const before = readFileSync(file());
        const disturbed = await disturbedRotation(cluster, {
          to: next(),
          at,
          strike: () => writeFileSync(file(), before),
        });
        assertOutcomes(disturbed, ["done"]);
      });
    }
  });
}
