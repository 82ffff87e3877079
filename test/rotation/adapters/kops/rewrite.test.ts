import assert from "node:assert/strict";
import { RewriteMethod } from "../../../../core/rewrite-method";
import type { KopsGoal } from "../../../../rotation/adapters/kops/kops-decision";
import { type KopsStored, runKops } from "../../../../rotation/adapters/kops/run-kops";
import type { RewriteScope } from "../../../../rotation/rewrite-scope";
import { randomFrom } from "../../random";
import { instanceGroups, kopsGoal } from "./kops-goals";
import { type SimulatedKops, simulateKops } from "./simulated-kops";

const never = new AbortController().signal;

/** What a run asks for of the stored objects, through API servers as on a real cluster: a look writes what is stale. */
interface Asked {
  readonly what: "measure" | "rewrite";
  readonly by?: RewriteMethod | undefined;
  readonly scope?: RewriteScope | undefined;
}

describe("the rewrite on kOps", function () {
  this.timeout(30_000);
  const simulation = () => simulateKops({ groups: instanceGroups(1), machines: 2, objects: 6, random: randomFrom(11) });

  async function run(world: SimulatedKops, version: number | "identity", more: Partial<KopsGoal> = {}) {
    const asked: Asked[] = [];
    const warnings: string[] = [];
    const { kops, clock } = world;
    const stored: KopsStored = {
      ...world.stored,
      async measure(...request) {
        asked.push({ what: "measure" });
        return { ...(await world.stored.measure(...request)), method: "api" };
      },
      async rewrite(targets, servers, onProgress, signal, by, scope) {
        asked.push({ what: "rewrite", by, scope });
        return world.stored.rewrite(targets, servers, onProgress, signal, by, scope);
      },
    };
    const outcome = await runKops({
      goal: kopsGoal(version, more),
      ...{ kops, stored, clock, signal: never },
      onEvent({ kind, message }) {
        if (kind === "warning") warnings.push(message);
      },
    });
    return { outcome, asked, warnings };
  }
  const order = (asked: readonly Asked[]) => asked.map(({ what }) => what);

  it("what may be stale is written again as the goal says before anybody looks, because a look would do it in another way; at the goal there is a look alone", async () => {
    const world = simulation();
    const { outcome, asked } = await run(world, 1, { rewriteBy: RewriteMethod.InTreeMigration });
    assert.equal(outcome.kind, "done", outcome.reason);
    assert.deepEqual(order(asked).slice(0, 2), ["rewrite", "measure"]);
    assert.equal(asked[0]?.by, RewriteMethod.InTreeMigration);
    assert.equal(order(asked).filter((what) => what === "rewrite").length, 1);
    assert.deepEqual(order((await run(world, 1)).asked), ["measure"]);
  });

  it("an object that is refused => named to who runs it; the next tries offer that one and no other", async () => {
    const world = simulation();
    await run(world, 1);
    world.faults.rejectedObject = "s5";
    const { outcome, asked, warnings } = await run(world, 2);
    assert.match(outcome.reason ?? outcome.kind, /could not be written again/);
    assert.doesNotMatch(outcome.reason ?? "", /s5/);
    assert.match(warnings.join("\n"), /secrets default\/s5 was not rewritten: denied by a webhook/);
    const [first, ...others] = asked.filter(({ what }) => what === "rewrite");
    assert.equal(first?.scope?.refused, undefined);
    assert.equal(others.length, 2);
    for (const { scope } of others)
      assert.deepEqual(
        scope?.refused?.map(({ name }) => name),
        ["s5"],
      );
  });
});
