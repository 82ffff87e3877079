import assert from "node:assert/strict";
import { RotationStage } from "../../../../core/rotation-stage";
import { freshRun } from "../../../../rotation/adapters/kops/kops-observation";
import { isPending } from "../../../../rotation/adapters/kops/kops-output";
import { planKops } from "../../../../rotation/adapters/kops/plan-kops";
import { runKops } from "../../../../rotation/adapters/kops/run-kops";
import { randomFrom } from "../../random";
import { instanceGroups, kopsGoal } from "./kops-goals";
import { seedCluster, seedConfiguration } from "./seed-002";
import { Killed, plainCluster, type SimulatedKops, type SimulatedKopsOptions, simulateKops } from "./simulated-kops";

const never = new AbortController().signal;
type More = Parameters<typeof kopsGoal>[1];

describe("our own work on a kOps cluster, and somebody else's", function () {
  this.timeout(120_000);

  const simulation = (more: Partial<SimulatedKopsOptions> = {}) =>
    simulateKops({ groups: instanceGroups(3), machines: 1, objects: 2, random: randomFrom(7), ...more });
  function run(cluster: SimulatedKops, version: number | "identity", more: More = {}) {
    const { kops, stored, clock } = cluster;
    return runKops({ goal: kopsGoal(version, more), kops, stored, clock, signal: never, onEvent: () => undefined });
  }
  async function encrypted(): Promise<SimulatedKops> {
    const cluster = simulation();
    assert.equal((await run(cluster, 1)).kind, "done");
    return cluster;
  }
  const plan = async (cluster: SimulatedKops, version: number, more: More = {}) =>
    planKops({ ...(await cluster.kops.observe(never)), now: 0, run: freshRun }, kopsGoal(version, more));
  async function carryOut({ kops, groups }: SimulatedKops): Promise<void> {
    await kops.update(never);
    for (const { name } of groups) await kops.roll(name, false, never);
  }
  const newImage = { image: { image: "registry.example/kms-etcd-plugin:2" } };
  const statements = { statements: [{ Sid: "KmsEtcd", Effect: "Allow", Action: "kms:Decrypt", Resource: "*" }] };

  for (const [what, more] of Object.entries({ "a new image": newImage, "a new policy": statements })) {
    it(`${what} at the goal => carried over; an upgrade in between => not done meanwhile, and gone on with afterwards`, async () => {
      const cluster = await encrypted();
      const { putCluster } = cluster.kops;
      cluster.kops.putCluster = async (...request) => {
        await putCluster(...request);
        cluster.faults.versions.set(cluster.state.machines[0]?.name ?? "", "v1.37.0");
      };
      for (let time = 0; time < 2; time += 1) {
        const outcome = await run(cluster, 1, more);
        assert.match(outcome.reason ?? outcome.kind, /an upgrade of the API servers is under way/);
        assert.match((await plan(cluster, 1, more)).blocked?.reason ?? "", /under way/);
      }
      assert.notDeepEqual(cluster.tasks(), []);
      cluster.faults.versions.clear();
      const outcome = await run(cluster, 1, more);
      assert.equal(outcome.kind, "done", outcome.reason);
      assert.deepEqual(cluster.tasks(), []);
    });
  }

  it("at the goal, a change or a late machine from before => not carried out, by run and plan; what is said helps", async () => {
    const works: readonly ((cluster: SimulatedKops) => unknown)[] = [
      ({ faults }) => faults.pending.push("ManagedFile/nodeupconfig-control-plane-us-west-2a"),
      ({ state }) => ((state.templates.get("control-plane-us-west-2b") ?? assert.fail()).version += 1),
    ];
    for (const begin of works) {
      const cluster = await encrypted();
      await begin(cluster);
      const effects = cluster.effects();
      const outcome = await run(cluster, 1);
      assert.match(outcome.reason ?? outcome.kind, /before this run$/);
      assert.equal(cluster.effects(), effects);
      if (cluster.faults.pending.length > 0)
        assert.match(outcome.remedy ?? "", /set `program` to the one that updated/);
      const planned = await plan(cluster, 1);
      assert.deepEqual([planned.blocked?.reason, planned.stages], [outcome.reason, []]);
      await carryOut(cluster);
      assert.equal((await run(cluster, 1)).kind, "done");
    }
  });

  it("at the goal, a patch upgrade whose machines are late => left to them: done, and nothing is rolled", async () => {
    const cluster = await encrypted();
    cluster.faults.versions.set(cluster.state.machines[0]?.name ?? "", "v1.36.1");
    (cluster.state.templates.get("control-plane-us-west-2b") ?? assert.fail()).version += 1;
    const rolls = cluster.rolls();
    assert.equal((await run(cluster, 1)).kind, "done");
    assert.equal(cluster.rolls(), rolls);
    assert.deepEqual([(await plan(cluster, 1)).blocked, (await plan(cluster, 1)).stages], [undefined, []]);
  });

  for (const [from, to, stage] of [
    ["identity", 1, RotationStage.Write],
    [1, "identity", RotationStage.Read],
  ] as const) {
    it(`from ${from} to ${to}: a machine replaced between secret and update of ${stage} => its own leftover, and the next run goes on`, async () => {
      const cluster = simulation();
      if (from !== "identity") await run(cluster, from);
      const { putSecret } = cluster.kops;
      cluster.kops.putSecret = async (...request) => {
        await putSecret(...request);
        const kinds = cluster.listIn(cluster.state.secret).map(({ kind }) => kind);
        const [first] = cluster.state.machines;
        if (kinds.join() !== "kms,identity" || first === undefined) return;
        cluster.terminate(first);
        cluster.boot(first.group);
      };
      assert.equal((await run(cluster, to, { advanceTo: stage })).kind, "done");
      cluster.kops.putSecret = putSecret;
      assert.ok(cluster.state.machines.some(cluster.needsUpdate));
      const outcome = await run(cluster, to);
      assert.equal(outcome.kind, "done", outcome.reason);
    });
  }

  for (const [to, next] of [
    ["identity", "identity"],
    ["identity", 2],
    [2, 1],
  ] as const) {
    it(`from 1 to ${to}: the first new machine does not join => what that left late is its own, and the next run, to ${next}, goes on`, async () => {
      const cluster = await encrypted();
      const { roll } = cluster.kops;
      cluster.kops.roll = async (group, force, signal) => {
        cluster.kops.roll = roll;
        await roll(group, force, signal);
        const joining = cluster.state.machines.find((machine) => machine.group === group) ?? assert.fail();
        joining.up = false;
        return { notJoined: true, reason: "it did not join" };
      };
      const before = cluster.state.secret;
      assert.match((await run(cluster, to)).reason ?? "", /it did not join/);
      assert.equal(cluster.state.secret, before);
      assert.ok(cluster.state.machines.every(({ up }) => up) && cluster.state.machines.some(cluster.needsUpdate));
      const outcome = await run(cluster, next);
      assert.equal(outcome.kind, "done", outcome.reason);
      assert.deepEqual(cluster.tasks(), []);
      assert.equal(cluster.state.record, undefined);
    });
  }

  it("encryptionConfig in the spec of a running cluster and no secret => refused before anything, by run and plan; what is said helps", async () => {
    const cluster = simulation({
      cluster: { ...plainCluster, spec: { ...plainCluster.spec, encryptionConfig: true } },
    });
    const outcome = await run(cluster, 1);
    assert.match(outcome.reason ?? outcome.kind, /no encryptionconfig secret, so kops can't say/);
    assert.match(outcome.remedy ?? "", /take encryptionConfig out of the spec/);
    assert.equal(cluster.effects(), 0);
    const { blocked, stages } = await plan(cluster, 1);
    assert.deepEqual([blocked?.reason, stages], [outcome.reason, []]);
    cluster.state.cluster = plainCluster;
    assert.equal((await run(cluster, 1)).kind, "done");
  });

  it("a hand-made plugin or hook that workers get too => stays in the spec, and the rotation ends as it was planned", async () => {
    for (const what of ["hook", "asset"]) {
      const seed = seedCluster();
      const { hooks = [], fileAssets = [] } = seed.spec;
      const without = <Entry extends object>(entry: Entry) => ({ ...entry, roles: undefined });
      const spec =
        what === "hook"
          ? { ...seed.spec, hooks: hooks.map(without) }
          : { ...seed.spec, fileAssets: fileAssets.map(without) };
      const cluster = simulation({ cluster: { ...seed, spec }, secret: seedConfiguration });
      assert.equal((await plan(cluster, 2)).blocked, undefined);
      for (let time = 0; time < 2; time += 1) {
        const outcome = await run(cluster, 2);
        assert.equal(outcome.kind, "done", outcome.reason);
      }
      assert.deepEqual(cluster.tasks(), []);
      assert.deepEqual(cluster.state.cluster.spec.hooks?.length, 2);
      assert.ok(cluster.state.cluster.spec.fileAssets?.some(({ name }) => name === "aws-encryption-provider.yaml"));
    }
  });

  for (const isKept of [true, false]) {
    const what = isKept ? "gone on with" : "and its record is lost => gone on with, or refused with what helps";
    it(`an adoption that is killed anywhere => ${what}; done only with all of it on the machines`, async () =>
      adoptKilled(isKept));
  }
  async function adoptKilled(isKept: boolean): Promise<void> {
    let effects = 1;
    let refused = 0;
    for (let kill = 0; kill < effects; kill += 1) {
      const cluster = simulation({ groups: instanceGroups(2), cluster: seedCluster(), secret: seedConfiguration });
      cluster.faults.killAfter = kill;
      await run(cluster, 2).catch((thrown: unknown) => {
        if (!(thrown instanceof Killed)) throw thrown;
      });
      cluster.faults.killAfter = Number.POSITIVE_INFINITY;
      if (!isKept) cluster.state.record = undefined;
      let outcome = await run(cluster, 2);
      if (outcome.kind === "blocked") {
        assert.match(outcome.reason ?? "", /before this run$/);
        refused += 1;
        await carryOut(cluster);
        outcome = await run(cluster, 2);
      }
      assert.equal(outcome.kind, "done", `killed after ${kill}: ${outcome.reason}`);
      assert.deepEqual(cluster.tasks(), []);
      const endpoints = cluster.state.machines.flatMap((machine) => [...machine.endpoints]);
      assert.ok(!endpoints.some((endpoint) => endpoint.includes("kmsplugin")), `killed after ${kill}`);
      effects = Math.max(effects, cluster.effects());
    }
    if (isKept) assert.equal(refused, 0);
    else assert.ok(refused > 0 && refused < effects / 3, `${refused} of ${effects}`);
  }

  it("manifests of etcd and of the API server's companions => changes to the machines of those groups and no others", () => {
    const group = (name: string, role: string) => ({ name, role });
    const etcd = ["ManagedFile/manifests-etcdmanager-main-cp-a"];
    assert.ok(isPending(etcd, group("cp-a", "ControlPlane")));
    assert.ok(!isPending(etcd, group("a", "ControlPlane")));
    const companion = ["ManagedFile/manifests-static-kube-apiserver-healthcheck"];
    assert.ok(isPending(companion, group("apis", "APIServer")));
    assert.ok(!isPending(companion, group("nodes", "Node")));
    assert.ok(!isPending(["ManagedFile/etcd-cluster-spec-main"], group("main", "ControlPlane")));
  });
});
