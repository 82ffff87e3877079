import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { LocalControlPlaneHost } from "../../core/local-control-plane";
import { RotationStage } from "../../core/rotation-stage";
import { createLocalFleet, createLocalStoredObjects } from "../../rotation/adapters/hosts/local-fleet";
import { localKeyCustody } from "../../rotation/adapters/keys/local-key-custody";
import { defaultLimits } from "../../rotation/goal";
import { retirementObstacles } from "../../rotation/retire-keys";
import { retirementLook } from "../../rotation/retirement-look";
import { assertAllThere } from "../e2e/support/disturbed-rotation";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

const impatient = { ...defaultLimits, ready: 45_000 };

describe("files that servers cannot use, snapshots, retired keys and etcd's history, on a real control plane", function () {
  this.timeout(15 * 60_000);
  let cluster: RealCluster;
  const host = (index: number) => cluster.controlPlane.hosts[index] as LocalControlPlaneHost;
  const fileHash = (index: number) =>
    `sha256:${createHash("sha256")
      .update(readFileSync(host(index).encryptionConfigFile))
      .digest("hex")}`;

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    await cluster.createSecrets(100);
    const outcome = await cluster.rotate(1);
    assert.equal(outcome.kind, "done", outcome.reason);
  });
  after(() => cluster.close());

  async function loadedHash(index: number): Promise<string | undefined> {
    const { text } = await cluster.request(index, "GET", "/metrics");
    return /apiserver_encryption_config_controller_last_config_info\{[^}]*hash="(sha256:[0-9a-f]+)"/.exec(text)?.[1];
  }

  async function untilRestarted(index: number, before: number | undefined): Promise<void> {
    for (const until = Date.now() + 120_000; Date.now() < until; ) {
      await delay(300);
      const pid = cluster.pid(host(index).name, "kube-apiserver");
      if (pid === undefined || pid === before) continue;
      if ((await cluster.request(index, "GET", "/version").catch(() => undefined))?.status === 200) return;
    }
    assert.fail("the API server did not come back");
  }

  it("killed between the write and the restart, and the server is not ready with the file => a later run goes back, and says why", async () => {
    const before = fileHash(0);
    const paused = await cluster.rotate(2, {}, { maxActions: 3 });
    assert.equal(paused.kind, "paused", paused.reason);
    assert.notEqual(fileHash(0), before, "the file was written, and nobody has loaded it");
    // Its plugin for the new key loses the key, and the server's process dies: it comes back with the new file.
    const manifest = join(host(0).manifestDirectory, `${cluster.keyVersion(2).name}.yaml`);
    const good = readFileSync(manifest, "utf8");
    writeFileSync(manifest, good.replaceAll("v2.key", "missing.key"));
    const socket = join(host(0).pluginSocketDirectory, cluster.keyVersion(2).socketFile);
    for (const until = Date.now() + 30_000; existsSync(socket) && Date.now() < until; ) await delay(100);
    assert.ok(!existsSync(socket), "the plugin is gone");
    const pid = cluster.pid(host(0).name, "kube-apiserver");
    process.kill(pid as number, "SIGKILL");
    await untilRestarted(0, pid);
    const outcome = await cluster.rotate(2, { limits: impatient });
    assert.equal(outcome.kind, "blocked", cluster.log.slice(-30).join("\n"));
    assert.match(
      `${outcome.reason}\n${cluster.log.slice(-25).join("\n")}`,
      /^cp1 did not become ready with sha256:[0-9a-f]{64}: .*kms-providers/,
    );
    assert.equal(fileHash(0), before, "the file from before is back");
    assert.equal(await loadedHash(0), before, "and the server runs it");
    writeFileSync(manifest, good);
    const next = await cluster.rotate(2, { advanceTo: RotationStage.Read });
    assert.equal(next.kind, "done", `${next.reason}\n${cluster.log.slice(-30).join("\n")}`);
    assert.deepEqual(Object.keys(await cluster.storedProviders()), [cluster.providerOf(1)]);
  });

  it("a file that somebody spoils => what the server has loaded is put back, and the rotation goes on", async () => {
    writeFileSync(host(1).encryptionConfigFile, "resources: [spoilt\n");
    const outcome = await cluster.rotate(2, { advanceTo: RotationStage.Write });
    assert.equal(outcome.kind, "done", outcome.reason);
    assert.ok(cluster.log.some((line) => line.includes("cp2: put the loaded configuration back")));
  });

  it("a snapshot before PRUNE, its record, and a history without the old key", async () => {
    const directory = join(cluster.directory, "snapshots");
    const outcome = await cluster.rotate(2, { etcdSnapshot: { directory }, compact: "afterPrune" });
    assert.equal(outcome.kind, "done", outcome.reason);
    const { snapshot, compacted, evidence } = outcome;
    assert.ok(snapshot !== undefined && compacted !== undefined);
    assert.deepEqual(readdirSync(directory).sort(), [
      snapshot.record.snapshot,
      `${snapshot.record.snapshot}.needs.json`,
    ]);
    const file = join(directory, snapshot.record.snapshot);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const bytes = readFileSync(file);
    assert.equal(createHash("sha256").update(bytes).digest("hex"), snapshot.record.sha256);
    const content = createHash("sha256").update(bytes.subarray(0, -32)).digest();
    assert.ok(content.equals(bytes.subarray(-32)), "the SHA-256 that a restore checks");
    const { key } = cluster.keyVersion(2);
    assert.deepEqual(
      snapshot.record.needs.map((need) => need.keyId),
      [key.kind === "local" ? key.keyId : ""],
    );
    assert.equal(snapshot.record.needs[0]?.objects, evidence.resources[0]?.objects);
    assert.equal(evidence.etcd?.clusterId, snapshot.record.clusterId);
    assert.deepEqual(compacted.defragmented, cluster.controlPlane.etcd.endpoints);
    await assertAllThere(cluster, 2);
  });

  it("retiring: refused for what is needed, naming it; done for what is not, and taken back", async () => {
    const directory = join(cluster.directory, "snapshots");
    const fleet = createLocalFleet(cluster.controlPlane);
    const stored = createLocalStoredObjects(cluster.controlPlane, fleet);
    const { signal } = new AbortController();
    try {
      const view = await retirementLook({ fleet, stored }, cluster.goal(3, { etcdSnapshot: { directory } }), signal);
      const obstaclesTo = (version: number) =>
        retirementObstacles(view, { version, plugin: cluster.keyVersion(version) });
      assert.deepEqual(obstaclesTo(1), []);
      const [first, second, third, fourth] = obstaclesTo(2);
      assert.match([first, second].join(), /the configuration of cp1 names it,the configuration of cp2 names it/);
      assert.match(third ?? "", /^\d+ stored objects need it$/);
      assert.match(fourth ?? "", /^the snapshot etcd-.*\.db needs it$/);
      const { key } = cluster.keyVersion(1);
      if (key.kind !== "local") throw new Error("a local key");
      await localKeyCustody().retire(key, signal);
      const refused = await cluster.rotate(1, { limits: { ...defaultLimits, plugin: 8_000 } });
      assert.equal(refused.kind, "blocked", "a plugin cannot use a retired key");
      await localKeyCustody().reinstate(key, signal);
      const back = await cluster.rotate(1);
      assert.equal(back.kind, "done", back.reason);
      await assertAllThere(cluster, 1);
    } finally {
      await Promise.all([stored.close(), fleet.close()]);
    }
  });
});
