import assert from "node:assert/strict";
import { RotationStage } from "../../core/rotation-stage";
import { defaultLimits } from "../../rotation/goal";
import { planRotation } from "../../rotation/plan";
import { runRotation } from "../../rotation/run";
import { goalFor, keyVersion } from "./goals";
import { randomFrom } from "./random";
import { plaintextStart, type SimulatedCluster, type SimulationOptions, simulateCluster } from "./simulated-cluster";
import { configHash } from "./simulated-host";

function enabledCluster(more: Partial<SimulationOptions> = {}): SimulatedCluster {
  return simulateCluster({ hosts: 3, reload: "hot", objects: 10, random: randomFrom(3), ...more });
}

async function run(cluster: SimulatedCluster, version: number | "identity", more: Parameters<typeof goalFor>[2] = {}) {
  return runRotation({
    goal: goalFor(
      version,
      cluster.hosts.map((host) => host.name),
      more,
    ),
    fleet: cluster.fleet,
    stored: cluster.stored,
    clock: cluster.clock,
    onEvent: (event) => cluster.log.push(`        ${event.stage} ${event.kind}: ${event.message}`),
    signal: new AbortController().signal,
  });
}

const waits = (cluster: SimulatedCluster) => cluster.log.filter((line) => line.includes(" waiting: ")).join("\n");
const loadedHashes = (cluster: SimulatedCluster) => cluster.hosts.map((host) => configHash(host.loaded));
const fileHashes = (cluster: SimulatedCluster) => cluster.hosts.map((host) => configHash(host.config));

