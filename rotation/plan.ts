/**
 * What a run would do, for `pulumi preview`: `decide` itself, played forward on a prediction of the cluster in which every
 * action succeeds. So the plan cannot differ from the engine; only times are estimates.
 */
import { createHash } from "node:crypto";
import { encryptionConfigurationDocument } from "../core/encryption-configuration";
import { type RotationStage, rotationStages } from "../core/rotation-stage";
import { decide } from "./decide";
import type { Action, Decision, Measurement } from "./decision";
import type { Fleet } from "./fleet";
import type { Goal } from "./goal";
import type { Observation, ServerObservation, StoredProof } from "./observation";
import { serverState, serverStates, staleTotal } from "./proofs";
import { settledSince } from "./settled";
import { situationOf } from "./situation";
import type { StoredObjects } from "./stored-objects";

export interface PlannedStage {
  readonly stage: RotationStage;
  readonly summary: string;
  /** Servers that the stage touches. */
  readonly servers: readonly string[];
  /** API server restarts in it. */
  readonly restarts: number;
  /** Objects and bytes that it writes again. */
  readonly objects?: number;
  readonly bytes?: number;
  /** An estimate; `basis` of the plan says what from. */
  readonly expectedMs: number;
}

export interface RotationPlan {
  /** Whether a run would change anything. */
  readonly changes: boolean;
  readonly stages: readonly PlannedStage[];
  readonly warnings: readonly string[];
  /** Why the run would stop at once, as things are. */
  readonly blocked: { readonly reason: string; readonly remedy: string } | undefined;
  /** What the expected times are made of. */
  readonly basis: string;
  /** What was seen; its proofs are the present state for a drift report. */
  readonly observed: Observation;
}

/** Rewritten objects a second that the estimate uses: a quiet control plane of this repository's bench did 250 to 560. */
const expectedRewriteRate = 300;
/** API servers look for a changed file once a minute (apiserver encryptionconfig/controller, poll duration). */
const reloadInterval = 60_000;
const restartTime = 10_000;
/** More actions than any change of a few servers has; a plan that does not end is a bug worth an error. */
const longestPlan = 500;

export async function planRotation(options: {
  readonly goal: Goal;
  readonly fleet: Fleet;
  readonly stored: StoredObjects;
  readonly signal: AbortSignal;
}): Promise<RotationPlan> {
  const { goal, fleet, stored, signal } = options;
  const seen = await fleet.observe(signal);
  const now = Date.now();
  const bare: Observation = {
    now,
    runStartedAt: now,
    servers: seen.servers.map((server) => ({ ...server, troubleSince: undefined, lastReadyHash: undefined })),
    unlistedServers: seen.unlistedServers,
    discovery: seen.discovery,
    crosswise: [],
    stored: undefined,
    readThrough: [],
    setbacks: [],
    rewrites: { count: 0, failures: [] },
    settledAt: undefined,
  };
  const endpointOf = fleet.endpoint.bind(fleet);
  const measured = await presentState(bare, goal, options);
  return foretell(measured, goal, endpointOf);

  /** What is stored now. A preview goes on without it while servers are away: the plan then says what it waits for. */
  async function presentState(
    observed: Observation,
    wanted: Goal,
    { stored: objects }: { stored: StoredObjects },
  ): Promise<Observation> {
    const states = serverStates(observed.servers);
    if (states.length !== observed.servers.length || observed.servers.some((server) => server.notReady !== undefined))
      return observed;
    try {
      const { targets } = situationOf(observed, wanted, endpointOf);
      return { ...observed, stored: await objects.measure(targets, states, () => undefined, signal) };
    } catch {
      return observed; // decide reports what is wrong with the configuration; a plan without counts is still a plan
    }
  }
}

