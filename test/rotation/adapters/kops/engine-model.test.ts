import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { writerOf } from "../../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../../core/errors";
import { providerName } from "../../../../core/provider-name";
import { RotationStage } from "../../../../core/rotation-stage";
import { decideKopsBy, type KopsRules, kopsRules } from "../../../../rotation/adapters/kops/decide-kops";
import { runKops } from "../../../../rotation/adapters/kops/run-kops";
import { randomFrom } from "../../random";
import { awsPlugin, instanceGroups, kopsGoal } from "./kops-goals";
import { seedCluster, seedConfiguration } from "./seed-002";
import { InvariantBroken, Killed, type SimulatedKops, type SimulatedKopsOptions, simulateKops } from "./simulated-kops";

const simulation = (more: Partial<SimulatedKopsOptions> = {}) =>
  simulateKops({ groups: instanceGroups(3), machines: 1, objects: 12, random: randomFrom(7), ...more });

function run(
  cluster: SimulatedKops,
  version: number | "identity",
  more: Parameters<typeof kopsGoal>[1] = {},
  rules?: KopsRules,
) {
  return runKops({
    goal: kopsGoal(version, more),
    kops: cluster.kops,
    stored: cluster.stored,
    clock: cluster.clock,
    onEvent: (event) => cluster.log.push(`        ${event.stage} ${event.kind}: ${event.message}`),
    signal: new AbortController().signal,
    ...(rules === undefined ? {} : { decide: (observed, goal) => decideKopsBy(rules, observed, goal) }),
  });
}

const providerOf = (version: number | "identity") =>
  version === "identity" ? "identity" : `kms/v2/${providerName("v2", awsPlugin(version).key, "secrets")}`;

function assertAtGoal(cluster: SimulatedKops, version: number | "identity"): void {
  for (const machine of cluster.state.machines) {
    assert.deepEqual(
      cluster.listIn(machine.text).map((item) => writerOf([item])),
      [providerOf(version)],
      machine.name,
    );
  }
  for (const [name, object] of cluster.state.objects) assert.equal(object.provider, providerOf(version), name);
  assert.deepEqual(
    (cluster.state.cluster.spec.fileAssets ?? []).map((asset) => asset.name),
    version === "identity" ? [] : [`${awsPlugin(version).name}.yaml`],
  );
}

const never = new AbortController().signal;
const endpointOf = (version: number) =>
  `unix:///srv/kubernetes/kube-apiserver/kms-etcd/${awsPlugin(version).socketFile}`;

/** After a life in which a plugin does not start: what the next run says is done, and then machines must come up as it said. */
async function bringBack(cluster: SimulatedKops, version: number | "identity"): Promise<void> {
  if (cluster.faults.brokenEndpoint === undefined) return;
  cluster.faults.killAfter = Number.POSITIVE_INFINITY;
  const { reason } = await run(cluster, version);
  if (reason?.includes("is not valid") === true) {
    for (const machine of cluster.state.machines.filter(({ up }) => !up)) {
      cluster.terminate(machine);
      assert.ok(cluster.boot(machine.group).up, `${reason}\n${cluster.log.slice(-60).join("\n")}`);
    }
  }
  cluster.faults.brokenEndpoint = undefined;
}

const runs = Number(process.env["MODEL_RUNS"] ?? 60);

