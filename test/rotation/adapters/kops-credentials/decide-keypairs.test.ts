import assert from "node:assert/strict";
import fc from "fast-check";
import { KeypairStage, keypairStages } from "../../../../core/keypair-stage";
import {
  decideKeypairsBy,
  type KeypairRule,
  keypairRules,
} from "../../../../rotation/adapters/kops-credentials/decide-keypairs";
import type { KeypairGoal } from "../../../../rotation/adapters/kops-credentials/keypair-decision";
import { createKeypairStore, pausesScaleUp } from "../../../../rotation/adapters/kops-credentials/keypair-store";
import { type Keypair, kubernetesCa } from "../../../../rotation/adapters/kops-credentials/keypairs";
import { predictSteps } from "../../../../rotation/adapters/kops-credentials/predict-steps";
import { runCredentials } from "../../../../rotation/adapters/kops-credentials/run-credentials";
import { randomFrom } from "../../random";
import { Killed, type SimulatedKeypairs, simulateKeypairs } from "./simulated-keypairs";

const never = new AbortController().signal;
const clock = { now: () => 0, sleep: async () => undefined };
/** Between the cluster's creation and everything that happens to it. */
const first = Date.UTC(2026, 0, 1, 12);

interface Wish {
  readonly stage: KeypairStage;
  readonly madeBefore?: number;
  readonly keysets?: readonly string[];
}

function goalOf(cluster: SimulatedKeypairs, { stage, madeBefore = first, keysets }: Wish): KeypairGoal {
  const { trusts, uses } = cluster.state.clients;
  const clientsTrust = trusts.at(-1);
  return { keysets: keysets ?? "all", madeBefore, advanceTo: stage, clientsTrust, clientsUse: uses };
}

function storeOf(cluster: SimulatedKeypairs, wish: Wish, rules: readonly KeypairRule[], settled?: string) {
  const { keypairs, fleet, state } = cluster;
  return createKeypairStore({
    goal: goalOf(cluster, wish),
    settled,
    keypairs,
    fleet,
    now: () => state.now,
    decide: (observed, goal) => decideKeypairsBy(rules, observed, goal),
  });
}

async function run(cluster: SimulatedKeypairs, wish: Wish, rules = keypairRules) {
  const store = storeOf(cluster, wish, rules);
  return runCredentials({ store, fleet: cluster.fleet, onEvent: () => undefined, signal: never, clock });
}

/** Somebody who does what a waiting run asks for: gives every client the new CA, or new credentials. */
function answer(
  cluster: SimulatedKeypairs,
  { input, value }: { readonly input: string; readonly value: string },
): void {
  const { clients } = cluster.state;
  if (input === "clientsTrustKeypair") cluster.state.clients = { ...clients, trusts: [...clients.trusts, value] };
  else cluster.state.clients = { ...clients, uses: value };
}

async function runToTheEnd(cluster: SimulatedKeypairs, wish: Wish, rules = keypairRules) {
  for (;;) {
    const outcome = await run(cluster, wish, rules);
    if (outcome.kind !== "waiting" || outcome.waitingFor === undefined) return outcome;
    answer(cluster, outcome.waitingFor);
  }
}

function keypairsOf(cluster: SimulatedKeypairs, keyset = kubernetesCa): readonly Keypair[] {
  return cluster.state.keysets.find(({ name }) => name === keyset)?.keypairs ?? [];
}

const marks = (cluster: SimulatedKeypairs, keyset?: string) =>
  keypairsOf(cluster, keyset).map(({ isPrimary, distrustedAt }) =>
    isPrimary ? "primary" : distrustedAt === undefined ? "trusted" : "distrusted",
  );

/** As the rollback documents it: clients that use new credentials get old ones before the new ones are trusted no longer. */
function oldCredentials(cluster: SimulatedKeypairs): void {
  const trusted = keypairsOf(cluster).find(({ distrustedAt }) => distrustedAt === undefined);
  cluster.state.clients = { ...cluster.state.clients, uses: trusted?.id ?? "" };
}

