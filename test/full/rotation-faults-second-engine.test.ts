import assert from "node:assert/strict";
import { assertAllThere, underClients } from "../e2e/support/disturbed-rotation";
import { startEngine } from "../e2e/support/engine-process";
import { faultPointOf, faultPoints } from "../e2e/support/fault-points";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

describe("a second engine started in the middle of a rotation", function () {
  this.timeout(30 * 60_000);
  let cluster: RealCluster;

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    await cluster.createSecrets(400);
    const outcome = await cluster.rotate(1);
    assert.equal(outcome.kind, "done", outcome.reason);
  });
  after(() => cluster.close());

  it("at each of the four points, with another goal => it is told who is at work and does nothing; the first gets there", async () => {
    const seconds = new Map<string, ReturnType<typeof startEngine>>();
    await underClients(cluster, [], async () => {
      const first = startEngine(cluster, cluster.goal(2), (event) => {
        const at = faultPointOf(event);
        if (at !== undefined && !seconds.has(at)) seconds.set(at, startEngine(cluster, cluster.goal(3)));
      });
      const outcome = await first.outcome;
      assert.equal(outcome?.kind, "done", outcome?.reason);
      assert.deepEqual([...seconds.keys()], [...faultPoints]);
      for (const [at, second] of seconds) {
        const refused = await second.outcome;
        assert.ok(refused, at);
        assert.equal(refused.kind, "blocked", at);
        assert.match(refused.reason ?? "", new RegExp(`another engine is at work .*process ${first.pid}`), at);
        assert.match(refused.remedy ?? "", /let it finish/, at);
      }
    });
    assert.ok(
      !cluster.log.some((line) => line.includes(cluster.keyVersion(3).name)),
      "nothing was done for the other goal",
    );
    await assertAllThere(cluster, 2);
  });

  it("that does not ask for the Lease, with the same goal => the two do the same work twice at most", async () => {
    await underClients(cluster, [], async () => {
      let second: ReturnType<RealCluster["rotate"]> | undefined;
      const first = await cluster.rotate(
        3,
        {},
        {
          onEvent: (event) => {
            if (faultPointOf(event) === "between READ and WRITE") second ??= cluster.rotate(3);
          },
        },
      );
      for (const outcome of [first, await second]) {
        assert.ok(outcome?.kind === "done" || (outcome?.kind === "blocked" && outcome.reason && outcome.remedy));
      }
      assert.ok([first, await second].some((outcome) => outcome?.kind === "done"));
    });
    await assertAllThere(cluster, 3);
  });
});
