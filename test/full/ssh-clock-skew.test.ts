import assert from "node:assert/strict";
import { startTraffic } from "../../control-plane/client-traffic";
import { isLoss } from "../e2e/support/disturbed-rotation";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";
import { type SshCluster, sshCluster, withoutEncryption } from "../e2e/support/ssh-cluster";
import { skipFor } from "../support/skip-for";
import { whyNoSshServer } from "../support/ssh-server";

const hour = 3_600_000;

/** Hosts, API servers and plugins have the true time; the engine's machine has another. */
for (const automaticReload of [true, false]) {
  describe(`an engine whose clock is wrong, servers that ${automaticReload ? "reload" : "restart"}`, function () {
    this.timeout(20 * 60_000);
    let cluster: RealCluster;
    let ssh: SshCluster;

    before(async function () {
      skipFor(whyNoSshServer(), this);
      cluster = await realCluster({ automaticReload, hosts: 2 });
      closing.push(() => cluster.close());
      await cluster.createSecrets(20);
      // The flag for reloads is refused without a configuration; that it is off has to stay.
      await withoutEncryption(cluster, !automaticReload);
      ssh = await sshCluster(cluster);
      closing.push(() => ssh.close());
    });
    const closing: (() => Promise<unknown>)[] = [];
    after(async () => {
      for (const close of closing.reverse()) await close();
    });

    for (const [what, version, ahead] of [
      ["two hours ahead => enabled", 1, 2 * hour],
      ["two hours behind => rotated", 2, -2 * hour],
    ] as const) {
      it(`${what} as with the right one, nothing is restarted for it, and nothing is lost`, async () => {
        const traffic = startTraffic(cluster.controlPlane, { countUnreachable: false });
        const begun = cluster.log.length;
        const declared = [1, 2].map((each) => cluster.keyVersion(each));
        const outcome = await withClock(ahead, () => ssh.rotate(cluster.keyVersion(version), { declared })).finally(
          () => traffic.stop(),
        );
        assert.equal(outcome.kind, "done", `${outcome.reason}; ${outcome.remedy}\n${cluster.log.join("\n")}`);
        assert.equal(outcome.evidence.complete, true);
        assert.deepEqual(Object.keys(await cluster.storedProviders()), [cluster.providerOf(version)]);
        assert.deepEqual(traffic.report().failures.filter(isLoss), []);
        const restarts = cluster.log.slice(begun).filter((line) => line.includes(": restart the API server")).length;
        // Three files a server, and none of them twice; a set-up restarts by itself.
        assert.ok(automaticReload ? restarts === 0 : restarts <= 6, cluster.log.join("\n"));
      });
    }
  });
}

async function withClock<T>(ahead: number, work: () => Promise<T>): Promise<T> {
  const RightDate = globalThis.Date;
  globalThis.Date = class extends RightDate {
    constructor(...parts: readonly unknown[]) {
      super(...((parts.length === 0 ? [RightDate.now() + ahead] : parts) as [number]));
    }
    static override now() {
      return RightDate.now() + ahead;
    }
  } as DateConstructor;
  try {
    return await work();
  } finally {
    globalThis.Date = RightDate;
  }
}
