import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { KmsEtcdError } from "../../../../core/errors";
import { type KopsAloneOptions, runKopsAlone } from "../../../../rotation/adapters/kops/run-kops-alone";
import type { Clock } from "../../../../rotation/clock";
import type { EngineLease, LeaseRecord } from "../../../../rotation/engine-lease";
import { randomFrom } from "../../random";
import { awsPlugin, instanceGroups, kopsGoal } from "./kops-goals";
import { Killed, type SimulatedKops, simulateKops } from "./simulated-kops";

const never = new AbortController().signal;
const brokenEndpoint = `unix:///srv/kubernetes/kube-apiserver/kms-etcd/${awsPlugin(2).socketFile}`;

describe("the kOps engine and the Lease", function () {
  this.timeout(60_000);

  /** A Lease that is kept by the cluster's own API servers: there while one of them is up. */
  function world(groups: number) {
    const cluster = simulateKops({ groups: instanceGroups(groups), machines: 1, objects: 3, random: randomFrom(7) });
    const kept = { record: undefined as LeaseRecord | undefined, isRefused: false };
    const clock: Clock = {
      now: cluster.clock.now,
      async sleep(milliseconds, signal) {
        await cluster.clock.sleep(milliseconds, signal);
        // Whoever keeps the Lease has its turn.
        for (let turns = 0; turns < 5; turns += 1) await turn();
      },
    };
    const patient: Clock = {
      now: clock.now,
      async sleep(milliseconds, signal) {
        const until = clock.now() + milliseconds;
        while (clock.now() < until && !signal.aborted) await turn();
      },
    };
    function asked(): void {
      if (kept.isRefused || !cluster.state.machines.some(({ up }) => up)) {
        throw new KmsEtcdError("unreachable", "connection refused");
      }
    }
    const lease: EngineLease = {
      async read() {
        asked();
        return kept.record && { ...kept.record, now: clock.now() };
      },
      async write(expected, holder) {
        asked();
        if (expected?.version !== kept.record?.version) return undefined;
        const now = clock.now();
        const version = `${Number(kept.record?.version ?? 0) + 1}`;
        kept.record = { holder, acquiredAt: now, renewedAt: now, duration: 15_000, now, version };
        return kept.record;
      },
      async remove() {
        asked();
        kept.record = undefined;
      },
      close: async () => undefined,
    };
    const { kops, stored } = cluster;
    const { observe } = kops;
    // As with the real kops: a look takes a while, and one that is stopped ends with an error.
    kops.observe = async (signal) => {
      for (let turns = 0; turns < 5; turns += 1) await turn();
      if (signal.aborted) throw new KmsEtcdError("cancelled", "kops get cluster was stopped");
      return observe(signal);
    };
    const identity = { holder: "this engine", isAlive: (holder: string) => (holder === "another" ? undefined : false) };
    const run = (version: number, more: Partial<KopsAloneOptions> = {}) =>
      runKopsAlone({
        ...{ goal: kopsGoal(version), kops, stored, clock, signal: never, onEvent: () => undefined },
        alone: { lease, identity, clock: patient },
        ...more,
      });
    return { cluster, kept, run };
  }

  function revive({ state, terminate, boot }: SimulatedKops): void {
    for (const machine of state.machines.filter(({ up }) => !up)) {
      terminate(machine);
      assert.ok(boot(machine.group).up);
    }
  }

  for (const isKilled of [false, true]) {
    const when = isKilled ? ", and the engine is killed then" : "";
    it(`the only control plane does not come up with the new secret${when} => the one of before goes back without the Lease, and nothing else is done`, async () => {
      const { cluster, run } = world(1);
      assert.equal((await run(1)).kind, "done");
      const before = cluster.state.secret;
      cluster.faults.brokenEndpoint = brokenEndpoint;
      const { roll } = cluster.kops;
      cluster.kops.roll = async (...request) => {
        const failure = await roll(...request);
        // It waits for longer than the Lease holds.
        for (let second = 0; second < 20; second += 1) {
          await cluster.clock.sleep(1_000, never);
          for (let turns = 0; turns < 5; turns += 1) await turn();
        }
        if (isKilled && failure !== undefined) throw new Killed("while kops waits for the machine");
        return failure;
      };
      if (isKilled) await assert.rejects(run(2), Killed);
      const outcome = await run(2);
      assert.equal(outcome.kind, "blocked");
      assert.match(outcome.reason ?? "", /secret of before is back; only repairs are done without the Lease .*refused/);
      assert.match(outcome.remedy ?? "", /^terminate the machine/);
      assert.equal(cluster.state.secret, before);
      revive(cluster);
      cluster.faults.brokenEndpoint = undefined;
      const next = await run(2);
      assert.equal(next.kind, "done", next.reason);
    });
  }

  it("the Lease can't be had and nothing is to be repaired => blocked before anything; with withoutLease it is done", async () => {
    const { cluster, kept, run } = world(2);
    kept.isRefused = true;
    const outcome = await run(1);
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /^only repairs are done without the Lease/);
    assert.equal(cluster.effects(), 0);
    assert.equal((await run(1, { withoutLease: true })).kind, "done");
  });

  it("the Lease comes back within a minute => waited for, and gone on with", async () => {
    const { cluster, kept, run } = world(2);
    const { roll } = cluster.kops;
    let until = 0;
    cluster.kops.roll = async (...request) => {
      const failure = await roll(...request);
      if (until === 0) {
        kept.isRefused = true;
        await cluster.clock.sleep(20_000, never);
        until = cluster.clock.now() + 20_000;
      }
      return failure;
    };
    const { observe } = cluster.kops;
    cluster.kops.observe = async (...request) => {
      if (until > 0 && cluster.clock.now() > until) kept.isRefused = false;
      return observe(...request);
    };
    const { sleep } = cluster.clock;
    cluster.clock.sleep = async (...request) => {
      await sleep(...request);
      if (until > 0 && cluster.clock.now() > until) kept.isRefused = false;
    };
    const outcome = await run(1);
    assert.equal(outcome.kind, "done", outcome.reason);
    assert.ok(until > 0);
  });

  for (const moment of ["in a roll", "in a look", "before the first look of the run"]) {
    it(`stopped ${moment} => cancelled, with what was seen last`, async () => {
      const { cluster, run } = world(2);
      assert.equal((await run(1)).kind, "done");
      const stop = new AbortController();
      const { roll, observe } = cluster.kops;
      let looks = 0;
      cluster.kops.roll = async (group, force, signal) => {
        const failure = await roll(group, force, signal);
        if (moment === "in a roll") stop.abort();
        return failure;
      };
      cluster.kops.observe = async (signal) => {
        looks += 1;
        if ((moment === "in a look" && looks === 4) || (moment.startsWith("before") && looks === 2)) stop.abort();
        return observe(signal);
      };
      const outcome = await run(2, { signal: stop.signal });
      assert.equal(outcome.kind, "cancelled", outcome.reason);
      assert.match(outcome.reason ?? "", /^stopped /);
      assert.equal(outcome.observed.machines.length, 2);
      cluster.kops.roll = roll;
      cluster.kops.observe = observe;
      assert.equal((await run(2)).kind, "done");
    });
  }

  it("another engine takes the Lease in the middle => cancelled, and it is said who", async () => {
    const { cluster, kept, run } = world(2);
    const { roll } = cluster.kops;
    cluster.kops.roll = async (...request) => {
      const failure = await roll(...request);
      const now = cluster.clock.now();
      kept.record = { holder: "another", acquiredAt: now, renewedAt: now, duration: 15_000, now, version: "other" };
      for (let second = 0; second < 6; second += 1) {
        await cluster.clock.sleep(1_000, never);
        for (let turns = 0; turns < 5; turns += 1) await turn();
      }
      return failure;
    };
    const outcome = await run(1);
    assert.equal(outcome.kind, "cancelled");
    assert.match(outcome.reason ?? "", /because another has taken over/);
  });
});