describe("the kOps engine against a simulated cluster", function () {
  this.timeout(120_000);

  for (const [groups, apiServers, machines] of [
    [1, 0, 1],
    [3, 0, 1],
    [1, 1, 3],
  ] as const) {
    for (const namesHash of [true, false]) {
      const servers = `${groups} control-plane and ${apiServers} API-server groups of ${machines}`;
      it(`enables, rotates, rolls back and disables on ${servers}${namesHash ? "" : ", before 1.34"}`, async () => {
        const cluster = simulation({ groups: instanceGroups(groups, apiServers), machines, namesHash });
        for (const version of [1, 2, 3, 2, "identity", 1] as const) {
          const before = cluster.rolls();
          const outcome = await run(cluster, version);
          assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-40).join("\n")}`);
          assertAtGoal(cluster, version);
          // A server that does not say what it has loaded is replaced once more: only then is it known.
          assert.equal(cluster.rolls() - before, (namesHash ? 3 : 4) * (groups + apiServers), "rolls of every group");
        }
      });
    }
  }

  it("a cluster at the goal => nothing is changed", async () => {
    const cluster = simulation();
    await run(cluster, 1);
    const before = cluster.effects();
    assert.equal((await run(cluster, 1)).kind, "done");
    assert.equal(cluster.effects(), before);
  });

  it("a cluster that is not encrypted and is not to be => nothing is changed", async () => {
    const cluster = simulation();
    assert.equal((await run(cluster, "identity")).kind, "done");
    assert.equal(cluster.effects(), 0);
  });

  it("no machine is seen => blocked, because without machines everything would seem proven", async () => {
    const cluster = simulation();
    cluster.state.machines.length = 0;
    const outcome = await run(cluster, 1);
    assert.deepEqual([outcome.kind, cluster.effects()], ["blocked", 0]);
    assert.match(outcome.reason ?? "", /no machine that runs an API server was seen/);
  });

  it("advanceTo each stage in turn => never further than asked, and the last one ends at the goal", async () => {
    const cluster = simulation();
    await run(cluster, 1);
    const seen: string[] = [];
    for (const advanceTo of [RotationStage.Plugin, RotationStage.Read, RotationStage.Write, RotationStage.Verify]) {
      assert.equal((await run(cluster, 2, { advanceTo })).kind, "done");
      seen.push(
        cluster
          .listIn(cluster.state.secret)
          .map((item) => (writerOf([item]) === providerOf(1) ? 1 : 2))
          .join(),
      );
    }
    assert.deepEqual(seen, ["1", "1,2", "2,1", "2,1"]);
    assert.equal((await run(cluster, 2)).kind, "done");
    assertAtGoal(cluster, 2);
  });

  it("a cluster set up by hand after seed 002 => KMS v1 to v2; its plugin and mount stay until nothing needs them, then go", async () => {
    const cluster = simulation({ cluster: seedCluster(), secret: seedConfiguration });
    const secrets: string[] = [];
    for (const advanceTo of [RotationStage.Read, RotationStage.Write, RotationStage.Prune]) {
      const outcome = await run(cluster, 2, { advanceTo });
      assert.equal(outcome.kind, "done", outcome.reason);
      secrets.push(cluster.state.secret ?? "");
      const assets = cluster.state.cluster.spec.fileAssets?.map((asset) => asset.name) ?? [];
      const pruned = advanceTo === RotationStage.Prune;
      assert.equal(assets.includes("aws-encryption-provider.yaml"), !pruned);
      assert.equal(cluster.state.cluster.spec.hooks?.length, pruned ? 1 : 2);
    }
    assert.equal(cluster.rolls(), 4 * 3, "one more roll, because nobody could bring that plugin back before the end");
    const file = join(__dirname, "golden", "adopted-secrets.yaml");
    const text = secrets.join("---\n");
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(file, text);
    assert.equal(text, readFileSync(file, "utf8"));
  });

  it("kills anywhere, machines replaced in any gap, plugins that don't start, goals that change => every invariant held at every step, and the goal reached", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 2 }),
        fc.boolean(),
        fc.array(
          fc.record({
            version: fc.constantFrom<(number | "identity")[]>(1, 2, 3, "identity"),
            killAfter: fc.integer({ min: 0, max: 25 }),
            doesNotStart: fc.boolean(),
          }),
          { maxLength: 6 },
        ),
        fc.constantFrom<(number | "identity")[]>(1, 2, 3, "identity"),
        async (seed, groups, machines, namesHash, killed, last) => {
          const cluster = simulation({
            groups: instanceGroups(groups),
            machines,
            namesHash,
            objects: 4,
            random: randomFrom(seed),
            replacements: 0.1,
          });
          for (const { version, killAfter, doesNotStart } of killed) {
            cluster.faults.killAfter = cluster.effects() + killAfter;
            // Not one that machines came up with before: then there is no other secret to go back to.
            const isNew = version !== "identity" && cluster.state.secret?.includes(endpointOf(version)) !== true;
            if (doesNotStart && isNew) cluster.faults.brokenEndpoint = endpointOf(version);
            await run(cluster, version).catch((thrown: unknown) => {
              if (!(thrown instanceof Killed)) throw thrown;
              cluster.log.push("killed");
            });
            await bringBack(cluster, version);
          }
          cluster.faults.killAfter = Number.POSITIVE_INFINITY;
          let outcome = await run(cluster, last);
          // What a killed run towards another goal has left looks like somebody else's work; what the engine says then helps.
          for (let tries = 0; tries < 2 && outcome.reason?.endsWith(" before this run") === true; tries += 1) {
            await cluster.kops.update(never);
            for (const group of cluster.groups) await cluster.kops.roll(group.name, false, never);
            outcome = await run(cluster, last);
          }
          // A machine that booted into an update that was cut off waits for somebody, and the engine says so.
          if (outcome.kind === "blocked" && outcome.reason?.includes("is not valid") === true) return;
          assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-60).join("\n")}`);
          assertAtGoal(cluster, last);
        },
      ),
      { numRuns: runs },
    );
  });

  it("a plugin that does not come up => its secret goes back, the other machines were not touched, and nothing is lost", async () => {
    const cluster = simulation();
    await run(cluster, 1);
    const running = cluster.state.machines.map((machine) => machine.name);
    const before = cluster.state.secret;
    cluster.faults.brokenEndpoint = endpointOf(2);
    const outcome = await run(cluster, 2);
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /did not join/);
    assert.equal(cluster.state.secret, before);
    assert.equal(cluster.state.machines.filter((machine) => running.includes(machine.name)).length, 2);
    // Somebody terminates the machine; its group makes a new one, which gets what is in the store now.
    for (const machine of cluster.state.machines.filter((other) => !other.up)) {
      cluster.terminate(machine);
      cluster.boot(machine.group);
    }
    cluster.faults.brokenEndpoint = undefined;
    assert.equal((await run(cluster, 2)).kind, "done");
    assertAtGoal(cluster, 2);
  });

  for (const [groups, namesHash, advanceTo, inRoll] of [
    [3, true, RotationStage.Plugin, 1],
    [3, true, RotationStage.Plugin, 2],
    [3, true, RotationStage.Read, 1],
    [3, true, RotationStage.Verify, 2],
    [3, false, RotationStage.Plugin, 1],
    [1, true, RotationStage.Plugin, 1],
    [1, false, RotationStage.Verify, 1],
  ] as const) {
    const where = `${groups} machines${namesHash ? "" : " before 1.34"}, ${advanceTo} before, killed in roll ${inRoll}`;
    it(`killed while kops waits for a machine that does not come up (${where}) => the next run puts the secret of before back, once`, async () => {
      const cluster = simulation({ groups: instanceGroups(groups), namesHash });
      await run(cluster, 1);
      await run(cluster, 2, { advanceTo });
      const before = cluster.state.secret;
      let rolls = 0;
      const { roll } = cluster.kops;
      cluster.kops.roll = async (...request) => {
        // A server that does not say what it has loaded is replaced once more before anything is changed.
        if (cluster.state.secret !== before && (rolls += 1) === inRoll) {
          cluster.faults.brokenSecret = cluster.state.secret;
          await roll(...request);
          throw new Killed("while kops waits for the machine");
        }
        return roll(...request);
      };
      await assert.rejects(run(cluster, 2), Killed);
      cluster.kops.roll = roll;
      assert.notEqual(cluster.state.secret, before);
      const down = cluster.state.machines.filter(({ up }) => !up);
      assert.equal(down.length, 1);
      const outcome = await run(cluster, 2);
      assert.equal(outcome.kind, "blocked");
      assert.match(outcome.reason ?? "", /the cluster is not valid with it: machine i-\d+ has not joined/);
      assert.equal(cluster.state.secret, before);
      // The one of before is not taken for the failed one while the machine is still there.
      for (const machine of cluster.state.machines)
        if (machine.text === cluster.faults.brokenSecret) machine.up = false;
      await run(cluster, 2);
      assert.equal(cluster.state.secret, before);
      for (const machine of cluster.state.machines.filter(({ up }) => !up)) {
        cluster.terminate(machine);
        assert.ok(cluster.boot(machine.group).up);
      }
      cluster.faults.brokenSecret = undefined;
      const last = await run(cluster, 2);
      assert.equal(last.kind, "done", last.reason);
      assertAtGoal(cluster, 2);
    });
  }

  it("a look that fails right after a machine did not come up => looked again, and the secret goes back", async () => {
    const cluster = simulation();
    await run(cluster, 1);
    const before = cluster.state.secret;
    cluster.faults.brokenEndpoint = endpointOf(2);
    const { roll, observe } = cluster.kops;
    let failing = 0;
    cluster.kops.roll = async (...request) => {
      const failure = await roll(...request);
      if (failure !== undefined) failing = 2;
      return failure;
    };
    cluster.kops.observe = async (...request) => {
      if ((failing -= 1) >= 0) throw new KmsEtcdError("invalid-input", "kops get cluster: what nobody has seen yet");
      return observe(...request);
    };
    assert.match((await run(cluster, 2)).reason ?? "", /did not join/);
    assert.equal(cluster.state.secret, before);
  });

  it("a pruned machine that can't read everything => the old key comes back, plugin first, and the run says why", async () => {
    const cluster = simulation();
    await run(cluster, 1);
    cluster.faults.unreadable = "s3";
    const outcome = await run(cluster, 2);
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /1 of 12 objects cannot be read through i-\d+/);
    assert.deepEqual(
      cluster.listIn(cluster.state.secret).map((item) => writerOf([item])),
      [providerOf(2), providerOf(1)],
    );
    cluster.faults.unreadable = undefined;
    assert.equal((await run(cluster, 2)).kind, "done");
    assertAtGoal(cluster, 2);
  });

  it("an object that a webhook refuses => three tries, then the reason; old and new key stay readable; mended => the goal", async () => {
    const cluster = simulation();
    await run(cluster, 1);
    cluster.faults.rejectedObject = "s5";
    const outcome = await run(cluster, 2);
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /could not be written again \(secrets: denied by a webhook\)/);
    assert.equal(cluster.listIn(cluster.state.secret).length, 2);
    cluster.faults.rejectedObject = undefined;
    assert.equal((await run(cluster, 2)).kind, "done");
  });

  it("the secret changed by somebody else during a run => refused, and the difference names providers only", async () => {
    const cluster = simulation();
    await run(cluster, 1);
    const roll = cluster.kops.roll;
    let changed = false;
    cluster.kops.roll = async (...args) => {
      if (!changed) cluster.state.secret = `# by hand\n${cluster.state.secret ?? ""}`;
      changed = true;
      return roll(...args);
    };
    const outcome = await run(cluster, 2);
    assert.equal(outcome.kind, "blocked");
    assert.match(
      outcome.reason ?? "",
      /somebody else has changed the encryptionconfig secret .*the same providers in the same order/,
    );
  });

  it("the store can't be written => blocked with kOps' reason; throttling passes by itself", async () => {
    const cluster = simulation();
    cluster.faults.failNext.push(new KmsEtcdError("permission-denied", "AccessDenied: s3:PutObject"));
    assert.match((await run(cluster, 1)).reason ?? "", /s3:PutObject/);
    for (let index = 0; index < 3; index += 1)
      cluster.faults.failNext.push(new KmsEtcdError("throttled", "Rate exceeded"));
    assert.equal((await run(cluster, 1)).kind, "done");
  });

  it("left out or swapped, any rule that guards something is missed", async () => {
    const without = (name: string): KopsRules => {
      const drop = (rules: KopsRules["repair"]) => rules.filter((rule) => rule.name !== name);
      return {
        repair: drop(kopsRules.repair),
        spec: drop(kopsRules.spec),
        finish: drop(kopsRules.finish),
        progress: drop(kopsRules.progress),
        beside: kopsRules.beside,
        beginning: kopsRules.beginning,
      };
    };
    const noticed: string[] = [];
    for (const name of ["theStoreIsApplied", "everyMachineRunsTheSecret", "everyObjectIsRewritten"]) {
      for (let seed = 1; seed <= 20 && !noticed.includes(name); seed += 1) {
        const cluster = simulation({ random: randomFrom(seed), objects: 5, replacements: 0.1 });
        try {
          await run(cluster, 1, {}, without(name));
          const outcome = await run(cluster, 2, {}, without(name));
          if (outcome.kind !== "done") noticed.push(name);
        } catch (thrown) {
          if (!(thrown instanceof InvariantBroken)) throw thrown;
          noticed.push(name);
        }
      }
    }
    assert.deepEqual(noticed, ["theStoreIsApplied", "everyMachineRunsTheSecret", "everyObjectIsRewritten"]);
  });
});
