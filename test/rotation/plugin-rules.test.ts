import assert from "node:assert/strict";
import { restrictedDecide } from "../../rotation/cli/restricted-decide";
import { decide } from "../../rotation/decide";
import type { Fleet } from "../../rotation/fleet";
import { planRotation } from "../../rotation/plan";
import { runRotation } from "../../rotation/run";
import { goalFor, keyVersion } from "./goals";
import { observationOf } from "./observation-of";
import { randomFrom } from "./random";
import { type SimulatedCluster, simulateCluster } from "./simulated-cluster";

describe("plugins that run with other settings than are wanted", () => {
  const signal = new AbortController().signal;
  const { name } = keyVersion(1);
  const goal = goalFor(1, ["cp1", "cp2", "cp3"]);

  const run = ({ fleet, stored, clock, log }: SimulatedCluster) =>
    runRotation({ goal, fleet, stored, clock, signal, onEvent: ({ message }) => log.push(message) });
  const plan = ({ fleet, stored }: SimulatedCluster) => planRotation({ goal, fleet, stored, signal });
  const images = ({ hosts }: SimulatedCluster) => hosts.map((host) => host.plugins.get(name)?.runs?.image);

  const fleetStart = ({ fleet }: SimulatedCluster) => fleet.startPlugin("cp1", keyVersion(1));

  async function atTheGoal(): Promise<SimulatedCluster> {
    const cluster = simulateCluster({ hosts: 3, reload: "restart", objects: 5, random: randomFrom(3) });
    assert.equal((await run(cluster)).kind, "done");
    return cluster;
  }

  it("the plan has each host, and no restart of an API server, also where only the plugins know the key's id", async () => {
    const cluster = await atTheGoal();
    cluster.changeKeyInPlace("local-1", "as the cloud spells it");
    assert.equal((await run(cluster)).kind, "done");
    cluster.faults.image = "second";
    const { stages, warnings } = await plan(cluster);
    assert.deepEqual(
      stages.map(({ stage, servers, restarts, summary }) => ({ stage, servers, restarts, summary })),
      [
        {
          stage: "Plugin",
          servers: ["cp1", "cp2", "cp3"],
          restarts: 0,
          summary: `${name} on cp1 runs with other settings than are wanted (image)`,
        },
      ],
    );
    assert.deepEqual(warnings, []);
  });

  it("one after the other; each runs anew and is tried crosswise before the next", async () => {
    const cluster = await atTheGoal();
    cluster.faults.image = "second";
    const before = cluster.log.length;
    const restarts = cluster.restarts();
    assert.equal((await run(cluster)).kind, "done");
    assert.deepEqual(images(cluster), ["second", "second", "second"]);
    assert.equal(cluster.restarts(), restarts);
    const said = cluster.log.slice(before).map((line) => line.replace(/^\d+ /, ""));
    const crosswise = `try ${name} crosswise on cp1, cp2, cp3`;
    const each = (host: string) => [`${host}: start ${name}`, `${host} runs ${name} with the image second`, crosswise];
    assert.deepEqual(
      said.filter((line) => line === crosswise || line.includes("image second") || line.startsWith("cp")),
      [crosswise, ...each("cp1"), ...each("cp2"), ...each("cp3")],
    );
  });

  it("one that somebody has edited stays, and the plan says so", async () => {
    const cluster = await atTheGoal();
    cluster.faults.image = "second";
    const observe = async (...input: Parameters<typeof cluster.fleet.observe>) => {
      const seen = await cluster.fleet.observe(...input);
      const edited = { differences: ["spec.hostNetwork"], isEdited: true };
      const servers = seen.servers.map((server) => ({
        ...server,
        plugins: server.plugins.map((plugin) => ({ ...plugin, outdated: edited })),
      }));
      return { ...seen, servers };
    };
    const theirs = { ...cluster, fleet: { ...cluster.fleet, observe } };
    const { changes, warnings } = await plan(theirs);
    assert.equal(changes, false);
    assert.equal(
      warnings[0],
      `${name} on cp1 was edited by hand (spec.hostNetwork) and stays as it is: take its file away to have it written anew`,
    );
    assert.equal((await run(theirs)).kind, "done");
    assert.deepEqual(images(cluster), ["first", "first", "first"]);
  });

  it("turned off with other settings in the same run => the last plugin is waited for, and tried, before any server restarts", async () => {
    const cluster = await atTheGoal();
    cluster.faults.image = "second";
    const before = cluster.log.length;
    const { fleet, stored, clock, log } = cluster;
    const off = { ...goal, writer: "identity" as const };
    const onEvent = ({ message }: { readonly message: string }) => log.push(message);
    assert.equal((await runRotation({ goal: off, fleet, stored, clock, signal, onEvent })).kind, "done");
    const said = cluster.log.slice(before);
    const last = said.findIndex((line) => line.endsWith(`cp3 runs ${name} with the image second`));
    const tried = said.lastIndexOf(`try ${name} crosswise on cp1, cp2, cp3`);
    const written = said.findIndex((line) => line.includes("engine: write"));
    assert.ok(last >= 0 && last < tried && tried < written, said.join("\n"));
  });

  it("verify proves what is stored, whatever the plugins' settings", async () => {
    const cluster = await atTheGoal();
    cluster.faults.image = "second";
    const { fleet, stored, clock } = cluster;
    const { decide, pending } = restrictedDecide([], "run rotate");
    const outcome = await runRotation({ goal, fleet, stored, clock, signal, decide, onEvent: () => undefined });
    assert.deepEqual([outcome.kind, outcome.evidence.complete, pending()], ["done", true, undefined]);
    assert.deepEqual(images(cluster), ["first", "first", "first"]);
  });

  it("a plan right after a host was given its settings => the other hosts, as the run has them", async () => {
    const cluster = await atTheGoal();
    cluster.faults.image = "second";
    await fleetStart(cluster);
    const patient = { ...goal, limits: { ...goal.limits, plugin: 900_000 } };
    const { stages } = await planRotation({ goal: patient, fleet: cluster.fleet, stored: cluster.stored, signal });
    assert.deepEqual(
      stages.map(({ servers }) => servers),
      [["cp2", "cp3"]],
    );
  });

  it("settings that do not work stop at the first host; a run with those of before mends it and touches no other", async () => {
    const cluster = await atTheGoal();
    cluster.faults.image = "broken";
    const { kind, reason, remedy } = await run(cluster);
    assert.equal(kind, "blocked");
    assert.match(`${reason}`, new RegExp(`^cp1: /readyz says no: kms-providers; ${name}: socket does not answer$`));
    assert.match(`${remedy}`, /bring cp1 back/);
    assert.deepEqual(images(cluster), ["broken", "first", "first"]);
    cluster.faults.image = "first";
    const before = cluster.log.length;
    assert.equal((await run(cluster)).kind, "done");
    assert.deepEqual(images(cluster), ["first", "first", "first"]);
    const starts = cluster.log.slice(before).filter((line) => line.includes("engine: start"));
    assert.equal(starts.length, 1, starts.join("\n"));
  });
});

