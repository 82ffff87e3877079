import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { localControlPlaneFile } from "../../core/local-control-plane";
import { type RealCluster, realCluster } from "./support/real-cluster";

const script = join(__dirname, "support", "one-action.cjs");
/** A rotation of three restarting servers has 9 writes, 9 restarts, 6 plugin starts and stops and a rewrite. */
const longestChain = 60;

/** Every run of the engine does one thing and is killed. Restarting servers, because there every step is an action of its own. */
describe("an engine that is killed after every single action", function () {
  this.timeout(20 * 60_000);
  let cluster: RealCluster;
  before(async () => {
    cluster = await realCluster({ automaticReload: false });
    await cluster.createSecrets(50);
  });
  after(() => cluster.close());

  function chain(version: number | "identity", lives: number, dieAfter: (life: number) => "act" | "mid"): string[] {
    const actions: string[] = [];
    for (let life = 0; life < lives; life += 1) {
      const descriptor = join(cluster.controlPlane.stateDirectory, localControlPlaneFile);
      const args = [script, descriptor, JSON.stringify(cluster.goal(version)), dieAfter(life)];
      const run = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 200_000 });
      if (run.status === 0) return [...actions, "done"];
      assert.equal(run.signal, "SIGKILL", `${run.stdout}${run.stderr}`);
      assert.doesNotMatch(run.stdout, /^blocked/m, `${actions.join("\n")}\n${run.stdout}`);
      actions.push(...run.stdout.trim().split("\n"));
    }
    return actions;
  }

  async function assertEverythingReadable(): Promise<void> {
    for (const [host] of cluster.controlPlane.hosts.entries()) {
      for (let index = 0; index < 50; index += 1) {
        const { status, text } = await cluster.request(host, "GET", `/api/v1/namespaces/default/secrets/s${index}`);
        assert.equal(status, 200, text);
        const { data } = JSON.parse(text) as { data: { value: string } };
        assert.equal(Buffer.from(data.value, "base64").toString(), `plaintext-${index}`);
      }
    }
  }

  it("ends in the same state as an undisturbed one, for enabling and for a rotation", async () => {
    for (const version of [1, 2] as const) {
      const actions = chain(version, longestChain, (life) => (life % 2 === 0 ? "act" : "mid"));
      assert.equal(actions.at(-1), "done", actions.join("\n"));
      assert.deepEqual(Object.keys(await cluster.storedProviders()), [cluster.providerOf(version)]);
      await assertEverythingReadable();
      // An undisturbed run finds nothing to do, and says the same with complete evidence.
      const outcome = await cluster.rotate(version, {}, { maxActions: 0 });
      assert.deepEqual([outcome.kind, outcome.evidence.complete], ["done", true]);
    }
  });

  it("killed half-way and started with the previous goal => converges there", async () => {
    for (const lives of [4, 14]) {
      chain(3, lives, () => "act");
      await assertEverythingReadable();
      const outcome = await cluster.rotate(2);
      assert.equal(outcome.kind, "done", outcome.reason);
      assert.deepEqual(Object.keys(await cluster.storedProviders()), [cluster.providerOf(2)]);
    }
  });
});
