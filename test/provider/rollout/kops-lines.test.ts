import assert from "node:assert/strict";
import { kopsWarnings } from "../../../provider/rollout/kops-lines";
import { freshRun } from "../../../rotation/adapters/kops/kops-observation";
import { planKops } from "../../../rotation/adapters/kops/plan-kops";
import { instanceGroups, kopsGoal } from "../../rotation/adapters/kops/kops-goals";
import { seedCluster, seedConfiguration } from "../../rotation/adapters/kops/seed-002";
import { type SimulatedKopsOptions, simulateKops } from "../../rotation/adapters/kops/simulated-kops";

describe("the warnings of a rollout on kOps", () => {
  async function warnings(pending: readonly string[], more: Partial<SimulatedKopsOptions> = {}) {
    const cluster = simulateKops({ groups: instanceGroups(3), machines: 1, objects: 2, random: () => 0.75, ...more });
    cluster.faults.pending.push(...pending);
    const seen = await cluster.kops.observe(new AbortController().signal);
    const observed = { ...seen, now: 0, run: freshRun };
    const plan = planKops(observed, kopsGoal(1));
    assert.equal(plan.blocked, undefined);
    return kopsWarnings(plan, observed, kopsGoal(1)).join("\n");
  }

  it("what an update would change besides, sizes of groups and files for no machine too => named; the completed spec is no news", async () => {
    const others = ["AutoscalingGroup/nodes.e2e.k8s.local", "ManagedFile/etcd-cluster-spec-main", "Subnet/a"];
    const said = await warnings([...others, "ManagedFile/cluster-completed.spec"]);
    assert.match(said, new RegExp(`nothing to do with encryption: ${others.join(", ")}$`, "m"));
  });

  it("a hand-made plugin whose hook workers get too => said that it stays", async () => {
    const seed = seedCluster();
    const adopted = { cluster: seed, secret: seedConfiguration };
    assert.doesNotMatch(await warnings([], adopted), /stays in the spec/);
    const hooks = seed.spec.hooks?.map((hook) => ({ ...hook, roles: undefined })) ?? [];
    const cluster = { ...seed, spec: { ...seed.spec, hooks } };
    assert.match(
      await warnings([], { ...adopted, cluster }),
      /plugin aws-encryption-provider: machines without an API server get .* so it stays in the spec/,
    );
  });
});