/** The plan from an observation: pure. */
export function foretell(observed: Observation, goal: Goal, endpointOf: Parameters<typeof decide>[2]): RotationPlan {
  const stages = new Map<RotationStage, PlannedStage>();
  const warnings: string[] = [];
  let blocked: RotationPlan["blocked"];
  let predicted = observed;
  for (let step = 0; step < longestPlan; step += 1) {
    const decision = decide(predicted, goal, endpointOf);
    if (decision.kind === "done") break;
    if (decision.kind === "blocked") {
      blocked = { reason: decision.reason, remedy: decision.remedy };
      break;
    }
    if (decision.kind === "wait") {
      if (step === 0) warnings.push(`before anything is done, the run waits for ${decision.reason}`);
      predicted = afterWaiting(predicted, goal, endpointOf);
      continue;
    }
    if (decision.kind === "act") note(stages, decision.stage, decision, predicted, goal, endpointOf);
    predicted = { ...predict(predicted, decision, goal, endpointOf), now: predicted.now + 1_000 };
  }
  const single = observed.servers.length === 1 && [...stages.values()].some((stage) => stage.restarts > 0);
  if (single) warnings.push("there is one API server, and it has to restart: the API is away meanwhile");
  return {
    changes: stages.size > 0,
    stages: rotationStages.flatMap((stage) => stages.get(stage) ?? []),
    warnings,
    blocked,
    basis: `a reload takes up to ${reloadInterval / 1_000} s, a restart about ${restartTime / 1_000} s, rewriting about ${expectedRewriteRate} objects/s`,
    observed,
  };
}

type Acting = Extract<Decision, { kind: "act" }>;

function note(
  stages: Map<RotationStage, PlannedStage>,
  stage: RotationStage,
  decision: Acting,
  observed: Observation,
  goal: Goal,
  endpointOf: Parameters<typeof decide>[2],
): void {
  const known = stages.get(stage);
  const { action } = decision;
  const servers = [...new Set([...(known?.servers ?? []), ...touched(action)])];
  const reloads =
    action.kind === "writeConfig" && action.writes.some((write) => byName(observed, write.server)?.reload === "hot");
  const amounts = action.kind === "rewrite" ? amountToRewrite(observed, goal, endpointOf) : undefined;
  const time =
    amounts !== undefined
      ? (amounts.objects / expectedRewriteRate) * 1_000
      : reloads
        ? reloadInterval
        : action.kind === "restart"
          ? restartTime
          : 1_000;
  stages.set(stage, {
    stage,
    summary: known?.summary ?? decision.reason,
    servers,
    restarts: (known?.restarts ?? 0) + (action.kind === "restart" ? 1 : 0),
    expectedMs: Math.round((known?.expectedMs ?? 0) + time),
    ...(amounts === undefined ? {} : amounts),
  });
}

function amountToRewrite(observed: Observation, goal: Goal, endpointOf: Parameters<typeof decide>[2]) {
  const { targets } = situationOf(observed, goal, endpointOf);
  const proof = observed.stored;
  if (proof === undefined) return { objects: 0, bytes: 0 };
  const objects = staleTotal(proof, targets);
  const bytes = proof.resources.reduce((sum, entry) => sum + entry.bytes, 0);
  const all = proof.resources.reduce((sum, entry) => sum + entry.objects, 0);
  return { objects, bytes: all === 0 ? 0 : Math.round((bytes * objects) / all) };
}

function touched(action: Action): readonly string[] {
  switch (action.kind) {
    case "writeConfig":
      return action.writes.map((write) => write.server);
    case "rewrite":
      return [];
    default:
      return [action.server];
  }
}

function predict(
  observed: Observation,
  decision: Exclude<Decision, { kind: "wait" | "blocked" | "done" }>,
  goal: Goal,
  endpointOf: Parameters<typeof decide>[2],
): Observation {
  if (decision.kind === "measure") return predictMeasurement(observed, decision.measurement, goal);
  const { action } = decision;
  switch (action.kind) {
    case "startPlugin": {
      const keyId = goal.declared.find((plugin) => plugin.name === action.plugin.name)?.key;
      const plugin = {
        name: action.plugin.name,
        startedAt: observed.now,
        keyId: keyId?.kind === "local" ? keyId.keyId : undefined,
        problem: undefined,
      };
      return changeServer(observed, action.server, (server) => ({ ...server, plugins: [...server.plugins, plugin] }));
    }
    case "stopPlugin":
      return changeServer(observed, action.server, (server) => ({
        ...server,
        plugins: server.plugins.filter((plugin) => plugin.name !== action.plugin),
      }));
    case "writeConfig":
      return action.writes.reduce((seen, write) => {
        const bytes = JSON.stringify(encryptionConfigurationDocument(write.config));
        const hash = `predicted:${createHash("sha256").update(bytes).digest("hex")}`;
        const file = { hash, config: write.config, writtenAt: seen.now };
        return settle(
          changeServer(seen, write.server, (server) =>
            server.reload === "hot" ? loadedNow({ ...server, file }, seen.now) : { ...server, file },
          ),
          observed,
          goal,
          endpointOf,
        );
      }, observed);
    case "restart":
      return settle(
        changeServer(observed, action.server, (server) =>
          loadedNow({ ...server, processStartedAt: observed.now }, observed.now),
        ),
        observed,
        goal,
        endpointOf,
      );
    case "restoreLoaded":
      return changeServer(observed, action.server, (server) =>
        server.loaded.config === undefined
          ? server
          : { ...server, file: { hash: action.loadedHash, config: server.loaded.config, writtenAt: observed.now } },
      );
    case "rewrite": {
      const { stored } = observed;
      if (stored === undefined) return observed;
      const resources = stored.resources.map((entry) => {
        const target = action.targets.find((candidate) => candidate.resource === entry.resource);
        return target === undefined
          ? entry
          : { ...entry, unknown: 0, keys: [{ key: target.key, objects: entry.objects }] };
      });
      return {
        ...observed,
        stored: { ...stored, resources },
        rewrites: { count: observed.rewrites.count + 1, failures: [] },
      };
    }
  }
}

