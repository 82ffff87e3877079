import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { KmsEtcdError } from "../../core/errors";
import type { FleetHost } from "../../rotation/adapters/hosts/fleet-host";
import type { Host } from "../../rotation/adapters/hosts/host";
import { defaultLimits } from "../../rotation/goal";
import { assertOutcomes, disturbedRotation } from "../e2e/support/disturbed-rotation";
import { faultPoints } from "../e2e/support/fault-points";
import { type NetworkLink, networkLink } from "../e2e/support/network-link";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

/** Nothing of this host can be reached while the link is cut: its files go over the same network. */
function behind(link: NetworkLink, host: Host): Host {
  const through =
    <A extends unknown[], T>(work: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      if (link.isCut()) throw new KmsEtcdError("unreachable", `${host.name}: no connection`);
      return work(...args);
    };
  return {
    ...host,
    readFile: through(host.readFile),
    listFiles: through(host.listFiles),
    makeDirectory: through(host.makeDirectory),
    createFile: through(host.createFile),
    rename: through(host.rename),
    removeFile: through(host.removeFile),
    syncDirectory: through(host.syncDirectory),
    dialSocket: through(host.dialSocket),
  };
}

describe("the network between the engine and one server is cut in the middle of a rotation", function () {
  this.timeout(30 * 60_000);
  let cluster: RealCluster;
  let link: NetworkLink;
  let version = 1;
  const next = () => (version = version === 1 ? 2 : 1);
  const reach = (at: FleetHost): FleetHost =>
    at.host.name === "cp2" ? { ...at, host: behind(link, at.host), apiServer: { ...at.apiServer, url: link.url } } : at;
  const files = () =>
    cluster.controlPlane.hosts.map((host) =>
      createHash("sha256").update(readFileSync(host.encryptionConfigFile)).digest("hex"),
    );

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    link = await networkLink(cluster.controlPlane.hosts[1]?.apiServerUrl ?? "");
    await cluster.createSecrets(400);
    const outcome = await cluster.rotate(1);
    assert.equal(outcome.kind, "done", outcome.reason);
  });
  after(async () => {
    await link.close();
    await cluster.close();
  });

  for (const at of faultPoints) {
    // A request that is under way when the link is cut is waited for before the engine looks again: up to half a minute.
    const seconds = at === "while the new plugin starts" || at === "between READ and WRITE" ? 25 : 50;
    it(`for ${seconds} s, ${at} => it waits, naming the server, changes no configuration meanwhile, and goes on`, async () => {
      const disturbed = await disturbedRotation(cluster, {
        to: next(),
        at,
        run: { reach },
        strike: async () => {
          link.cut();
          // What was decided before the cut may still be carried out on the other server.
          await delay(8_000);
          const before = files();
          await delay((seconds - 8) * 1_000);
          assert.deepEqual(files(), before);
          link.mend();
        },
      });
      assertOutcomes(disturbed, ["done"]);
      const { log } = disturbed;
      assert.ok(
        log.some((line) => /waiting for .*cp2: cannot be reached/.test(line)),
        log.join("\n"),
      );
    });
  }

  it("for longer than the engine waits => it stops and says which server, and the next run gets there", async () => {
    const disturbed = await disturbedRotation(cluster, {
      to: next(),
      at: "in the middle of REWRITE",
      goal: { limits: { ...defaultLimits, ready: 30_000 } },
      run: { reach },
      strike: () => link.cut(),
      between: () => link.mend(),
    });
    assertOutcomes(disturbed, ["blocked", "done"]);
    const { outcomes } = disturbed;
    assert.match(outcomes[0]?.reason ?? "", /cp2: cannot be reached/);
    assert.match(outcomes[0]?.remedy ?? "", /bring cp2 back/);
  });
});