describe("plugins that are written down on a host, and that nothing runs", () => {
  const signal = new AbortController().signal;
  const servers = ["cp1", "cp2", "cp3"];

  it("no configuration names it => it is removed, also by an engine that has nothing else to do; the plan has it", async () => {
    const cluster = simulateCluster({ hosts: 3, reload: "hot", objects: 5, random: randomFrom(3) });
    const { stored, clock } = cluster;
    const goal = goalFor(1, servers);
    assert.equal(
      (await runRotation({ goal, fleet: cluster.fleet, stored, clock, signal, onEvent: () => undefined })).kind,
      "done",
    );
    const idle = keyVersion(2).name;
    const stopped: string[] = [];
    const fleet: Fleet = {
      ...cluster.fleet,
      async observe(...given) {
        const seen = await cluster.fleet.observe(...given);
        const left = (name: string) => name === "cp2" && stopped.length === 0;
        return {
          ...seen,
          servers: seen.servers.map((server) => (left(server.name) ? { ...server, idlePlugins: [idle] } : server)),
        };
      },
      stopPlugin: async (server, plugin) => {
        stopped.push(`${server} ${plugin}`);
      },
    };
    const { stages } = await planRotation({ goal, fleet, stored, signal });
    assert.deepEqual(
      stages.map(({ stage, servers: on, restarts }) => ({ stage, on, restarts })),
      [{ stage: "Prune", on: ["cp2"], restarts: 0 }],
    );
    assert.deepEqual(stopped, []);
    assert.equal((await runRotation({ goal, fleet, stored, clock, signal, onEvent: () => undefined })).kind, "done");
    assert.deepEqual(stopped, [`cp2 ${idle}`]);
  });

  it("the goal needs it => it is not there, and is started", async () => {
    const cluster = simulateCluster({ hosts: 3, reload: "hot", objects: 5, random: randomFrom(3) });
    const goal = goalFor(1, servers);
    const seen = await observationOf(cluster, goal);
    const idle = { ...seen, servers: seen.servers.map((server) => ({ ...server, idlePlugins: [keyVersion(1).name] })) };
    const decision = decide(idle, goal, (plugin) => cluster.fleet.endpoint(plugin));
    assert.deepEqual(decision.kind === "act" && decision.action, {
      kind: "startPlugin",
      server: "cp1",
      plugin: keyVersion(1),
    });
  });
});