function predictMeasurement(observed: Observation, measurement: Measurement, goal: Goal): Observation {
  switch (measurement.kind) {
    case "crosswise": {
      const { key, name } = measurement.plugin;
      const reported = observed.servers.flatMap(
        (server) => server.plugins.find((plugin) => plugin.name === name)?.keyId ?? [],
      )[0];
      const keyId = key.kind === "local" ? key.keyId : (reported ?? `key version of ${name}`);
      return {
        ...observed,
        crosswise: [...observed.crosswise, { plugin: name, servers: goal.servers, keyId, failure: undefined }],
      };
    }
    case "stored": {
      // What is stored does not change by looking again; the proof moves on to the servers as they then are.
      const present: StoredProof = observed.stored ?? {
        method: "etcd",
        startedAt: observed.now,
        finishedAt: observed.now,
        servers: [],
        resources: measurement.targets.map((target) => ({
          resource: target.resource,
          objects: 0,
          bytes: 0,
          keys: [],
          unknown: 0,
        })),
      };
      const missing = measurement.targets.filter(
        (target) => !present.resources.some((entry) => entry.resource === target.resource),
      );
      const resources = [
        ...present.resources,
        ...missing.map((target) => ({ resource: target.resource, objects: 0, bytes: 0, keys: [], unknown: 0 })),
      ];
      return {
        ...observed,
        stored: {
          ...present,
          resources,
          startedAt: observed.now,
          finishedAt: observed.now,
          servers: serverStates(observed.servers),
        },
      };
    }
    case "readThrough": {
      const server = byName(observed, measurement.server);
      const state = server && serverState(server);
      return state === undefined
        ? observed
        : { ...observed, readThrough: [...observed.readThrough, { state, objects: 0, failures: [] }] };
    }
  }
}

/** The prediction once what is waited for has come: files loaded, servers ready, plugins answering, old requests ended. */
function afterWaiting(observed: Observation, goal: Goal, endpointOf: Parameters<typeof decide>[2]): Observation {
  const now = Math.max(observed.now + 1_000, observed.settledAt ?? 0);
  const servers = observed.servers.map((server) => ({
    ...loadedNow(server, server.file?.hash === server.loaded.hash ? server.loaded.since : now),
    unreachable: undefined,
    notReady: undefined,
    troubleSince: undefined,
    plugins: server.plugins.map((plugin) => ({ ...plugin, problem: undefined })),
  }));
  return settle({ ...observed, now, servers }, observed, goal, endpointOf);
}

function loadedNow(server: ServerObservation, since: number): ServerObservation {
  if (server.file === undefined) return server;
  return {
    ...server,
    restartRequestedAt: undefined,
    loaded: { ...server.loaded, hash: server.file.hash, config: server.file.config, since },
  };
}

function settle(
  next: Observation,
  before: Observation,
  goal: Goal,
  endpointOf: Parameters<typeof decide>[2],
): Observation {
  const situation = situationOf(next, goal, endpointOf);
  return { ...next, settledAt: settledSince(before.settledAt, next, situation.writersAreTheGoals) };
}

function changeServer(
  observed: Observation,
  name: string,
  change: (server: ServerObservation) => ServerObservation,
): Observation {
  return { ...observed, servers: observed.servers.map((server) => (server.name === name ? change(server) : server)) };
}

function byName(observed: Observation, name: string): ServerObservation | undefined {
  return observed.servers.find((server) => server.name === name);
}
