import assert from "node:assert/strict";
import { RotationStage } from "../../../../core/rotation-stage";
import type { KopsGoal } from "../../../../rotation/adapters/kops/kops-decision";
import { freshRun, type KopsObservation } from "../../../../rotation/adapters/kops/kops-observation";
import { machineStates, machinesAtRest, presentSituation } from "../../../../rotation/adapters/kops/kops-situation";
import { asConfigured, planKops } from "../../../../rotation/adapters/kops/plan-kops";
import { runKops } from "../../../../rotation/adapters/kops/run-kops";
import type { StoredProof } from "../../../../rotation/observation";
import { instanceGroups, kopsGoal } from "./kops-goals";
import { type SimulatedKops, simulateKops } from "./simulated-kops";

const never = new AbortController().signal;
const random = () => 0.75;

describe("the plan of a rollout on kOps", function () {
  this.timeout(120_000);
  async function look(world: SimulatedKops, goal: KopsGoal): Promise<KopsObservation> {
    const seen = { ...(await world.kops.observe(never)), now: world.clock.now(), run: freshRun };
    const situation = presentSituation(machinesAtRest(seen), goal) ?? assert.fail();
    const objects = world.state.objects.size;
    const counted: StoredProof = {
      ...{ method: "counted", startedAt: 0, finishedAt: 0, servers: machineStates(seen) },
      resources: [{ resource: "secrets", objects, bytes: 0, keys: [], unknown: objects }],
    };
    return { ...seen, run: { ...seen.run, stored: asConfigured(situation, counted) } };
  }

  /** What a run does, as the plan has it. */
  async function run(world: SimulatedKops, goal: KopsGoal): Promise<readonly string[]> {
    const actions: string[] = [];
    const { kops, stored, clock } = world;
    const onEvent = ({ kind, message }: { kind: string; message: string }) => {
      // What kops says that an update changes comes behind.
      if (kind === "action") actions.push(message.replace(/^(kops update cluster): .*/, "$1"));
    };
    const outcome = await runKops({ goal, kops, stored, clock, onEvent, signal: never });
    assert.equal(outcome.kind, "done", outcome.reason);
    return actions;
  }

  const described = (plan: ReturnType<typeof planKops>) =>
    plan.stages
      .flatMap(({ actions }) => actions)
      .map((action) => {
        switch (action.kind) {
          case "putCluster":
            return "replace the cluster's spec";
          case "putSecret":
            return "replace the encryptionconfig secret";
          case "update":
            return "kops update cluster";
          case "roll":
            return `kops rolling-update ${action.group}${action.force ? " --force" : ""}`;
          case "rewrite":
            return "rewrite secrets";
        }
      });

  for (const [controlPlanes, apiServers, machines] of [
    [1, 0, 3],
    [3, 2, 1],
  ] as const) {
    it(`${controlPlanes + apiServers} groups: enable, rotate, back, off => each run does what its plan says, and the plan after it is empty`, async () => {
      const world = simulateKops({ groups: instanceGroups(controlPlanes, apiServers), machines, objects: 4, random });
      for (const version of [1, 2, 1, "identity"] as const) {
        const goal = kopsGoal(version);
        const plan = planKops(await look(world, goal), goal);
        assert.equal(plan.blocked, undefined);
        assert.equal(
          plan.stages.reduce((sum, stage) => sum + stage.replaced, 0),
          3 * (controlPlanes + apiServers) * machines,
        );
        assert.deepEqual(await run(world, goal), described(plan));
        assert.deepEqual(planKops(await look(world, goal), goal).stages, []);
      }
    });
  }

  for (const [advanceTo, rolls] of [
    [RotationStage.Read, 2],
    [RotationStage.Write, 3],
    [RotationStage.Prune, 4],
  ] as const) {
    it(`servers that don't say what they have loaded, advanceTo ${advanceTo} => the run does what its plan says, and at rest neither does anything`, async () => {
      const world = simulateKops({ groups: instanceGroups(2), machines: 2, objects: 4, random, namesHash: false });
      await run(world, kopsGoal(1));
      const goal = kopsGoal(2, { advanceTo });
      const plan = planKops(await look(world, goal), goal);
      // Once more than elsewhere: what they run has to be known before anything is begun.
      assert.equal(
        plan.stages.reduce((sum, { replaced }) => sum + replaced, 0),
        rolls * 4,
      );
      assert.deepEqual(await run(world, goal), described(plan));
      const effects = world.effects();
      assert.deepEqual(planKops(await look(world, goal), goal).stages, []);
      assert.deepEqual(await run(world, goal), []);
      assert.equal(world.effects(), effects);
    });
  }

  it("advanceTo => nothing behind it; a spec that machines can't use => blocked before anything", async () => {
    const world = simulateKops({ groups: instanceGroups(1), machines: 2, objects: 4, random });
    const goal = kopsGoal(1, { advanceTo: RotationStage.Read });
    const stages = planKops(await look(world, goal), goal).stages.map(({ stage }) => stage);
    assert.deepEqual(stages, [RotationStage.Plugin, RotationStage.Read]);
    const master = { name: "x.yaml", path: "/etc/kubernetes/manifests/x.yaml", roles: ["Master"], content: "x" };
    world.state.cluster = { ...world.state.cluster, spec: { ...world.state.cluster.spec, fileAssets: [master] } };
    const blocked = planKops(await look(world, goal), goal);
    assert.deepEqual(blocked.stages, []);
    assert.match(blocked.blocked?.reason ?? "", /names Master/);
  });

  it("a machine that can't be seen from here => said, and not replaced for it", async () => {
    const world = simulateKops({ groups: instanceGroups(1), machines: 2, objects: 4, random });
    await run(world, kopsGoal(1));
    const seen = await look(world, kopsGoal(2));
    const [first, ...others] = seen.machines;
    assert.ok(first !== undefined);
    const unseen = { ...first, unreachable: "ETIMEDOUT", loaded: { kind: "unknown" as const } };
    const plan = planKops({ ...seen, machines: [unseen, ...others] }, kopsGoal(2));
    assert.match(plan.blocked?.reason ?? "", /can't be seen from here \(ETIMEDOUT\)/);
    assert.ok(plan.stages.every(({ rolls }) => rolls.length === 0));
  });
});