function assertAtGoal(cluster: SimulatedKeypairs, stage: KeypairStage): void {
  const expected: Readonly<Record<KeypairStage, RegExp>> = {
    None: /^(distrusted,)*primary(,distrusted)*$/,
    Stage: /^(distrusted,)*primary(,distrusted)*,trusted$/,
    Promote: /^(distrusted,)*trusted(,distrusted)*,primary$/,
    Distrust: /^(distrusted,)*primary$/,
  };
  for (const { name } of cluster.state.keysets) assert.match(marks(cluster, name).join(), expected[stage], name);
  const { told, machines } = cluster.state;
  assert.ok(
    machines.every(({ version }) => version === told.version),
    "a machine was left behind",
  );
}

describe("rotation of kOps' keypairs", function () {
  this.timeout(120_000);
  it("all stages => two waits for the clients, three rolls of every group, the previous keypairs distrusted", async () => {
    const cluster = simulateKeypairs();
    const staged = await run(cluster, { stage: "Distrust" });
    assert.equal(staged.waitingFor?.input, "clientsTrustKeypair");
    assert.deepEqual(marks(cluster), ["primary", "trusted"]);
    const outcome = await runToTheEnd(cluster, { stage: "Distrust" });
    assert.equal(outcome.kind, "done");
    assertAtGoal(cluster, "Distrust");
    assert.equal(cluster.log.filter((line) => line === "update").length, 3);
    assert.equal(cluster.log.filter((line) => line.startsWith("roll")).length, 3 * cluster.state.machines.length);
    const effects = cluster.state.effects;
    await run(cluster, { stage: "Distrust" });
    assert.equal(cluster.state.effects, effects);
  });

  it("keys of service accounts alone => no wait: no client of the API has anything of them", async () => {
    const cluster = simulateKeypairs();
    const outcome = await run(cluster, { stage: "Distrust", keysets: ["service-account"] });
    assert.equal(outcome.kind, "done");
    assert.deepEqual(marks(cluster, "service-account"), ["distrusted", "primary"]);
    assert.deepEqual(marks(cluster), ["primary"]);
  });

  it("a keyset that is not there, and a moment that has not come => refused, and nothing is done", async () => {
    const cluster = simulateKeypairs();
    const unknown = await run(cluster, { stage: "Stage", keysets: ["ca"] });
    assert.match(`${unknown.reason}; ${unknown.remedy}`, /no keyset ca .*kubernetes-ca, service-account/);
    const future = await run(cluster, { stage: "Stage", madeBefore: cluster.state.now + 1 });
    assert.match(future.reason ?? "", /in the future would be replaced for ever/);
    assert.equal(cluster.state.effects, 0);
  });

  describe("goes back", () => {
    it("from Stage => the staged ones are distrusted and rolled out; forward again => others are made", async () => {
      const cluster = simulateKeypairs();
      await runToTheEnd(cluster, { stage: "Stage" });
      await runToTheEnd(cluster, { stage: "None" });
      assertAtGoal(cluster, "None");
      assert.deepEqual(marks(cluster), ["primary", "distrusted"]);
      await runToTheEnd(cluster, { stage: "Stage" });
      assert.deepEqual(marks(cluster), ["primary", "distrusted", "trusted"]);
    });

    it("from Promote => the previous ones issue again, at once, also while the roll can't be finished", async () => {
      const cluster = simulateKeypairs();
      await runToTheEnd(cluster, { stage: "Stage" });
      answer(cluster, { input: "clientsTrustKeypair", value: keypairsOf(cluster).at(-1)?.id ?? "" });
      cluster.faults.failRoll = "control-plane-b";
      const stuck = await run(cluster, { stage: "Promote" });
      assert.equal(stuck.kind, "blocked");
      assert.match(stuck.reason ?? "", /control-plane-b can't be drained/);
      await run(cluster, { stage: "Stage" });
      assert.deepEqual(marks(cluster), ["primary", "trusted"]);
      cluster.faults.failRoll = "";
      await runToTheEnd(cluster, { stage: "Stage" });
      assertAtGoal(cluster, "Stage");
    });

    it("from Distrust => the previous ones are trusted, and every machine is replaced, by force, also after a kill", async () => {
      const cluster = simulateKeypairs();
      await runToTheEnd(cluster, { stage: "Distrust" });
      const before = cluster.state.machines.map(({ name }) => name);
      cluster.faults.killAfter = cluster.state.effects + 5;
      await assert.rejects(run(cluster, { stage: "Promote" }), Killed);
      cluster.faults.killAfter = Number.POSITIVE_INFINITY;
      await runToTheEnd(cluster, { stage: "Promote" });
      assertAtGoal(cluster, "Promote");
      assert.ok(cluster.state.machines.every(({ name }) => !before.includes(name)));
      assert.ok(cluster.log.some((line) => line.endsWith("--force")));
    });

    it("all the way from Distrust => trusted by every machine first, then issuing; distrusted when clients have old credentials", async () => {
      const cluster = simulateKeypairs();
      await runToTheEnd(cluster, { stage: "Distrust" });
      const before = cluster.log.length;
      assert.equal((await run(cluster, { stage: "None" })).kind, "blocked");
      const log = cluster.log.slice(before).map((line) => line.split(" ")[0]);
      const order = log.filter((word, index) => word !== log[index - 1]).join(" ");
      assert.equal(order, "mark trust update roll promote update roll");
      oldCredentials(cluster);
      assert.equal((await run(cluster, { stage: "None" })).kind, "done");
      assertAtGoal(cluster, "None");
    });

    it("to None while clients use the new credentials => refused: they would be locked out", async () => {
      const cluster = simulateKeypairs();
      await runToTheEnd(cluster, { stage: "Promote" });
      answer(cluster, { input: "clientsUseKeypair", value: keypairsOf(cluster).at(-1)?.id ?? "" });
      const outcome = await run(cluster, { stage: "None" });
      assert.equal(outcome.kind, "blocked");
      assert.match(outcome.reason ?? "", /clients use credentials of kubernetes-ca \d+, as clientsUseKeypair says/);
    });

    it("with two earlier keypairs that could issue => refused, with both numbers", async () => {
      const cluster = simulateKeypairs();
      await runToTheEnd(cluster, { stage: "Stage" });
      const later = cluster.state.now;
      cluster.state.now += 1_000;
      await runToTheEnd(cluster, { stage: "Promote", madeBefore: later });
      const outcome = await run(cluster, { stage: "Stage", madeBefore: later });
      assert.match(outcome.reason ?? "", /more than one earlier keypair that is trusted \(\d+, \d+\)/);
    });
  });

  it("the cluster is not valid => not promoted, with what kOps says; not distrusted either", async () => {
    const cluster = simulateKeypairs();
    await runToTheEnd(cluster, { stage: "Stage" });
    cluster.faults.invalid = "node i-4 is not ready";
    const outcome = await runToTheEnd(cluster, { stage: "Promote" });
    assert.match(outcome.reason ?? "", /the cluster is not valid: node i-4 is not ready/);
    assert.deepEqual(marks(cluster), ["primary", "trusted"]);
  });

  it("settled by an earlier run => machines that somebody else's change made old are left alone", async () => {
    const cluster = simulateKeypairs();
    const outcome = await runToTheEnd(cluster, { stage: "Distrust" });
    const wish = { stage: KeypairStage.Distrust };
    const settled = storeOf(cluster, wish, keypairRules).fingerprint(outcome.seen);
    cluster.state.told = { ...cluster.state.told, version: cluster.state.told.version + 1 };
    const effects = cluster.state.effects;
    const store = storeOf(cluster, wish, keypairRules, settled);
    const again = await runCredentials({ store, fleet: cluster.fleet, onEvent: () => undefined, signal: never, clock });
    assert.equal(again.kind, "done");
    assert.equal(cluster.state.effects, effects);
  });

  it("preview => the very steps that the run takes up to its wait, and whether new nodes can't join meanwhile", async () => {
    const cluster = simulateKeypairs();
    const store = storeOf(cluster, { stage: "Distrust" }, keypairRules);
    const seen = await store.observe(undefined, never);
    const plan = predictSteps(seen, store);
    const events: string[] = [];
    await runCredentials({
      store,
      fleet: cluster.fleet,
      onEvent: ({ message }) => events.push(message),
      signal: never,
      clock,
    });
    assert.deepEqual(plan.lines.slice(0, -1), events);
    assert.match(plan.lines.at(-1) ?? "", /^wait for clientsTrustKeypair/);
    assert.equal(plan.actions.some(pausesScaleUp), false);
    answer(cluster, { input: "clientsTrustKeypair", value: keypairsOf(cluster).at(-1)?.id ?? "" });
    const next = storeOf(cluster, { stage: "Distrust" }, keypairRules);
    assert.ok(predictSteps(await next.observe(undefined, never), next).actions.some(pausesScaleUp));
  });

  const steps = fc.array(
    fc.record({
      stage: fc.constantFrom(...keypairStages),
      later: fc.boolean(),
      killAfter: fc.integer({ min: 0, max: 25 }),
      answers: fc.boolean(),
    }),
    { maxLength: 8 },
  );

  /** Kills anywhere, changing goals, machines replaced in any gap; clients that only ever do what they were told. */
  async function disturbed(
    seed: number,
    plan: readonly { stage: KeypairStage; later: boolean; killAfter: number; answers: boolean }[],
    last: KeypairStage,
    rules = keypairRules,
  ): Promise<SimulatedKeypairs> {
    const cluster = simulateKeypairs({ random: randomFrom(seed), replacements: 0.1 });
    let madeBefore = first;
    for (const { stage, later, killAfter, answers } of plan) {
      if (later) {
        // A rotation begins after the one before it was finished, as one date is followed by another.
        cluster.faults.killAfter = Number.POSITIVE_INFINITY;
        await runToTheEnd(cluster, { stage: "Distrust", madeBefore }, rules);
        madeBefore = cluster.state.now;
        cluster.state.now += 1_000;
      }
      cluster.faults.killAfter = cluster.state.effects + killAfter;
      try {
        const outcome = await run(cluster, { stage, madeBefore }, rules);
        if (answers && outcome.waitingFor !== undefined) answer(cluster, outcome.waitingFor);
      } catch (thrown) {
        if (!(thrown instanceof Killed)) throw thrown;
        cluster.log.push("killed");
      }
    }
    cluster.faults.killAfter = Number.POSITIVE_INFINITY;
    let outcome = await runToTheEnd(cluster, { stage: last, madeBefore }, rules);
    if (outcome.kind === "blocked" && outcome.reason?.includes("clients use credentials") === true) {
      oldCredentials(cluster);
      outcome = await runToTheEnd(cluster, { stage: last, madeBefore }, rules);
    }
    assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-40).join("\n")}`);
    assertAtGoal(cluster, last);
    return cluster;
  }

  it("kills anywhere, goals that change, machines replaced in any gap => nobody ever meets what it does not trust, and the goal is reached", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), steps, fc.constantFrom(...keypairStages), async (seed, plan, last) => {
        await disturbed(seed, plan, last);
      }),
      { numRuns: 300 },
    );
  });

  it("left out, any rule that guards something is missed", async () => {
    for (const name of ["everyMachineHasWhatTheStoreSays", "previousOnesAreTrustedAgain", "newOnesAreMade"]) {
      const rules = keypairRules.filter((rule) => rule.name !== name);
      assert.equal(rules.length, keypairRules.length - 1, name);
      const noticed = await fc.check(
        fc.asyncProperty(fc.integer(), steps, fc.constantFrom(...keypairStages), async (seed, plan, last) => {
          await disturbed(seed, plan, last, rules);
        }),
        { numRuns: 200, seed: 1, endOnFailure: true },
      );
      assert.ok(noticed.failed, `${name} was left out, and nothing was noticed`);
    }
  });
});
