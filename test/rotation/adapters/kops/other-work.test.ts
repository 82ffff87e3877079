import assert from "node:assert/strict";
import { decideKopsBy, type KopsRules, kopsRules } from "../../../../rotation/adapters/kops/decide-kops";
import { freshRun } from "../../../../rotation/adapters/kops/kops-observation";
import { withKmsSettings } from "../../../../rotation/adapters/kops/merge-cluster-spec";
import { planKops } from "../../../../rotation/adapters/kops/plan-kops";
import { runKops } from "../../../../rotation/adapters/kops/run-kops";
import { randomFrom } from "../../random";
import { awsPlugin, instanceGroups, kopsGoal } from "./kops-goals";
import { Killed, type SimulatedKops, simulateKops } from "./simulated-kops";

const never = new AbortController().signal;

describe("somebody else at work on a kOps cluster", function () {
  this.timeout(120_000);

  function run(cluster: SimulatedKops, version: number | "identity", rules?: KopsRules) {
    const { kops, stored, clock, log } = cluster;
    return runKops({
      ...{ goal: kopsGoal(version), kops, stored, clock, signal: never },
      onEvent: ({ stage, kind, message }) => log.push(`${stage} ${kind}: ${message}`),
      ...(rules === undefined ? {} : { decide: (observed, goal) => decideKopsBy(rules, observed, goal) }),
    });
  }
  async function encrypted(groups = 3): Promise<SimulatedKops> {
    const cluster = simulateKops({ groups: instanceGroups(groups), machines: 1, objects: 2, random: randomFrom(7) });
    assert.equal((await run(cluster, 1)).kind, "done");
    return cluster;
  }
  const plan = async (cluster: SimulatedKops, version: number) =>
    planKops({ ...(await cluster.kops.observe(never)), now: 0, run: freshRun }, kopsGoal(version));

  /** How each is made, how it ends, what is said, and what helps. */
  const works: Readonly<
    Record<
      string,
      { begin(cluster: SimulatedKops): unknown; end(cluster: SimulatedKops): unknown; reason: RegExp; remedy: RegExp }
    >
  > = {
    "API servers of two minor versions": {
      begin: ({ faults, state }) => faults.versions.set(state.machines[0]?.name ?? "", "v1.37.0"),
      end: ({ faults }) => faults.versions.clear(),
      reason: /an upgrade of the API servers is under way: i-\d+ runs v1\.37\.0; i-\d+, i-\d+ run v1\.36\.0/,
      remedy: /finish it, or take it back.*kops rolling-update cluster e2e\.k8s\.local --yes; then run again/,
    },
    "a spec with another Kubernetes": {
      begin({ state, faults }) {
        for (const { name } of state.machines) faults.versions.set(name, "v1.36.0");
        state.cluster = { ...state.cluster, spec: { ...state.cluster.spec, kubernetesVersion: "1.37.0" } };
      },
      end({ state }) {
        state.cluster = { ...state.cluster, spec: { ...state.cluster.spec, kubernetesVersion: "1.36.0" } };
      },
      reason: /an upgrade waits in the cluster's spec: it says Kubernetes 1\.37\.0, and i-\d+ runs v1\.36\.0/,
      remedy:
        /carry it out with the kops that this run uses \(kops update cluster e2e\.k8s\.local --yes, then kops rolling-update.*or take it back/,
    },
    "an update that would change the workers too": {
      begin: ({ faults }) => (faults.pending = ["LaunchTemplate/nodes.e2e.k8s.local"]),
      end: ({ faults }) => (faults.pending = []),
      reason: /has changes to make to the machines of nodes that are no part of a rotation/,
      remedy: /carry it out/,
    },
    "an update that would change the API servers' groups already": {
      begin: ({ faults }) => (faults.pending = ["ManagedFile/nodeupconfig-control-plane-us-west-2a"]),
      end: ({ faults }) => (faults.pending = []),
      reason: /has changes to make to the machines of control-plane-us-west-2a from before this run/,
      remedy: /carry it out/,
    },
    "a machine that waits for a roll": {
      begin({ state }) {
        const template = state.templates.get("control-plane-us-west-2b");
        if (template !== undefined) template.version += 1;
      },
      end: ({ kops }) => kops.roll("control-plane-us-west-2b", false, never),
      reason: /i-\d+ of control-plane-us-west-2b is older than what the group's template says, from before this run/,
      remedy: /roll first \(kops rolling-update cluster/,
    },
    "a cluster that is not valid": {
      begin: ({ faults }) => (faults.invalid = "node is not ready"),
      end: ({ faults }) => (faults.invalid = undefined),
      reason: /the cluster is not valid: node is not ready/,
      remedy: /mend it/,
    },
  };
  for (const [what, { begin, end, reason, remedy }] of Object.entries(works)) {
    it(`${what} => nothing is begun, what to do is said, and it goes on afterwards`, async () => {
      const cluster = await encrypted();
      await begin(cluster);
      const effects = cluster.effects();
      const refused = await run(cluster, 2);
      assert.equal(refused.kind, "blocked");
      assert.match(refused.reason ?? "", reason);
      assert.match(refused.remedy ?? "", remedy);
      assert.equal(cluster.effects(), effects, "nothing was changed, the spec neither");
      await end(cluster);
      assert.equal((await run(cluster, 2)).kind, "done");
    });
  }

  it("preview => what a run would stop for is said before it, and no stage is foretold", async () => {
    for (const [what, { begin, reason }] of Object.entries(works)) {
      // A look changes nothing, so it does not ask kops whether the cluster is valid.
      if (what === "a cluster that is not valid") continue;
      const cluster = await encrypted();
      await begin(cluster);
      const { blocked, stages } = await plan(cluster, 2);
      assert.match(blocked?.reason ?? "", reason);
      assert.deepEqual(stages, []);
    }
  });

  it("a change that no machine gets, as of a subnet => in nobody's way", async () => {
    const cluster = await encrypted();
    cluster.faults.pending = ["Subnet/us-west-2a.e2e.k8s.local", "IAMRolePolicy/nodes.e2e.k8s.local"];
    assert.equal((await run(cluster, 2)).kind, "done");
  });

  it("a cluster at its goal => done, and machines that somebody else's upgrade has yet to roll are left to it", async () => {
    const cluster = await encrypted();
    await works["API servers of two minor versions"]?.begin(cluster);
    await works["a machine that waits for a roll"]?.begin(cluster);
    const effects = cluster.effects();
    assert.equal((await run(cluster, 1)).kind, "done");
    assert.equal(cluster.effects(), effects);
  });

  it("an upgrade that begins in the middle of a rotation => the rotation stays where it is, readable, and goes on afterwards", async () => {
    const cluster = await encrypted();
    const { roll } = cluster.kops;
    let rolls = 0;
    cluster.kops.roll = async (...request) => {
      const failure = await roll(...request);
      if ((rolls += 1) === 2) await works["API servers of two minor versions"]?.begin(cluster);
      return failure;
    };
    const outcome = await run(cluster, 2);
    assert.match(outcome.reason ?? "", /an upgrade of the API servers is under way/);
    assert.equal(rolls, 2);
    cluster.faults.versions.clear();
    assert.equal((await run(cluster, 2)).kind, "done");
  });

  const changes: Readonly<Record<string, readonly [number | "identity", number | "identity"]>> = {
    enable: ["identity", 1],
    rotate: [1, 2],
    disable: [1, "identity"],
  };
  for (const [change, [from, to]] of Object.entries(changes)) {
    for (const namesHash of [true, false]) {
      const servers = namesHash ? "servers that name what they have loaded" : "servers before 1.34";
      it(`${change}, ${servers}: what a killed run has left is its own, and the next run goes on`, async () => {
        let effects = 1;
        for (let kill = 0; kill < effects; kill += 1) {
          const options = { groups: instanceGroups(2), machines: 1, objects: 2, random: randomFrom(7), namesHash };
          const cluster = simulateKops(options);
          if (from !== "identity") assert.equal((await run(cluster, from)).kind, "done");
          const before = cluster.effects();
          cluster.faults.killAfter = before + kill;
          await run(cluster, to).catch((thrown: unknown) => {
            if (!(thrown instanceof Killed)) throw thrown;
          });
          cluster.faults.killAfter = Number.POSITIVE_INFINITY;
          const outcome = await run(cluster, to);
          assert.equal(outcome.kind, "done", `killed after ${kill}: ${outcome.reason}\n${cluster.log.join("\n")}`);
          effects = Math.max(effects, cluster.effects() - before);
        }
        assert.ok(effects > 8, `${effects} moments`);
      });
    }
  }

  it("an upgrade that begins after this run has changed the spec => not done: its own change is not carried over, and gone on with when the upgrade is", async () => {
    const cluster = await encrypted();
    const { state, kops } = cluster;
    const settings = { plugins: [awsPlugin(3)], image: kopsGoal(1).image, roles: ["ControlPlane"] };
    state.cluster = withKmsSettings(state.cluster, settings);
    await kops.update(never);
    for (const { name } of cluster.groups) await kops.roll(name, false, never);
    const { putCluster } = kops;
    kops.putCluster = async (...request) => {
      await putCluster(...request);
      await works["API servers of two minor versions"]?.begin(cluster);
    };
    const outcome = await run(cluster, 1);
    assert.match(outcome.reason ?? "", /an upgrade of the API servers is under way/);
    cluster.faults.versions.clear();
    assert.deepEqual(cluster.tasks()?.length, 6);
    assert.equal((await run(cluster, 1)).kind, "done");
    assert.deepEqual(cluster.tasks(), []);
  });

  it("a spec whose version is the address of a build, or none => nothing is concluded from it", async () => {
    for (const kubernetesVersion of ["https://example.com/kubernetes/v1.37.0-alpha.1", ""]) {
      const cluster = await encrypted();
      for (const { name } of cluster.state.machines) cluster.faults.versions.set(name, "v1.36.0");
      const { spec } = cluster.state.cluster;
      cluster.state.cluster = { ...cluster.state.cluster, spec: { ...spec, kubernetesVersion } };
      const { blocked } = await plan(cluster, 2);
      assert.doesNotMatch(blocked?.reason ?? "", /upgrade/);
    }
  });

  it("left out, any of the rules is missed: the rotation rolls what is not its own", async () => {
    const missed: string[] = [];
    const names = [...kopsRules.beside, ...kopsRules.beginning].map(({ name }) => name);
    const seenBy: Readonly<Record<string, string>> = {
      noUpgradeIsUnderWay: "a spec with another Kubernetes",
      noOtherGroupChanges: "an update that would change the workers too",
      nothingIsPendingBefore: "an update that would change the API servers' groups already",
      noMachineIsLateBefore: "a machine that waits for a roll",
      theClusterIsValid: "a cluster that is not valid",
    };
    for (const name of names) {
      const cluster = await encrypted();
      await works[seenBy[name] ?? ""]?.begin(cluster);
      const effects = cluster.effects();
      const without = (rules: KopsRules["beside"]) => rules.filter((rule) => rule.name !== name);
      const mutant = { ...kopsRules, beside: without(kopsRules.beside), beginning: without(kopsRules.beginning) };
      await run(cluster, 2, mutant);
      if (cluster.effects() > effects) missed.push(name);
    }
    assert.deepEqual(missed, names);
  });
});
