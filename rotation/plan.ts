/**
 * What a run would do, for `pulumi preview`: `decide` itself, played forward on a prediction of the cluster in which every
 * action succeeds. So the plan cannot differ from the engine; only times are estimates.
 */
import { describeError } from "../core/errors";
import { covers } from "../core/resource-block";
import { isAfter, type RotationStage, rotationStages } from "../core/rotation-stage";
import { decide } from "./decide";
import type { Action, Decision } from "./decision";
import { firstObservation } from "./first-observation";
import type { Fleet } from "./fleet";
import type { Goal } from "./goal";
import { withoutObjectNames } from "./object-names";
import type { Observation, ServerObservation, StoredProof } from "./observation";
import { aliasWarnings, editedPluginWarnings, rewriteWarnings, unreadWarnings, unsizedWarnings } from "./plan-warnings";
import { afterWaiting, predict } from "./predict";
import { serverStates, staleTotal } from "./proofs";
import {
  type KmsCalls,
  kmsCallCounter,
  measuringBasis,
  measuringTime,
  type RewriteForecast,
  rewriteForecast,
} from "./rewrite-forecast";
import { noServerStaysAway } from "./rules/fleet-rules";
import { serversBehind } from "./rules/key-id-rule";
import { mayBeStale } from "./rules/writer-rules";
import { noWayToEtcd } from "./run";
import { settledSince } from "./settled";
import { type EndpointOf, type GoalSlot, isUnseen, situationOf } from "./situation";
import type { RewriteOutlook, StoredObjects } from "./stored-objects";

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
  /** What is stored and what its rewrite would meet; undefined where the plan has no rewrite, or nothing could be counted. */
  readonly rewrite?: RewriteForecast;
  /** What the API servers would ask their KMS plugins for. */
  readonly kmsCalls: KmsCalls;
  /** What was seen; its proofs are the present state for a drift report. */
  readonly observed: Observation;
}

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
  const { goal, fleet, signal } = options;
  const seen = await fleet.observe(signal, goal.declared);
  const members = await options.stored.members?.(signal);
  const bare: Observation = {
    ...firstObservation(seen, Date.now()),
    ...(members && { etcdMembers: members }),
    ...(options.stored.measuresByWriting && { measuresByWriting: true }),
  };
  const endpointOf = fleet.endpoint.bind(fleet);
  const { present, unmeasured } = await presentState(bare, goal, options.stored);
  const plan = await withOutlook(foretell(present, goal, endpointOf));
  const wish = wishWithoutEtcd(goal, options.stored);
  if (wish !== undefined && plan.blocked === undefined && plan.changes) {
    const { message: reason, remedy = "" } = noWayToEtcd(wish);
    return { ...plan, blocked: { reason, remedy } };
  }
  if (unmeasured === undefined) return plan;
  const reason = `what is stored could not be looked at: ${unmeasured}`;
  return { ...plan, blocked: plan.blocked ?? { reason, remedy: "mend it first: a run would stop there too" } };

  /** Who has a say in the rewrite, and how fast it will go; only looked at where there is one. */
  async function withOutlook(planned: RotationPlan): Promise<RotationPlan> {
    if (planned.rewrite === undefined) return planned;
    try {
      const { targets } = situationOf(present, goal, endpointOf);
      const servers = present.servers.map((server) => server.name);
      return foretell(present, goal, endpointOf, await options.stored.outlook(targets, servers, signal));
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      const why = withoutObjectNames(describeError(thrown));
      return { ...planned, warnings: [...planned.warnings, `the rewrite could not be looked into: ${why}`] };
    }
  }

  /** What is stored now. Without it, while servers are away, the plan says what it waits for. */
  async function presentState(
    observed: Observation,
    wanted: Goal,
    objects: StoredObjects,
  ): Promise<{ readonly present: Observation; readonly unmeasured?: string }> {
    const states = serverStates(observed.servers);
    if (states.length !== observed.servers.length || observed.servers.some((server) => server.notReady !== undefined))
      return { present: observed };
    let situation: ReturnType<typeof situationOf>;
    try {
      situation = situationOf(observed, wanted, endpointOf);
    } catch {
      return { present: observed }; // decide reports what is wrong with the configuration
    }
    // A preview keeps nothing from an earlier look: what was settled long ago is found from the servers' own times.
    const settledAt = settledSince(
      undefined,
      observed,
      situation.writersAreTheGoals && serversBehind(situation).length === 0,
    );
    try {
      const seen = await objects.count(situation.targets, states, () => undefined, signal);
      const stored = seen.method === "counted" ? asConfigured(situation, seen) : seen;
      return { present: { ...observed, settledAt, stored, ...(stored.etcd && { etcd: stored.etcd }) } };
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      return { present: { ...observed, settledAt }, unmeasured: withoutObjectNames(describeError(thrown)) };
    }
  }
}

