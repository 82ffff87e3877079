import assert from "node:assert/strict";
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { plaintextEncryptionConfig } from "../../control-plane/manifests/plaintext-encryption-config";
import type { LocalControlPlaneHost } from "../../core/local-control-plane";
import { assertOutcomes, disturbedRotation } from "../e2e/support/disturbed-rotation";
import { eventually } from "../e2e/support/eventually";
import { faultPoints } from "../e2e/support/fault-points";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

const leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";

/** cp3 is taken away before each rotation, and joins in its middle with the configuration that its host happens to have. */
describe("a server added in the middle of a rotation", function () {
  this.timeout(30 * 60_000);
  let cluster: RealCluster;
  let version = 1;
  const host = (index: number) => cluster.controlPlane.hosts[index] as LocalControlPlaneHost;
  const manifest = () => join(host(2).manifestDirectory, host(2).apiServerManifest);
  const away = () => join(cluster.directory, "cp3.yaml");

  before(async function () {
    cluster = await realCluster({ automaticReload: false, hosts: 3 });
    if (!cluster.controlPlane.separateHostNames) this.skip();
    await cluster.createSecrets(300);
    const outcome = await cluster.rotate(1);
    assert.equal(outcome.kind, "done", outcome.reason);
  });
  after(() => cluster.close());

  const ready = async () => (await cluster.request(2, "GET", "/readyz").catch(() => undefined))?.status === 200;

  /** As if it had never been: its process has ended, and its identity Lease is gone. */
  async function takeAway(): Promise<void> {
    renameSync(manifest(), away());
    await eventually("cp3 has ended", 60, () => cluster.pid("cp3", "kube-apiserver") === undefined);
    const { text } = await cluster.request(0, "GET", `${leases}?labelSelector=kubernetes.io%2Fhostname%3Dcp3`);
    const { items } = JSON.parse(text) as { items: { metadata: { name: string } }[] };
    for (const { metadata } of items) await cluster.request(0, "DELETE", `${leases}/${metadata.name}`);
  }

  /** Whoever adds a server gives it the configuration and the plugins that the others have at that moment. */
  function addThird(): void {
    const [other, added] = [host(1), host(2)];
    const copy = (from: string, to: string) => {
      const text = readFileSync(from, "utf8").replaceAll(other.pluginSocketDirectory, added.pluginSocketDirectory);
      writeFileSync(to, text, { mode: 0o600 });
    };
    for (const name of readdirSync(other.manifestDirectory).filter((file) => file.startsWith("kms-etcd-")))
      copy(join(other.manifestDirectory, name), join(added.manifestDirectory, name));
    copy(other.encryptionConfigFile, added.encryptionConfigFile);
    renameSync(away(), manifest());
  }

  for (const at of faultPoints) {
    it(`${at} => refused until it is listed, then it takes part`, async () => {
      const to = version === 1 ? 2 : 1;
      await takeAway();
      const disturbed = await disturbedRotation(cluster, {
        to,
        at,
        // Nobody has said yet that it is a server of this cluster; what it could read or write is the joiner's affair.
        unlisted: ["cp3"],
        goal: { servers: ["cp1", "cp2"] },
        run: { hosts: 2 },
        strike: async () => {
          addThird();
          await eventually("cp3 is ready", 120, ready);
        },
        nextRun: {},
      });
      version = to;
      assertOutcomes(disturbed, ["blocked", "done"]);
      const { outcomes } = disturbed;
      assert.match(outcomes[0]?.reason ?? "", /cp3 is live but not listed/);
      assert.equal(outcomes[1]?.evidence.servers.length, 3);
    });
  }

  it("with a configuration from before encryption => the next run gives it what it lacks before anything else", async () => {
    const to = version === 1 ? 2 : 1;
    await takeAway();
    writeFileSync(host(2).encryptionConfigFile, plaintextEncryptionConfig());
    renameSync(away(), manifest());
    await eventually("cp3 is started", 60, () => cluster.pid("cp3", "kube-apiserver") !== undefined);
    // It cannot read one Secret, and so it never gets ready by itself.
    const outcome = await cluster.rotate(to);
    assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-60).join("\n")}`);
    version = to;
    assert.deepEqual(Object.keys(await cluster.storedProviders()), [cluster.providerOf(to)]);
  });
});