describe("the engine when something fails", function () {
  this.timeout(60_000);
  it("plugin that is down => waits naming host and plugin, then stops with no file touched; goes on when it is back", async () => {
    const cluster = enabledCluster();
    await run(cluster, 1);
    const before = fileHashes(cluster);
    const target = cluster.hosts[1];
    target?.plugins.set(keyVersion(2).name, {
      startedAt: cluster.clock.now(),
      material: "local-2",
      image: "first",
      runs: { image: "first", since: 0 },
      answered: false,
      broken: true,
      socketMissing: false,
    });
    const outcome = await run(cluster, 2);
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /kms-etcd-[0-9a-f]{12} on cp2: socket does not answer/);
    assert.match(
      outcome.remedy ?? "",
      /log of kms-etcd-[0-9a-f]{12} on cp2.*an image that the host cannot get.*correct them/,
    );
    assert.match(waits(cluster), /on cp2: socket does not answer/);
    assert.deepEqual(fileHashes(cluster), before, "no configuration was written");
    target?.plugins.delete(keyVersion(2).name);
    assert.equal((await run(cluster, 2)).kind, "done");
  });

  it("plugin with another key than its siblings => refused by the crosswise proof before any configuration names it", async () => {
    const cluster = enabledCluster();
    await run(cluster, 1);
    const before = fileHashes(cluster);
    cluster.faults.wrongKeyOn = "cp3";
    const outcome = await run(cluster, 2);
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /do not hold the same key/);
    assert.deepEqual(fileHashes(cluster), before);
  });

  it("server that does not load => waits naming server and hash, puts the loaded file back, stops; the next run goes on", async () => {
    for (const stage of ["READ", "WRITE", "PRUNE"]) {
      const cluster = enabledCluster();
      await run(cluster, 1, stage === "READ" ? {} : { advanceTo: RotationStage.Prune });
      if (stage === "WRITE") await run(cluster, 2, { advanceTo: RotationStage.Read });
      if (stage === "PRUNE") await run(cluster, 2, { advanceTo: RotationStage.Verify });
      const before = loadedHashes(cluster);
      const target = cluster.hosts[0];
      if (target === undefined) throw new Error("no host");
      target.refusesToLoad = true;
      const outcome = await run(cluster, 2);
      assert.equal(outcome.kind, "blocked", stage);
      assert.match(
        outcome.reason ?? "",
        /cp1 did not load sha256:[0-9a-f]{64} within 150 s \(simulated still says sha256:/,
        stage,
      );
      assert.match(waits(cluster), /cp1 to load sha256:/, stage);
      assert.equal(
        configHash(target.config),
        before[0],
        `${stage}: the loaded file is back in place on the server that failed`,
      );
      assert.equal(configHash(target.loaded), before[0]);
      cluster.advance(120_000);
      cluster.checkReadable("after the failed gate");
      target.refusesToLoad = false;
      assert.equal((await run(cluster, 2)).kind, "done", stage);
    }
  });

  it("server that is down => nothing moves, then a reason and a remedy that name it", async () => {
    for (const [reload, unseen] of [
      ["hot", false],
      ["restart", false],
      ["hot", true],
      ["restart", true],
    ] as const) {
      const cluster = enabledCluster({ reload });
      await run(cluster, 1);
      const before = fileHashes(cluster);
      const target = cluster.hosts[2];
      if (target === undefined) throw new Error("no host");
      target.unseen = unseen;
      target.downUntil = Number.POSITIVE_INFINITY;
      const outcome = await run(cluster, 2);
      assert.equal(outcome.kind, "blocked");
      assert.match(outcome.reason ?? "", /cp3: cannot be reached: connection refused/);
      assert.match(outcome.remedy ?? "", /bring cp3 back/);
      assert.deepEqual(fileHashes(cluster), before);
      target.downUntil = cluster.clock.now();
      assert.equal((await run(cluster, 2)).kind, "done");
    }
  });

  it("server that dies after it had restarted as it was asked to => it has its full time, in this run and in the next", async () => {
    const cluster = enabledCluster({ reload: "restart" });
    await run(cluster, 1);
    const target = cluster.hosts[2];
    if (target === undefined) throw new Error("no host");
    // Nobody can say any more that the restart was made: the host is seen, the server is not.
    target.restartRequestedAt = cluster.clock.now();
    cluster.advance(defaultLimits.restart - 5_000);
    target.downUntil = cluster.clock.now() + 60_000;
    assert.equal((await run(cluster, 2)).kind, "done", cluster.log.slice(-20).join("\n"));
  });

  it("live server that is not listed => refused before anything is done", async () => {
    const cluster = enabledCluster();
    cluster.unlisted.push("cp4");
    const outcome = await run(cluster, 1);
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /cp4 is live but not listed/);
    assert.equal(cluster.effects(), 0);
  });

  it("object that cannot be rewritten => tried again, then stops with old and new key readable everywhere", async () => {
    const cluster = enabledCluster({ clients: false });
    await run(cluster, 1);
    cluster.faults.rejectedObject = "s4";
    const outcome = await run(cluster, 2);
    assert.equal(outcome.kind, "blocked");
    assert.equal(outcome.stage, RotationStage.Rewrite);
    assert.match(outcome.reason ?? "", /1 object could not be written again \(secrets: denied by a webhook\)/);
    for (const host of cluster.hosts) assert.equal(cluster.listFor(host.loaded).length, 2);
    cluster.faults.rejectedObject = undefined;
    assert.equal((await run(cluster, 2)).kind, "done");
  });

  it("single server without automatic reload => the plan says that the API is away", async () => {
    const cluster = enabledCluster({ hosts: 1, reload: "restart" });
    const plan = await planRotation({
      goal: goalFor(1, ["cp1"]),
      fleet: cluster.fleet,
      stored: cluster.stored,
      signal: new AbortController().signal,
    });
    assert.ok(plan.warnings.some((warning) => warning.includes("the API is away")));
    assert.equal(
      plan.stages.reduce((sum, stage) => sum + stage.restarts, 0),
      3,
    );
  });

  it("plan lists what the run then does, and is empty afterwards", async () => {
    const cluster = enabledCluster();
    const goal = goalFor(1, ["cp1", "cp2", "cp3"]);
    const options = { goal, fleet: cluster.fleet, stored: cluster.stored, signal: new AbortController().signal };
    const plan = await planRotation(options);
    assert.deepEqual(
      plan.stages.map((stage) => [stage.stage, stage.servers.length, stage.restarts]),
      [
        ["Plugin", 3, 0],
        ["Read", 3, 0],
        ["Write", 3, 0],
        ["Rewrite", 0, 0],
        ["Prune", 3, 0],
      ],
    );
    assert.equal(plan.stages.find((stage) => stage.stage === RotationStage.Rewrite)?.objects, 10);
    await run(cluster, 1);
    const after = await planRotation(options);
    assert.equal(after.changes, false);
    assert.equal(after.blocked, undefined);
  });

  it("advanceTo holds the cluster at each stage, and the next run goes on from there", async () => {
    const cluster = enabledCluster();
    for (const stage of Object.values(RotationStage)) {
      const outcome = await run(cluster, 1, { advanceTo: stage });
      assert.deepEqual([outcome.kind, outcome.stage], ["done", stage]);
    }
    assert.ok(cluster.hosts.every((host) => cluster.listFor(host.loaded).length === 1));
  });

  it("allowPlaintextReads keeps identity as the last reader", async () => {
    const cluster = enabledCluster();
    assert.equal((await run(cluster, 1, { allowPlaintextReads: true })).kind, "done");
    for (const host of cluster.hosts)
      assert.deepEqual(
        cluster.listFor(host.loaded).map((item) => item.kind),
        ["kms", "identity"],
      );
  });

  it("file that someone edited by hand on one server => its list is brought back to the goal", async () => {
    const cluster = enabledCluster();
    await run(cluster, 1);
    const target = cluster.hosts[1];
    if (target === undefined) throw new Error("no host");
    target.config = {
      blocks: [{ resources: ["secrets"], providers: [...cluster.listFor(target.config), { kind: "identity" }] }],
    };
    target.writtenAt = cluster.clock.now();
    assert.equal((await run(cluster, 1)).kind, "done");
    assert.equal(new Set(loadedHashes(cluster)).size, 1);
  });

  it("file that somebody spoils => the server gets back what it has loaded, and the rotation goes on", async () => {
    const cluster = enabledCluster();
    await run(cluster, 1);
    for (const target of cluster.hosts.slice(0, 2)) target.garbage = "sha256:00";
    assert.equal((await run(cluster, 2)).kind, "done");
    assert.ok(cluster.hosts.every((host) => host.garbage === undefined));
  });

  it("file that cannot be read => blocked, with the reason and what to do, and nothing was changed", async () => {
    const cluster = enabledCluster();
    await run(cluster, 1);
    const before = cluster.effects();
    const { observe } = cluster.fleet;
    const outcome = await runRotation({
      goal: goalFor(2, ["cp1", "cp2", "cp3"]),
      fleet: {
        ...cluster.fleet,
        observe: async (signal) => {
          const seen = await observe(signal);
          const fileProblem = { reason: "cannot read /etc/config: EACCES", hash: undefined };
          return { ...seen, servers: seen.servers.map((server) => ({ ...server, file: undefined, fileProblem })) };
        },
      },
      stored: cluster.stored,
      clock: cluster.clock,
      onEvent: () => undefined,
      signal: new AbortController().signal,
    });
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /the encryption configuration of cp1 cannot be used: .*EACCES/);
    assert.equal(cluster.effects(), before);
  });

  /** A run that ends right after cp1's file was written, and a process that dies then and cannot start with it. */
  async function stuckCluster(): Promise<SimulatedCluster> {
    const cluster = enabledCluster({ reload: "restart" });
    await run(cluster, 1);
    const paused = await runRotation({
      goal: goalFor(2, ["cp1", "cp2", "cp3"]),
      fleet: cluster.fleet,
      stored: cluster.stored,
      clock: cluster.clock,
      onEvent: () => undefined,
      signal: new AbortController().signal,
      maxActions: 4,
    });
    assert.equal(paused.kind, "paused");
    const [stuck] = cluster.hosts;
    if (stuck === undefined) throw new Error("no host");
    assert.equal(cluster.listFor(stuck.config).length, 2);
    stuck.refusesToLoad = true;
    stuck.downUntil = cluster.clock.now() + 1_000;
    cluster.advance(10_000);
    return cluster;
  }

  it("killed after the write, and the server cannot start with the file => a later run goes back, and says why", async () => {
    const cluster = await stuckCluster();
    const outcome = await run(cluster, 2);
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /cp1 did not become ready with sha256:.*connection refused/);
    const [stuck] = cluster.hosts;
    assert.equal(stuck?.downUntil, 0, "it runs again");
    assert.equal(cluster.listFor(stuck.config).length, 1);
    stuck.refusesToLoad = false;
    assert.equal((await run(cluster, 2)).kind, "done");
  });

  it("what a record says is older than what the others write => not gone back to: nobody could read that", async () => {
    const cluster = enabledCluster({ reload: "restart" });
    await run(cluster, 1);
    const old = cluster.hosts[0]?.config;
    await run(cluster, 2, { advanceTo: RotationStage.Write });
    const [away] = cluster.hosts;
    if (away === undefined || old === undefined) throw new Error("no host");
    away.backups.set(configHash(old), old);
    away.record = { written: configHash(away.config), replaced: "", loaded: configHash(old) };
    away.downUntil = Number.POSITIVE_INFINITY;
    const before = fileHashes(cluster);
    assert.equal((await run(cluster, 2)).kind, "blocked");
    assert.deepEqual(fileHashes(cluster), before);
  });

  it("an etcd that is restored right after the look that proved everything => the proof is void, and nothing is pruned on it", async () => {
    const cluster = enabledCluster({ clients: false });
    await run(cluster, 1);
    const restore = cluster.snapshot();
    await run(cluster, 2, { advanceTo: RotationStage.Verify });
    const { measure } = cluster.stored;
    let restored = false;
    const outcome = await runRotation({
      goal: goalFor(2, ["cp1", "cp2", "cp3"]),
      fleet: cluster.fleet,
      stored: {
        ...cluster.stored,
        measure: async (...request) => {
          const proof = await measure(...request);
          if (!restored) restore();
          restored = true;
          return proof;
        },
      },
      clock: cluster.clock,
      onEvent: () => undefined,
      signal: new AbortController().signal,
    });
    assert.equal(outcome.kind, "done", outcome.reason);
    assert.ok([...cluster.objects.values()].every((object) => object.keyId === "local-2"));
    assert.deepEqual([outcome.evidence.complete, outcome.evidence.etcd?.clusterId], [true, "1"]);
  });

  it("plan through the API => counts, writes nothing, and foretells no rewrite where only the goal's key is left", async () => {
    const cluster = enabledCluster();
    const stored = {
      ...cluster.stored,
      measure: () => assert.fail("a plan must change nothing"),
      count: async (targets: readonly { resource: string }[], servers: never) => ({
        ...{ method: "counted" as const, startedAt: 0, finishedAt: 0, servers },
        resources: targets.map(({ resource }) => ({ resource, objects: 7, bytes: 0, keys: [], unknown: 7 })),
      }),
    };
    const planned = (version: number) => {
      const goal = goalFor(version, ["cp1", "cp2", "cp3"]);
      return planRotation({
        goal,
        fleet: cluster.fleet,
        stored,
        signal: new AbortController().signal,
      });
    };
    const enable = await planned(1);
    assert.equal(enable.stages.find(({ stage }) => stage === RotationStage.Rewrite)?.objects, 7);
    await run(cluster, 1);
    assert.equal((await planned(1)).changes, false);
    assert.equal((await planned(2)).stages.find(({ stage }) => stage === RotationStage.Rewrite)?.objects, 7);
  });

  it("a snapshot that is wanted, and no way to etcd => stops before anything leaves a configuration", async () => {
    const cluster = enabledCluster();
    await run(cluster, 1);
    const outcome = await run(cluster, 2, { etcdSnapshot: { directory: "/none" } });
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /etcdSnapshot is given, but there is no way to this cluster's etcd/);
    for (const host of cluster.hosts) assert.equal(cluster.listFor(host.loaded).length, 2);
  });

  it("stored objects need a retired key => blocked, and its version is to be taken out of the list", async () => {
    const cluster = enabledCluster();
    await run(cluster, 1);
    const restore = cluster.snapshot();
    await run(cluster, 2);
    restore();
    const outcome = await run(cluster, 2, { retired: [keyVersion(1).name] });
    assert.equal(outcome.kind, "blocked");
    assert.match(
      outcome.reason ?? "",
      /need kms\/v2\/kms-etcd-[0-9a-f]{12}, whose key \(local key local-1\) has been retired/,
    );
    assert.match(outcome.remedy ?? "", /retireKeyVersions/);
    assert.equal((await run(cluster, 2)).kind, "done");
  });

  it("objects under a name that no configuration has, with the key_id of a declared key => read by that key again", async () => {
    const cluster = enabledCluster({ clients: false });
    await run(cluster, 2);
    cluster.restore("s1", "kms/v2/made-by-somebody", "local-1");
    assert.equal((await run(cluster, 2)).kind, "done");
    assert.equal(cluster.objects.get("s1")?.keyId, "local-2");
  });

  it("signal => stops as cancelled, with everything readable", async () => {
    const cluster = enabledCluster();
    const controller = new AbortController();
    const outcome = await runRotation({
      goal: goalFor(1, ["cp1", "cp2", "cp3"]),
      fleet: cluster.fleet,
      stored: cluster.stored,
      clock: cluster.clock,
      onEvent: (event) => event.stage === RotationStage.Write && controller.abort(),
      signal: controller.signal,
    });
    assert.equal(outcome.kind, "cancelled");
    assert.equal((await run(cluster, 1)).kind, "done");
  });

  for (const reload of ["hot", "restart"] as const) {
    for (const stage of [RotationStage.Read, RotationStage.Write, RotationStage.Rewrite, RotationStage.Verify]) {
      it(`somebody puts an older file back on a ${reload} server after ${stage} => mended before it is loaded`, async () => {
        for (const older of ["the one from before", "plaintext"] as const) {
          // The simulated cluster throws as soon as a server has loaded what cannot read everything.
          const cluster = enabledCluster({ reload });
          await run(cluster, 1);
          const [before] = cluster.hosts.map((host) => host.config);
          await run(cluster, 2, { advanceTo: stage });
          const target = cluster.hosts[1];
          if (target === undefined || before === undefined) throw new Error("three hosts");
          target.config = older === "plaintext" ? plaintextStart : before;
          target.writtenAt = cluster.clock.now();
          // Time for the engine to be there first: an edit that is loaded before anybody looks is beyond it.
          target.nextPoll = cluster.clock.now() + 30_000;
          const outcome = await run(cluster, 2);
          assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
        }
      });
    }
  }

  it("servers cannot be discovered for a while, late in a run => waits; for good => stops, saying why", async () => {
    for (const [lastsFor, kind] of [
      [60_000, "done"],
      [Number.POSITIVE_INFINITY, "blocked"],
    ] as const) {
      const cluster = enabledCluster();
      const begun = cluster.clock.now();
      // Later than the limit counts from the start of the run: it counts from the problem.
      const from = begun + 150_000;
      const observe = cluster.fleet.observe.bind(cluster.fleet);
      cluster.fleet.observe = async (signal) => {
        const seen = await observe(signal);
        const now = cluster.clock.now();
        return now < from || now > from + lastsFor ? seen : { ...seen, discoveryProblem: "Leases cannot be read" };
      };
      const outcome = await run(cluster, 1);
      assert.equal(outcome.kind, kind, outcome.reason);
      assert.ok(cluster.clock.now() > from);
      assert.match(waits(cluster), /waiting for Leases cannot be read/);
      if (kind === "blocked") {
        assert.match(outcome.reason ?? "", /live API servers cannot be discovered: Leases cannot be read/);
        assert.ok(cluster.clock.now() - from > 120_000);
      }
    }
  });

  for (const reload of ["hot", "restart"] as const) {
    it(`the new key is disabled while ${reload} servers take it up => stops, saying so; goes on once it is enabled`, async () => {
      const cluster = enabledCluster({ reload });
      await run(cluster, 1);
      await run(cluster, 2, { advanceTo: RotationStage.Read });
      const setKey = (broken: boolean) => {
        for (const host of cluster.hosts) for (const plugin of host.plugins.values()) plugin.broken = broken;
      };
      const { restart, writeConfig } = cluster.fleet;
      // In the middle of the restart: the server has never been ready with the file that it starts with.
      cluster.fleet.restart = async (server) => {
        await restart(server);
        setKey(true);
      };
      cluster.fleet.writeConfig = async (write) => {
        await writeConfig(write);
        if (reload === "hot") setKey(true);
      };
      const outcome = await run(cluster, 2);
      assert.equal(outcome.kind, "blocked");
      assert.match(outcome.reason ?? "", /socket does not answer|kms-providers|did not load/);
      setKey(false);
      Object.assign(cluster.fleet, { restart, writeConfig });
      const next = await run(cluster, 2);
      assert.equal(next.kind, "done", `${next.reason}\n${cluster.log.slice(-30).join("\n")}`);
    });
  }

  it("a host of which nothing can be seen for a while => nothing is done on it; then it goes on", async () => {
    for (const reload of ["hot", "restart"] as const) {
      const cluster = enabledCluster({ reload });
      await run(cluster, 1);
      await run(cluster, 2, { advanceTo: RotationStage.Read });
      const target = cluster.hosts[1];
      if (target === undefined) throw new Error("three hosts");
      const since = cluster.log.length;
      target.unseen = true;
      target.downUntil = cluster.clock.now() + 60_000;
      const outcome = await run(cluster, 2);
      assert.equal(outcome.kind, "done", outcome.reason);
      const restored = cluster.log.slice(since).filter((line) => line.includes("put the loaded configuration back"));
      assert.deepEqual(restored, []);
    }
  });

  it("somebody edits a file half-way through PRUNE so that it writes the old key again => mended before it is loaded", async () => {
    const cluster = enabledCluster({ reload: "restart" });
    await run(cluster, 1);
    const [before] = cluster.hosts.map((host) => host.config);
    await run(cluster, 2, { advanceTo: RotationStage.Verify });
    let edited = false;
    const restart = cluster.fleet.restart.bind(cluster.fleet);
    cluster.fleet.restart = async (server) => {
      await restart(server);
      const other = cluster.hosts.find((host) => host.name !== server);
      if (edited || other === undefined || before === undefined) return;
      edited = true;
      other.config = before;
      other.writtenAt = cluster.clock.now();
    };
    const outcome = await run(cluster, 2);
    assert.ok(edited);
    assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
  });
});