/** A plan that only counted foretells a rewrite of everything, but where nothing of it can be stale. */
function asConfigured(situation: ReturnType<typeof situationOf>, counted: StoredProof): StoredProof {
  if (mayBeStale(situation)) return counted;
  const resources = counted.resources.map((entry) => {
    const key = situation.targets.find((target) => target.resource === entry.resource)?.key;
    return key === undefined ? entry : { ...entry, unknown: 0, keys: [{ key, objects: entry.objects }] };
  });
  return { ...counted, resources };
}

/** What is asked of etcd where there is no way to it: a run would find out behind WRITE, so it is said now. */
function wishWithoutEtcd({ etcdSnapshot, compact }: Goal, stored: StoredObjects): string | undefined {
  if (etcdSnapshot !== undefined && stored.snapshot === undefined) return "etcdSnapshot";
  return compact !== undefined && stored.compact === undefined ? "compactAfterPrune" : undefined;
}

/** The plan from an observation: pure. */
export function foretell(
  observed: Observation,
  goal: Goal,
  endpointOf: EndpointOf,
  outlook?: RewriteOutlook,
): RotationPlan {
  const stages = new Map<RotationStage, PlannedStage>();
  const warnings = plaintextWarnings(observed, goal, endpointOf);
  let blocked: RotationPlan["blocked"];
  let predicted = observed;
  let rewrite: RewriteForecast | undefined;
  let namesKeysByArn = false;
  const kms = kmsCallCounter(observed.servers.length);
  // As in a run, a stage is never left backwards: the restarts that load what WRITE has written are WRITE's.
  let reached: RotationStage | undefined;
  for (let step = 0; step < longestPlan; step += 1) {
    const decision = decide(predicted, goal, endpointOf);
    if (decision.kind === "done") break;
    if (decision.kind === "blocked") {
      blocked = { reason: decision.reason, remedy: decision.remedy };
      break;
    }
    if (reached === undefined || isAfter(decision.stage, reached)) reached = decision.stage;
    if (decision.kind === "wait") {
      if (step === 0) warnings.push(`before anything is done, the run waits for ${decision.reason}`);
      // Of a host that nobody could ask not even its file is known: what comes after the wait cannot be foretold.
      blocked = predicted.servers.some(isUnseen) ? whoIsAway(predicted, goal, endpointOf) : undefined;
      if (blocked !== undefined) break;
      predicted = afterWaiting(predicted, goal, endpointOf);
      continue;
    }
    if (decision.kind === "act") {
      namesKeysByArn ||= decision.action.kind === "nameKeysByArn";
      if (decision.action.kind === "rewrite" && rewrite === undefined && predicted.stored !== undefined) {
        rewrite = rewriteForecast(predicted.stored, decision.action.targets, outlook);
      }
      note(stages, reached, decision, predicted, goal, endpointOf, rewrite?.objectsPerSecond ?? 1);
      for (const { config, isRestart } of loads(decision.action, predicted)) kms.load(config, isRestart);
    }
    if (decision.kind === "measure" && rewrite !== undefined) {
      const { stored, servers } = predicted;
      addTime(stages, measuringTime(decision.measurement, stored, servers.length, rewrite.objectsPerSecond));
    }
    predicted = { ...predict(predicted, decision, goal, endpointOf), now: predicted.now + 1_000 };
  }
  const single = observed.servers.length === 1 && [...stages.values()].some((stage) => stage.restarts > 0);
  if (single) warnings.push("there is one API server, and it has to restart: the API is away meanwhile");
  const expectedMs = [...stages.values()].reduce((sum, stage) => sum + stage.expectedMs, 0);
  const servers = `a reload takes up to ${reloadInterval / 1_000} s, a restart about ${restartTime / 1_000} s`;
  return {
    changes: stages.size > 0,
    stages: rotationStages.flatMap((stage) => stages.get(stage) ?? []),
    warnings: [
      ...setUpWarnings(observed),
      ...editedPluginWarnings(observed),
      ...(namesKeysByArn ? aliasWarnings(observed) : []),
      ...warnings,
      ...rewriteWarnings(rewrite),
      ...unsizedWarnings(rewrite),
      ...unreadWarnings(observed),
    ],
    blocked,
    basis: [servers, ...(rewrite === undefined ? [] : [rewrite.rateBasis, measuringBasis(observed.stored)])].join(", "),
    ...(rewrite && { rewrite }),
    kmsCalls: kms.total(observed.stored, rewrite !== undefined, expectedMs, predicted.servers[0]?.file?.config),
    observed,
  };
}

