import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LocalControlPlaneHost } from "../../core/local-control-plane";
import { RotationStage } from "../../core/rotation-stage";
import { defaultLimits } from "../../rotation/goal";
import type { RotationOutcome } from "../../rotation/run";
import { type RealCluster, realCluster } from "./support/real-cluster";

const impatient = { ...defaultLimits, plugin: 8_000, ready: 8_000 };

function fileHash(host: LocalControlPlaneHost): string {
  return `sha256:${createHash("sha256").update(readFileSync(host.encryptionConfigFile)).digest("hex")}`;
}

/** What the server itself says that it has loaded. */
async function loadedHash(cluster: RealCluster, host: number): Promise<string | undefined> {
  const { text } = await cluster.request(host, "GET", "/metrics");
  return /apiserver_encryption_config_controller_last_config_info\{[^}]*hash="(sha256:[0-9a-f]+)"/.exec(text)?.[1];
}

function assertBlocked(outcome: RotationOutcome, reason: RegExp, remedy: RegExp): void {
  assert.equal(outcome.kind, "blocked");
  assert.match(outcome.reason ?? "", reason);
  assert.match(outcome.remedy ?? "", remedy);
}

describe("faults on a real control plane of restarting servers", function () {
  this.timeout(15 * 60_000);
  let cluster: RealCluster;
  const host = (index: number) => cluster.controlPlane.hosts[index] as LocalControlPlaneHost;
  const files = () => cluster.controlPlane.hosts.map(fileHash);
  const manifestOf = (index: number, version: number) =>
    join(host(index).manifestDirectory, `${cluster.keyVersion(version).name}.yaml`);

  before(async () => {
    cluster = await realCluster({ automaticReload: false });
    await cluster.createSecrets(20);
    const outcome = await cluster.rotate(1);
    assert.equal(outcome.kind, "done", outcome.reason);
  });
  after(() => cluster.close());

  async function assertUnchangedSince(before: readonly string[]): Promise<void> {
    assert.deepEqual(files(), before, "no encryption configuration was touched");
    for (const [index] of cluster.controlPlane.hosts.entries())
      assert.equal(await loadedHash(cluster, index), before[index]);
  }

  /** Ready, and with an identity Lease of its present process: what the engine discovers servers by. */
  async function waitUntilLive(name: string, index: number): Promise<void> {
    for (
      const until = Date.now() + 120_000;
      Date.now() < until;
      await new Promise((resolve) => setTimeout(resolve, 500))
    ) {
      const ready = await cluster.request(index, "GET", "/readyz").catch(() => undefined);
      if (ready?.status !== 200) continue;
      const { text } = await cluster.request(0, "GET", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases");
      const { items } = JSON.parse(text) as {
        items: { metadata: { labels?: Record<string, string> }; spec: { renewTime: string } }[];
      };
      const fresh = (time: string) => Date.now() - Date.parse(time) < 15_000;
      if (
        items.some((lease) => lease.metadata.labels?.["kubernetes.io/hostname"] === name && fresh(lease.spec.renewTime))
      )
        return;
    }
    assert.fail(`${name} did not come back`);
  }

  /** The manifest that the engine itself writes for a version's plugin, changed by the test. */
  async function placePlugin(index: number, version: number, change: (manifest: string) => string): Promise<void> {
    await cluster.rotate(version, { advanceTo: RotationStage.Plugin });
    const manifest = readFileSync(manifestOf(index, version), "utf8");
    writeFileSync(manifestOf(index, version), change(manifest));
  }

  it("a plugin that is down => waits, then stops with its name and host; no configuration is touched", async () => {
    const before = files();
    await placePlugin(1, 2, (manifest) => manifest.replaceAll("v2.key", "missing.key"));
    const outcome = await cluster.rotate(2, { limits: impatient });
    assertBlocked(outcome, new RegExp(`${cluster.keyVersion(2).name} on cp2: `), /log of .* on cp2/);
    assert.ok(cluster.log.some((line) => line.includes("waiting for") && line.includes("on cp2")));
    await assertUnchangedSince(before);
  });

  it("a plugin with another key than its siblings => refused by the crosswise proof", async () => {
    const before = files();
    cluster.keyVersion(3);
    writeFileSync(manifestOf(1, 2), readFileSync(manifestOf(1, 2), "utf8").replaceAll("missing.key", "v3.key"));
    const outcome = await cluster.rotate(2);
    assertBlocked(outcome, /do not hold the same key, or cannot use it: .*cp2/, /give every host the same key/);
    await assertUnchangedSince(before);
    rmSync(manifestOf(1, 2));
  });

  it("a socket that is missing => named; the next run goes on once it is back", async () => {
    const before = files();
    await placePlugin(1, 2, (manifest) => manifest);
    const socket = join(host(0).pluginSocketDirectory, cluster.keyVersion(2).socketFile);
    for (let tries = 0; tries < 100; tries += 1) {
      try {
        rmSync(socket);
        break;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    const outcome = await cluster.rotate(2, { limits: impatient });
    assertBlocked(outcome, /on cp1: .*ENOENT/, /log of .* on cp1/);
    await assertUnchangedSince(before);
    rmSync(manifestOf(0, 2));
  });

  it("a server that is down => nothing moves, and it is named", async () => {
    const before = files();
    const manifest = join(host(2).manifestDirectory, host(2).apiServerManifest);
    renameSync(manifest, join(cluster.directory, "away.yaml"));
    const outcome = await cluster.rotate(2, { limits: impatient });
    assertBlocked(outcome, /cp3: cannot be reached/, /bring cp3 back/);
    assert.deepEqual(files(), before);
    renameSync(join(cluster.directory, "away.yaml"), manifest);
    await waitUntilLive("cp3", 2);
  });

  it("a live server that is not in the list => refused before anything is done", async function () {
    if (!(cluster.controlPlane as { separateHostNames?: boolean }).separateHostNames) this.skip();
    const before = files();
    const outcome = await cluster.rotate(2, { servers: ["cp1", "cp2"] }, { hosts: 2 });
    assertBlocked(outcome, /cp3 is live but not listed/, /add it to the list/);
    assert.deepEqual(files(), before);
  });

  it("after all of these => the next run gets to the goal, and nothing is lost", async () => {
    const outcome = await cluster.rotate(2);
    assert.equal(outcome.kind, "done", outcome.reason);
    assert.deepEqual(Object.keys(await cluster.storedProviders()), [cluster.providerOf(2)]);
  });

  it("without etcd => the same goal is reached and proven through the API alone", async () => {
    const outcome = await cluster.rotate(3, {}, { proof: "api" });
    assert.equal(outcome.kind, "done", outcome.reason);
    assert.equal(outcome.evidence.method, "api");
    assert.equal(outcome.evidence.complete, true);
    assert.deepEqual(Object.keys(await cluster.storedProviders()), [cluster.providerOf(3)]);
  });
});

describe("a real server that does not load its file", function () {
  this.timeout(15 * 60_000);
  let cluster: RealCluster;
  before(async () => {
    cluster = await realCluster({ hosts: 2 });
    await cluster.createSecrets(10);
  });
  after(() => cluster.close());

  it("waits naming server and metric, puts the loaded file back, stops; the next run goes on", async () => {
    const [first, second] = cluster.controlPlane.hosts;
    if (first === undefined || second === undefined) throw new Error("two hosts");
    const before = fileHash(second);
    let taken = false;
    // Between the write and the load the plugin of cp2 loses its socket: the server refuses the new file, and keeps the old one.
    const outcome = await cluster.rotate(
      1,
      { limits: { ...defaultLimits, reload: 75_000 } },
      {
        onEvent: (event) => {
          if (taken || event.kind !== "waiting" || !event.message.includes("to load")) return;
          taken = true;
          rmSync(join(second.pluginSocketDirectory, cluster.keyVersion(1).socketFile));
        },
      },
    );
    assert.ok(taken);
    assertBlocked(
      outcome,
      /cp2 did not load sha256:[0-9a-f]{64} within 75 s \(apiserver_encryption_config_controller_last_config_info still says sha256:/,
      /run again/,
    );
    assert.ok(cluster.log.some((line) => line.includes("waiting for") && line.includes("cp2 to load sha256:")));
    assert.equal(fileHash(second), before, "the loaded file is back on the server that failed");
    assert.equal(await loadedHash(cluster, 1), before);
    assert.equal(await loadedHash(cluster, 0), fileHash(first), "the other server runs what is on its disk");
    rmSync(join(second.manifestDirectory, `${cluster.keyVersion(1).name}.yaml`));
    const next = await cluster.rotate(1);
    assert.equal(next.kind, "done", `${next.reason}\n${cluster.log.join("\n")}`);
    assert.deepEqual(Object.keys(await cluster.storedProviders()), [cluster.providerOf(1)]);
  });
});
