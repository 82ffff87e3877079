import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { typeTokens } from "../../../core/type-tokens";
import type { Properties } from "../../../provider/property-values";
import { unknown } from "../../../provider/property-values";
import { startProvider } from "../../../provider/provider";
import { keyVersion } from "../../rotation/goals";
import { type SimulatedCluster, simulateCluster } from "../../rotation/simulated-cluster";
import { type EngineSide, engineSide } from "../support/engine-side";
import { rolloutStack } from "../support/rollout-stack";
import { nonconforming } from "../support/schema-conformance";
import { simulatedEngine } from "../support/simulated-engine";

const controlPlaneFile = "/simulated/control-plane.json";

function keys(...versions: number[]): Properties[] {
  return versions.map((version) => {
    const { key } = keyVersion(version);
    return { version, local: key.kind === "local" ? { file: key.file, keyId: key.keyId } : null };
  });
}
const wanted = (version: number, declared: number[], more: Properties = {}): Properties => ({
  keyVersion: version,
  keys: keys(...declared),
  local: { controlPlaneFile },
  ...more,
});

describe("EncryptionRollout over a real gRPC socket, with the real engine on a simulated cluster", function () {
  this.timeout(60_000); // other work may share the machine
  let side: EngineSide;
  let cluster: SimulatedCluster;
  let stack: ReturnType<typeof rolloutStack>;

  beforeEach(async () => {
    let seed = 7;
    cluster = simulateCluster({
      hosts: 3,
      reload: "hot",
      objects: 20,
      clients: false,
      random: () => (seed = (seed * 16807) % 2147483647) / 2147483647,
    });
    const clusters = new Map([
      [controlPlaneFile, cluster],
      ["/other/control-plane.json", simulateCluster({ hosts: 1, reload: "restart", objects: 1, random: () => 0.5 })],
    ]);
    side = await engineSide((engineAddress) =>
      startProvider({
        engineAddress,
        engine: simulatedEngine(clusters),
        identity: { version: "0.0.0", schema: async () => "{}" },
      }),
    );
    stack = rolloutStack(side);
  });
  afterEach(() => side.close());

  const storedKeyIds = () => [...new Set([...cluster.objects.values()].map((object) => object.keyId))];

  it("a plaintext cluster, preview => a plan of every stage with counts, planned rows, and nothing changed", async () => {
    const { op, inputs, outputs } = await stack.preview(wanted(1, [1]));
    assert.equal(op, "create");
    const plan = inputs["plan"] as string[];
    assert.deepEqual(
      plan.map((line) => line.split(":")[0]),
      ["Plugin", "Read", "Write", "Rewrite", "Verify", "Prune"],
    );
    assert.match(
      plan[1] ?? "",
      /every API server can decrypt with key version 1; on cp1, cp2, cp3; no restart; about \d+ s/,
    );
    assert.match(
      plan[3] ?? "",
      /; 20 objects, 20 KiB; about 1 s; secrets: 20 of 20, 20 KiB; rewriting about 300 .*; KMS: about 24 Status, 9 Encrypt, 3 Decrypt in all$/,
    );
    assert.equal(outputs["activeKeyVersion"], 1);
    assert.equal(outputs["evidence"], unknown);
    assert.deepEqual(
      side.published.map((view) => `${view.op} ${view.name} ${JSON.stringify(view.outputs["result"])}`),
      ["Plugin", "Read", "Write", "Rewrite", "Verify", "Prune"].map((stage) => `CREATE ${stage} "planned"`),
    );
    // The same in numbers, for whoever reads `pulumi preview --json`.
    const rewrite = side.published.find((view) => view.name === "Rewrite")?.outputs;
    assert.deepEqual(
      [rewrite?.["objects"], rewrite?.["bytes"], rewrite?.["kmsCalls"]],
      [20, 20_000, { status: 24, encrypt: 9, decrypt: 3 }],
    );
    assert.ok(side.published.every((view) => view.name === "Verify" || Number(view.outputs["expectedSeconds"]) > 0));
    assert.equal(cluster.effects(), 0);
    assert.deepEqual(storedKeyIds(), [undefined]);
  });

  it("enable, again, rotate, roll back, disable => each is one up, and up again has nothing to do", async () => {
    assert.deepEqual(await stack.up(wanted(1, [1])), { op: "create", failure: undefined });
    assert.deepEqual(storedKeyIds(), ["local-1"]);
    assert.equal(stack.state()?.outputs["activeKeyVersion"], 1);
    assert.equal((await stack.up(wanted(1, [1]))).op, "same");

    assert.equal((await stack.up(wanted(2, [1, 2]))).op, "update");
    assert.deepEqual(storedKeyIds(), ["local-2"]);
    assert.equal((await stack.up(wanted(2, [1, 2]))).op, "same");

    assert.equal((await stack.up(wanted(1, [1, 2]))).op, "update");
    assert.deepEqual(storedKeyIds(), ["local-1"]);

    assert.equal((await stack.up(wanted(1, [1, 2], { enabled: false }))).op, "update");
    assert.deepEqual(storedKeyIds(), [undefined]);
    assert.equal(stack.state()?.outputs["activeKeyVersion"], 0);
    assert.equal((await stack.up(wanted(1, [1, 2], { enabled: false }))).op, "same");
  });

  it("a rotation => progress in the row, one row a stage in order, evidence that is complete", async () => {
    await stack.up(wanted(1, [1]));
    side.published.length = 0;
    await stack.up(wanted(2, [1, 2]));
    assert.deepEqual(
      side.published.map((view) => `${view.op} ${view.name} ${JSON.stringify(view.outputs["result"])}`),
      ["Plugin", "Read", "Write", "Rewrite", "Verify", "Prune"].map((stage) => `UPDATE ${stage} "done"`),
    );
    assert.ok(
      side.progress.some((line) => line.startsWith("[2/6] Read: ")),
      side.progress.join("\n"),
    );
    assert.ok(side.progress.some((line) => /^\[4\/6\] Rewrite done in \d+ s$/.test(line)));
    const evidence = stack.state()?.outputs["evidence"] as Properties;
    assert.equal(evidence["complete"], true);
    await stack.preview(wanted(2, [1, 2]));
    assert.deepEqual(stack.state()?.outputs["evidence"], evidence, "a look right after it takes nothing back");
    assert.deepEqual(
      (evidence["servers"] as Properties[]).map((server) => server["name"]),
      ["cp1", "cp2", "cp3"],
    );
  });

  it("the outputs of an up => exactly what the schema says", async () => {
    await stack.up(wanted(1, [1]));
    assert.deepEqual(nonconforming(typeTokens.encryptionRollout, stack.state()?.outputs ?? {}), []);
  });

  it("objects come and go, then a preview => evidence keeps its words and its time, no change", async () => {
    await stack.up(wanted(1, [1]));
    const before = stack.state()?.outputs["evidence"];
    cluster.objects.delete("s3");
    cluster.advance(600_000);
    assert.equal((await stack.preview(wanted(1, [1]))).op, "same");
    assert.deepEqual(stack.state()?.outputs["evidence"], before);
  });

  it("an object that somebody stored in plaintext => drift at preview, repaired by up", async () => {
    const open = { allowPlaintextReads: true };
    await stack.up(wanted(1, [1], open));
    cluster.restore("s1", "identity", undefined);
    const { op, inputs } = await stack.preview(wanted(1, [1], open));
    assert.equal(op, "update");
    assert.equal(stack.state()?.outputs["atGoal"], false);
    assert.match((inputs["plan"] as string[]).join("\n"), /Rewrite: .*; 1 objects/);
    assert.deepEqual(await stack.up(wanted(1, [1], open)), { op: "update", failure: undefined });
    assert.deepEqual(storedKeyIds(), ["local-1"]);
    assert.equal((await stack.up(wanted(1, [1], open))).op, "same");
  });

  it("the same drift twice => an update both times", async () => {
    const open = { allowPlaintextReads: true };
    await stack.up(wanted(1, [1], open));
    for (let time = 0; time < 2; time += 1) {
      cluster.restore("s1", "identity", undefined);
      assert.equal((await stack.up(wanted(1, [1], open))).op, "update", `time ${time}`);
      assert.deepEqual(storedKeyIds(), ["local-1"]);
    }
  });

  it("a plugin that does not answer => preview names the server and shows an update, up stops with a remedy", async () => {
    await stack.up(wanted(1, [1]));
    const plugin = [...(cluster.hosts[1]?.plugins.values() ?? [])][0];
    assert.ok(plugin);
    plugin.broken = true;
    assert.equal((await stack.preview(wanted(1, [1]))).op, "update");
    assert.match(side.warnings.join("\n"), /the run waits for .*cp2/);
    assert.equal(stack.state()?.outputs["atGoal"], false);
    assert.match((await stack.up(wanted(1, [1]))).failure ?? "", /cp2/);
    plugin.broken = false;
    assert.equal((await stack.up(wanted(1, [1]))).op, "same");
  });

  it("leaving out a key that stored objects need => refused at preview, with the count and what to do", async () => {
    await stack.up(wanted(1, [1]));
    await assert.rejects(
      stack.preview(wanted(2, [2])),
      /^Error: keys: leaves out version 1, but an API server encrypts with its key; keep version 1 declared/,
    );
    await stack.up(wanted(2, [1, 2], { advanceTo: "Write" }));
    await assert.rejects(stack.preview(wanted(2, [2])), /leaves out version 1, but \d+ stored objects? needs? its key/);
    await stack.up(wanted(2, [1, 2]));
    assert.equal((await stack.preview(wanted(2, [2]))).op, "update");
    assert.equal((await stack.up(wanted(2, [2]))).failure, undefined);
  });

  it("advanceTo Write, then Prune => the first stops there and is at its goal, the second goes on", async () => {
    await stack.up(wanted(1, [1]));
    await stack.up(wanted(2, [1, 2], { advanceTo: "Write" }));
    assert.equal(stack.state()?.outputs["atGoal"], true);
    assert.equal(stack.state()?.outputs["activeKeyVersion"], 2);
    assert.deepEqual(
      [...side.oldViews.keys()].sort(),
      ["Plugin", "Read", "Write"],
      "rows of the earlier rotation are gone",
    );
    assert.equal((await stack.up(wanted(2, [1, 2], { advanceTo: "Write" }))).op, "same");
    await stack.up(wanted(2, [1, 2]));
    assert.deepEqual([...side.oldViews.keys()].sort(), ["Plugin", "Prune", "Read", "Rewrite", "Verify", "Write"]);
    assert.deepEqual(storedKeyIds(), ["local-2"]);
  });

  it("an object that can't be written => init failure with reason and remedy, the stage's row failed, and up goes on once mended", async () => {
    await stack.up(wanted(1, [1]));
    cluster.faults.rejectedObject = "s5";
    const failed = await stack.up(wanted(2, [1, 2]));
    assert.match(failed.failure ?? "", /^Rewrite: .*denied by a webhook.*; then run pulumi up again$/s);
    assert.equal(stack.state()?.outputs["atGoal"], false);
    assert.equal(stack.state()?.outputs["activeKeyVersion"], 2);
    const row = side.published.find((view) => view.error !== "");
    assert.equal(`${row?.name} ${row?.error}`, "Rewrite not finished");
    assert.deepEqual(
      [...side.oldViews.keys()].sort(),
      ["Plugin", "Read", "Rewrite", "Write"],
      "no row of the earlier rotation",
    );
    cluster.faults.rejectedObject = undefined;
    side.published.length = 0;
    assert.deepEqual(await stack.up(wanted(2, [1, 2])), { op: "update", failure: undefined });
    assert.deepEqual(storedKeyIds(), ["local-2"]);
    assert.ok(!side.published.some((view) => view.name === "Write"), "what was done is not done again");
    assert.deepEqual([...side.oldViews.keys()].sort(), ["Plugin", "Prune", "Read", "Rewrite", "Verify", "Write"]);
  });

  it("killed before the state knew a key that objects use now => a warning that says to declare it, and up converges", async () => {
    await stack.up(wanted(1, [1]));
    const before = stack.state();
    await stack.up(wanted(2, [1, 2]));
    stack.restore(before);
    side.warnings.length = 0;
    assert.deepEqual(await stack.up(wanted(1, [1])), { op: "update", failure: undefined });
    assert.match(
      side.warnings.join("\n"),
      /20 stored objects use kms\/v2\/kms-etcd-\w+, which is none of the declared keys; .*newestKeyVersion/,
    );
    assert.deepEqual(storedKeyIds(), ["local-1"]);
  });

  it("a rotation that failed half-way, then the previous keyVersion => rolled back", async () => {
    await stack.up(wanted(1, [1]));
    cluster.faults.rejectedObject = "s5";
    await stack.up(wanted(2, [1, 2]));
    cluster.faults.rejectedObject = undefined;
    assert.deepEqual(await stack.up(wanted(1, [1, 2])), { op: "update", failure: undefined });
    assert.deepEqual(storedKeyIds(), ["local-1"]);
    assert.equal((await stack.up(wanted(1, [1, 2]))).op, "same");
  });

  it("killed at every effect or the next, and the state lost each time => Create converges from what it finds", async function () {
    this.timeout(30_000);
    for (let kill = 1; ; kill += 1) {
      cluster.faults.killAfter = cluster.effects() + (kill % 2);
      const { failure } = await stack.up(wanted(1, [1]));
      if (failure === undefined) break;
      assert.match(failure, /killed/);
      assert.ok(kill < 300, "the chain ends");
      stack.lose();
    }
    assert.deepEqual(storedKeyIds(), ["local-1"]);
    assert.equal(side.oldViews.size, 6, "stages that a killed run has done have their rows too");
    cluster.faults.killAfter = Number.POSITIVE_INFINITY;
    assert.equal((await stack.up(wanted(1, [1]))).op, "same");
  });

  it("a version that cannot be retired => init failure with why; the state has the rotation and its evidence all the same", async () => {
    await stack.up(wanted(1, [1]));
    // The file of version 1 is not on this machine, so nothing can be done to it.
    const { failure = "" } = await stack.up(wanted(2, [1, 2], { retireKeyVersions: [1] }));
    assert.match(failure, /key version 1 is not retired: .*is not there/);
    const outputs = stack.state()?.outputs ?? {};
    assert.deepEqual([outputs["activeKeyVersion"], outputs["atGoal"]], [2, false]);
    assert.equal((outputs["evidence"] as Properties)["complete"], true);
    assert.deepEqual(storedKeyIds(), ["local-2"]);
  });

  it("the program leaves out where snapshots are kept => what they need is looked at all the same, in every later run", async () => {
    const directory = mkdtempSync(join(tmpdir(), "kms-etcd-snapshots-"));
    const needs = [{ provider: "kms/v2/any", keyId: "local-1", objects: 0 }];
    const record = { formatVersion: 1, snapshot: "etcd-1.db", needs, unknown: 0 };
    writeFileSync(join(directory, "etcd-1.db.needs.json"), JSON.stringify(record));
    await stack.up(wanted(1, [1], { etcdSnapshot: { directory }, advanceTo: "Verify" }));
    await stack.up(wanted(2, [1, 2], { advanceTo: "Verify" }));
    assert.equal((await stack.up(wanted(2, [1, 2]))).failure, undefined);
    const retiring = wanted(2, [1, 2], { retireKeyVersions: [1] });
    await assert.rejects(stack.up(retiring), /version 1 cannot be retired: the snapshot etcd-1\.db needs it/);
    rmSync(directory, { recursive: true });
    await assert.rejects(
      stack.up(retiring),
      /what snapshots in \S+ need is not known, because that directory is not on/,
    );
    mkdirSync(directory);
    // Its file is not on this machine either, so no more can be seen of it than that it may be retired.
    assert.match((await stack.up(retiring)).failure ?? "", /key version 1 is not retired: .*v1\.key.* is not there/);
    rmSync(directory, { recursive: true });
  });

  it("Cancel in the middle => stopped at a safe point as an init failure; the next up is not touched by it", async () => {
    await stack.up(wanted(1, [1]));
    const { writeConfig } = cluster.fleet;
    cluster.fleet.writeConfig = async (write) => {
      cluster.fleet.writeConfig = writeConfig;
      await writeConfig(write);
      await side.cancel();
    };
    const { failure } = await stack.up(wanted(2, [1, 2]));
    assert.match(failure ?? "", /stopped at a safe point.*run pulumi up again to go on/);
    assert.deepEqual(storedKeyIds(), ["local-1"]);
    assert.deepEqual(await stack.up(wanted(2, [1, 2])), { op: "update", failure: undefined });
    assert.deepEqual(storedKeyIds(), ["local-2"]);
  });

  it("delete => a DELETE for every row, a warning that names the cluster, and the cluster as it was", async () => {
    await stack.up(wanted(1, [1]));
    const effects = cluster.effects();
    const state = stack.state();
    assert.ok(state);
    await side.rollout.delete(state.inputs, state.outputs);
    assert.equal(side.oldViews.size, 0);
    assert.equal(cluster.effects(), effects);
    assert.match(
      side.warnings.join("\n"),
      /\/simulated\/control-plane\.json keeps its encryption settings as they are/,
    );
  });

  it("a cluster that can't be opened => a problem at preview, only a warning for refresh and delete", async () => {
    await stack.up(wanted(1, [1]));
    const state = stack.state();
    assert.ok(state);
    const gone = { ...state.inputs, local: { controlPlaneFile: "/gone/control-plane.json" } };
    const read = await side.rollout.read(gone, state.outputs);
    assert.deepEqual(read.outputs, state.outputs);
    assert.match(side.warnings.join("\n"), /the cluster can't be looked at: no cluster \/gone/);
    assert.equal((await side.rollout.diff(gone, state.outputs, gone)).some, false);
    const { plan: _plan, ...inputs } = gone as Properties;
    const { problems } = await side.rollout.check(gone, inputs);
    assert.match(problems[0] ?? "", /no cluster \/gone/);
    await side.rollout.delete(gone, state.outputs);
  });

  it("another cluster => an update that says the first keeps its settings", async () => {
    await stack.up(wanted(1, [1]));
    const other = { ...wanted(1, [1]), local: { controlPlaneFile: "/other/control-plane.json" } };
    assert.equal((await stack.up(other)).op, "update");
    assert.match(side.warnings.join("\n"), /\/simulated\/control-plane\.json is managed no longer/);
    assert.match(side.warnings.join("\n"), /there is one API server, and it has to restart/);
    assert.deepEqual(storedKeyIds(), ["local-1"]);
  });

  it("a key that is yet to be made => a plan all the same, which becomes real with the key", async () => {
    const pending: Properties = {
      ...wanted(1, [1]),
      keys: [{ version: 1, local: { file: "/keys/v1.key", keyId: unknown } }],
    };
    const { inputs } = await stack.preview(pending);
    assert.equal((inputs["plan"] as string[]).length, 6);
    assert.ok(!JSON.stringify(inputs["plan"]).includes("to be made"));
  });

  it("the cluster's file not known before the update => the plan is not known either, and preview goes on", async () => {
    const { inputs, outputs } = await stack.preview({ ...wanted(1, [1]), local: { controlPlaneFile: unknown } });
    assert.equal(inputs["plan"], unknown);
    assert.equal(outputs["evidence"], unknown);
  });

  it("a live server that is not listed => a warning at preview, and a failed up with a remedy, at the goal or not", async () => {
    await stack.up(wanted(1, [1]));
    cluster.unlisted.push("cp4");
    assert.equal((await stack.preview(wanted(1, [1]))).op, "update");
    assert.match(side.warnings.join("\n"), /a rollout would stop: .*cp4/);
    assert.match((await stack.up(wanted(1, [1]))).failure ?? "", /cp4/);
    cluster.unlisted.length = 0;
    assert.equal((await stack.up(wanted(1, [1]))).op, "same", "a refresh has seen that nothing is pending");
  });
});