function whoIsAway(observed: Observation, goal: Goal, endpointOf: EndpointOf): RotationPlan["blocked"] {
  const decision = noServerStaysAway(situationOf(observed, goal, endpointOf));
  return decision?.kind === "blocked" ? { reason: decision.reason, remedy: decision.remedy } : undefined;
}

/** What is changed once and for all, beside the stages of a rotation. */
function setUpWarnings({ servers }: Observation): readonly string[] {
  return servers.flatMap(({ name, setUp }) =>
    setUp === undefined || setUp.refused !== undefined
      ? []
      : [`${name} is set up for encryption first, and may restart once for it: ${setUp.reason}`],
  );
}

/** Which configuration each server loads by an action. */
function loads(action: Action, predicted: Observation) {
  if (action.kind === "restart") return [{ config: byName(predicted, action.server)?.file?.config, isRestart: true }];
  if (action.kind !== "writeConfig") return [];
  return action.writes
    .filter(({ server }) => byName(predicted, server)?.reload === "hot")
    .map(({ config }) => ({ config, isRestart: false }));
}

/** What would be written back in plaintext: it must not come as a surprise. */
function plaintextWarnings(observed: Observation, goal: Goal, endpointOf: EndpointOf): string[] {
  try {
    const { slots } = situationOf(observed, goal, endpointOf);
    const leaving = slots.filter(({ slot }) => slot.leaving).flatMap(({ slot }) => slot.resources);
    const disabled = goal.writer === "identity" && slots.some(({ slot }) => !slot.leaving);
    return [
      ...alongWarnings(slots, goal),
      ...(leaving.length === 0
        ? []
        : [`${leaving.join(", ")}: no longer in resources, so every object of it is written back in plaintext`]),
      ...(disabled
        ? [`encryption is off: every object of ${goal.resources.join(", ")} is written back in plaintext`]
        : []),
    ];
  } catch {
    return []; // decide reports what is wrong with the configuration
  }
}

/** What nobody asked for by name and yet moves, because its block does: whoever took it out of resources must hear of it. */
export function alongWarnings(slots: readonly GoalSlot[], goal: Pick<Goal, "resources" | "writer">): readonly string[] {
  const isWanted = (name: string) => goal.resources.some((pattern) => pattern === name || covers(pattern, name));
  const moving = slots.filter(({ slot }) => !slot.leaving).flatMap(({ slot }) => slot.writes);
  const along = moving.filter((name) => !isWanted(name));
  if (along.length === 0) return [];
  const what = goal.writer === "identity" ? "is written back in plaintext too" : "is encrypted and rotated along";
  return [
    `${along.join(", ")}: not in resources, but in one block of the encryption configuration with what is, so every object of it ${what}`,
  ];
}

type Acting = Extract<Decision, { kind: "act" }>;

function note(
  stages: Map<RotationStage, PlannedStage>,
  stage: RotationStage,
  decision: Acting,
  observed: Observation,
  goal: Goal,
  endpointOf: EndpointOf,
  objectsPerSecond: number,
): void {
  const known = stages.get(stage);
  const { action } = decision;
  const servers = [...new Set([...(known?.servers ?? []), ...touched(action)])];
  const amounts = action.kind === "rewrite" ? amountToRewrite(observed, goal, endpointOf) : {};
  stages.set(stage, {
    stage,
    summary: known?.summary ?? decision.reason,
    servers,
    restarts: (known?.restarts ?? 0) + (action.kind === "restart" || action.kind === "setUp" ? 1 : 0),
    expectedMs: Math.round(
      (known?.expectedMs ?? 0) + expectedTime(observed, action, (amounts.objects ?? 0) / objectsPerSecond),
    ),
    ...amounts,
  });
}

/** To the stage that was noted last: what only looks has none of its own. */
function addTime(stages: Map<RotationStage, PlannedStage>, milliseconds: number): void {
  const last = [...stages.values()].at(-1);
  if (last !== undefined) {
    stages.set(last.stage, { ...last, expectedMs: Math.round(last.expectedMs + milliseconds) });
  }
}

function expectedTime(observed: Observation, action: Action, rewriteSeconds: number): number {
  switch (action.kind) {
    case "rewrite":
      return rewriteSeconds * 1_000;
    case "writeConfig":
      return action.writes.some((write) => byName(observed, write.server)?.reload === "hot") ? reloadInterval : 1_000;
    case "restart":
    case "setUp":
      return restartTime;
    default:
      return 1_000;
  }
}

function amountToRewrite(
  observed: Observation,
  goal: Goal,
  endpointOf: EndpointOf,
): { objects?: number; bytes?: number } {
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
    case "compact":
      return [];
    default:
      return [action.server];
  }
}

function byName(observed: Observation, name: string): ServerObservation | undefined {
  return observed.servers.find((server) => server.name === name);
}
