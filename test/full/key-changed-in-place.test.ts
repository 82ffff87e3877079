import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FleetHost } from "../../rotation/adapters/hosts/fleet-host";
import { localPluginManifest } from "../../rotation/adapters/hosts/plugin-manifest";
import { assertAllThere, underClients } from "../e2e/support/disturbed-rotation";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

const pluginCommand = [process.execPath, join(__dirname, "support", "key-changing-plugin.cjs")];

/** Nobody has asked for a rotation: the KMS has put another key behind the one that the configuration names. */
describe("a key_id that changes under the same provider, on real API servers", function () {
  this.timeout(30 * 60_000);
  let cluster: RealCluster;
  const reach = (at: FleetHost): FleetHost => ({
    ...at,
    pluginManifest: (plugin) =>
      localPluginManifest(plugin, { pluginSocketDirectory: at.pluginSocketDirectory, pluginCommand }),
  });
  const processes = () => cluster.controlPlane.hosts.map(({ name }) => cluster.pid(name, "kube-apiserver"));

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    await cluster.createSecrets(100);
  });
  after(() => cluster.close());

  it("everything is written again once every server has heard of it; nothing restarts, nothing is lost", async () => {
    const first = await cluster.rotate(1, {}, { reach });
    assert.equal(first.kind, "done", `${first.reason}\n${cluster.log.slice(-40).join("\n")}`);
    const { key } = cluster.keyVersion(1);
    assert.ok(key.kind === "local");
    const before = processes();
    const logStart = cluster.log.length;
    await underClients(cluster, [], async () => {
      writeFileSync(`${key.file}.changed`, "2");
      const outcome = await cluster.rotate(1, {}, { reach });
      const said = cluster.log.slice(logStart).join("\n");
      assert.equal(outcome.kind, "done", `${outcome.reason}\n${said}`);
      assert.equal(outcome.evidence.complete, true, said);
      assert.deepEqual(
        outcome.evidence.resources.flatMap(({ keys }) => keys.map(({ keyId }) => keyId)),
        [`${key.keyId}:2`],
      );
      assert.match(said, /Rewrite action: /);
      // Without the wait it would be written again and again, to no effect.
      assert.ok((said.match(/ action: /g) ?? []).length <= 2, said);
    });
    assert.deepEqual(processes(), before, "no API server was restarted");
    await assertAllThere(cluster, 1);
  });
});
