import assert from "node:assert/strict";
import { decide } from "../../rotation/decide";
import type { Observation, ServerObservation } from "../../rotation/observation";
import { foretell } from "../../rotation/plan";
import { runRotation } from "../../rotation/run";
import { goalFor } from "./goals";
import { observationOf } from "./observation-of";
import { randomFrom } from "./random";
import { plaintextStart, simulateCluster } from "./simulated-cluster";

const need = { reason: "kube-apiserver.yaml: there is no --encryption-provider-config", reloadAfter: "hot" } as const;

describe("servers that the engine may set up", () => {
  const servers = ["cp1", "cp2", "cp3"];
  const goal = goalFor(1, servers);
  const endpointOf = (plugin: { readonly socketFile: string }) => `unix:///run/${plugin.socketFile}`;

  /** A cluster that was never encrypted, with the changes to its servers. */
  async function observed(...changes: readonly Partial<ServerObservation>[]): Promise<Observation> {
    const cluster = simulateCluster({ hosts: 3, reload: "hot", objects: 3, random: randomFrom(1) });
    const seen = await observationOf(cluster, goal);
    return { ...seen, servers: seen.servers.map((server, index) => ({ ...server, ...changes[index] })) };
  }
  const decided = (seen: Observation) => decide(seen, goal, endpointOf);

  it("nothing is started or written before all are set up, one after the other", async () => {
    let seen = await observed({}, { setUp: need }, { setUp: need });
    for (const server of ["cp2", "cp3"]) {
      const decision = decided(seen);
      assert.deepEqual(decision.kind === "act" && decision.action, { kind: "setUp", server });
      seen = {
        ...seen,
        servers: seen.servers.map(({ setUp, ...rest }) =>
          rest.name === server ? rest : { ...rest, ...(setUp && { setUp }) },
        ),
      };
    }
    const next = decided(seen);
    assert.equal(next.kind === "act" && next.action.kind, "startPlugin");
  });

  it("flags that were lost under a process that still runs with them => set up again, before it could restart without", async () => {
    const cluster = simulateCluster({ hosts: 3, reload: "hot", objects: 3, random: randomFrom(1) });
    const { fleet, stored, clock } = cluster;
    const signal = new AbortController().signal;
    await runRotation({ goal, fleet, stored, clock, signal, onEvent: () => undefined });
    const seen = await observationOf(cluster, goal);
    const plaintext = { hash: "sha256:00", config: plaintextStart, writtenAt: 0 };
    const lost = { reload: "restart", file: plaintext, setUp: { ...need, namesNoConfig: true } } as const;
    const without = (change: Partial<ServerObservation>) => ({
      ...seen,
      servers: seen.servers.map((server, index) => (index === 1 ? { ...server, ...change } : server)),
    });
    const decision = decided(without(lost));
    assert.deepEqual(decision.kind === "act" && decision.action, { kind: "setUp", server: "cp2" });
    const { stages, blocked } = foretell(without(lost), goal, endpointOf);
    assert.equal(blocked, undefined);
    assert.deepEqual(
      stages.map(({ stage, restarts }) => ({ stage, restarts })),
      [{ stage: "Plugin", restarts: 1 }],
    );
    const refused = { ...lost.setUp, refused: "by hand" };
    const { kind } = decided(without({ ...lost, setUp: refused }));
    assert.equal(kind, "blocked");
  });

  it("none is set up in the middle of an upgrade, which edits the same manifests", async () => {
    const upgraded = { version: "v9.0.0" };
    const decision = decided(await observed({ ...upgraded, setUp: need }, { setUp: need }));
    assert.match(decision.kind === "blocked" ? decision.reason : decision.kind, /an upgrade of the API servers/);
  });

  it("the plan => one restart for each, and then the same stages as ever", async () => {
    const plan = foretell(await observed({ setUp: need }, { setUp: need }, { setUp: need }), goal, endpointOf);
    assert.equal(plan.blocked, undefined);
    assert.equal(plan.stages[0]?.restarts, 3);
    assert.deepEqual(
      plan.stages.map(({ stage }) => stage),
      ["Plugin", "Read", "Write", "Rewrite", "Prune"],
    );
    assert.match(
      plan.warnings[0] ?? "",
      /^cp1 is set up for encryption first, and may restart once for it: kube-apiserver.yaml/,
    );
  });

  it("one is on its way to a restart, with the configuration that it has loaded already => it is waited for", async () => {
    const seen = await observed({ setUpUnproven: true }, { setUp: need });
    const restarting = {
      ...seen,
      servers: seen.servers.map((server, index) =>
        index === 0 ? { ...server, restartRequestedAt: seen.now } : server,
      ),
    };
    assert.deepEqual(decided(restarting), { kind: "wait", stage: "Plugin", reason: "cp1 to restart" });
    const late = { ...restarting, now: seen.now + goal.limits.restart + 1 };
    const decision = decided(late);
    assert.match(
      decision.kind === "blocked" ? decision.reason : decision.kind,
      /cp1 was asked to restart and still runs its old process/,
    );
  });

  it("another one is not ready => nobody is restarted", async () => {
    const decision = decided(await observed({ notReady: "etcd", troubleSince: 0 }, { setUp: need }));
    assert.ok(decision.kind === "wait" || decision.kind === "blocked", JSON.stringify(decision));
  });

  it("a server that lost what it was given, as after an upgrade, does not get ready => gets it again, before the others", async () => {
    const seen = await observed({ setUp: need }, { setUp: need, notReady: "informer-sync" });
    const late = {
      ...seen,
      now: seen.now + goal.limits.ready + 1,
      servers: seen.servers.map((server) => ({ ...server, troubleSince: seen.now })),
    };
    const decision = decided(late);
    assert.deepEqual(decision.kind === "act" && decision.action, { kind: "setUp", server: "cp2" });
  });

  it("what a person has to do first => said, whatever else could be done", async () => {
    const refused = { ...need, reason: "somebody has changed the flag", refused: "put it back" };
    const decision = decided(await observed({ setUp: need }, { setUp: refused }));
    assert.deepEqual(decision, {
      kind: "blocked",
      stage: "Plugin",
      reason: "cp2: somebody has changed the flag",
      remedy: "put it back",
    });
  });

  it("one that does not come up past its limit => its manifest is put back, once, and the others are left alone", async () => {
    const seen = await observed({ setUpUnproven: true, unreachable: "ECONNREFUSED" }, { setUp: need }, { setUp: need });
    const late: Observation = {
      ...seen,
      now: seen.now + goal.limits.ready + goal.limits.restart + 1,
      servers: seen.servers.map((server) => ({ ...server, troubleSince: seen.now })),
    };
    // Whether its restart has been made, one that is away cannot say.
    for (const restartRequestedAt of [undefined, seen.now]) {
      const asked = late.servers.map((server, index) => (index === 0 ? { ...server, restartRequestedAt } : server));
      const decision = decided({ ...late, servers: asked });
      assert.equal(decision.kind === "act" && decision.action.kind, "undoSetUp");
    }
    const setback = { server: "cp1", kind: "notLoaded", what: "manifest", reason: "cp1 did not become ready" } as const;
    assert.equal(decided({ ...late, setbacks: [setback] }).kind, "blocked");
    const back = {
      ...late,
      setbacks: [setback],
      servers: seen.servers.map((server) => ({ ...server, unreachable: undefined })),
    };
    const ended = decided(back);
    assert.match(ended.kind === "blocked" ? ended.reason : ended.kind, /cp1 did not become ready/);
  });
});
