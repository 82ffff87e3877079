/**
 * What a run would do, for `pulumi preview`: `decideKops` itself, played forward on a prediction of the cluster in which every action
 * succeeds. So the plan cannot differ from the engine.
 */
import { isAfter, type RotationStage, rotationStages } from "../../../core/rotation-stage";
import type { RewriteTarget } from "../../decision";
import type { StoredProof } from "../../observation";
import {
  type KmsCalls,
  kmsCallCounter,
  measuringTime,
  type RewriteForecast,
  rewriteForecast,
} from "../../rewrite-forecast";
import type { RewriteOutlook } from "../../stored-objects";
import { namesLoadedHash } from "../hosts/loaded-config";
import { apiServerGroups } from "./cluster-spec";
import { decideKops } from "./decide-kops";
import { appliedGroup, secretSeen } from "./kops-cli";
import type { KopsAction, KopsGoal, KopsMeasurement } from "./kops-decision";
import type { KopsObservation, Machine, MachineConfig } from "./kops-observation";
import type { SpecChange } from "./kops-ports";
import { type KopsSituation, machineState, machineStates, machinesFingerprint } from "./kops-situation";
import { withoutWhatIsThrough } from "./own-change";
import { isFinal } from "./rules/kops-rule";
import { secretHash } from "./secret-text";

/** What is done in one stage. */
export interface KopsPlannedStage {
  readonly stage: RotationStage;
  /** Why it is entered. */
  readonly reason: string;
  readonly actions: readonly KopsAction[];
  /** Instance groups that are rolled, each as often as it is. */
  readonly rolls: readonly string[];
  /** Machines that are replaced. */
  readonly replaced: number;
  /** An estimate. */
  readonly expectedMs: number;
}

export interface KopsPlan {
  readonly stages: readonly KopsPlannedStage[];
  /** Why a run would stop, and after which of the stages. */
  readonly blocked: { readonly reason: string; readonly remedy: string } | undefined;
  /** The cluster as it would be in the end. */
  readonly predicted: KopsObservation;
  /** What the first rewrite would cost and meet; absent where there is none, or nothing could be counted. */
  readonly rewrite?: RewriteForecast;
  /** What the API servers would ask their KMS plugins for. */
  readonly kmsCalls: KmsCalls;
}

/** A plan that does not end is a bug worth an error. */
const longestPlan = 300;
/** A new machine boots, joins and is found valid twice. */
export const replacementTime = 6 * 60_000;
const otherTime = 10_000;

/** `observed` may have a count of what is stored, or nothing; `outlook` is what a rewrite would meet, where it was looked at. Pure. */
export function planKops(observed: KopsObservation, goal: KopsGoal, outlook?: RewriteOutlook): KopsPlan {
  const stages = new Map<RotationStage, KopsPlannedStage>();
  const kms = kmsCallCounter(observed.machines.length);
  let rewrite: RewriteForecast | undefined;
  let predicted = observed;
  /** As in a run, a stage is not left backwards. */
  let reached: RotationStage | undefined;
  for (let step = 0; step < longestPlan; step += 1) {
    predicted = withoutWhatIsThrough(predicted, goal);
    const decision = decideKops(predicted, goal);
    const finished = (blocked?: KopsPlan["blocked"]): KopsPlan => {
      const list = rotationStages.flatMap((stage) => stages.get(stage) ?? []);
      const expectedMs = list.reduce((sum, stage) => sum + stage.expectedMs, 0);
      const last = predicted.secret?.config;
      return {
        stages: list,
        blocked,
        predicted,
        ...(rewrite && { rewrite }),
        kmsCalls: kms.total(observed.run.stored, rewrite !== undefined, expectedMs, last),
      };
    };
    if (decision.kind === "done") return finished();
    if (decision.kind === "blocked") return finished({ reason: decision.reason, remedy: decision.remedy });
    if (reached === undefined || isAfter(decision.stage, reached)) reached = decision.stage;
    if (decision.kind === "measure") {
      const last = [...stages.values()].at(-1);
      if (last !== undefined && rewrite !== undefined) {
        const expectedMs = Math.round(
          last.expectedMs + lookTime(decision.measurement, predicted.machines.length, observed.run.stored, rewrite),
        );
        stages.set(last.stage, { ...last, expectedMs });
      }
      predicted = afterMeasurement(predicted, decision.measurement, observed.run.stored);
      continue;
    }
    const { action, reason } = decision;
    const begun = { stage: reached, reason, actions: [], rolls: [], replaced: 0, expectedMs: 0 };
    const known = stages.get(reached) ?? begun;
    const replaced = action.kind === "roll" ? machinesOfRoll(predicted, action).length : 0;
    if (action.kind === "rewrite" && rewrite === undefined && predicted.run.stored !== undefined) {
      rewrite = rewriteForecast(predicted.run.stored, action.targets, outlook);
    }
    stages.set(reached, {
      ...known,
      actions: [...known.actions, action],
      rolls: action.kind === "roll" ? [...known.rolls, action.group] : known.rolls,
      replaced: known.replaced + replaced,
      expectedMs: known.expectedMs + otherTime + replaced * replacementTime + rewriteTime(action, rewrite),
    });
    predicted = afterAction(predicted, action);
    // A machine is new after its roll: its API server loads what it boots with.
    for (let machine = 0; machine < replaced; machine += 1) kms.load(predicted.secret?.config, true);
  }
  throw new Error(`the plan has more than ${longestPlan} steps`);
}

/** Objects that have to be written again. */
export function staleIn({ resources }: RewriteForecast): number {
  return resources.reduce((sum, { stale }) => sum + stale, 0);
}

/** A validation is part of the time that a replacement takes. */
function lookTime(
  look: KopsMeasurement,
  machines: number,
  stored: StoredProof | undefined,
  { objectsPerSecond }: RewriteForecast,
): number {
  if (look.kind === "validate") return 0;
  const measurement = look.kind === "stored" ? look : { ...look, server: look.machine };
  return measuringTime(measurement, stored, machines, objectsPerSecond);
}

function rewriteTime({ kind }: KopsAction, rewrite: RewriteForecast | undefined): number {
  return kind !== "rewrite" || rewrite === undefined
    ? 0
    : Math.round((staleIn(rewrite) / rewrite.objectsPerSecond) * 1_000);
}

/**
 * What is stored, by a count that does not say with which key: where the secret has only the goal's provider left and every machine
 * runs it, whatever can be read was stored with that. Elsewhere it is not known, so everything is foretold to be rewritten.
 */
export function asConfigured(situation: KopsSituation, counted: StoredProof): StoredProof {
  if (!isFinal(situation) || situation.behind.length > 0) return counted;
  return storedAs(counted, situation.targets);
}

function storedAs(proof: StoredProof, targets: readonly RewriteTarget[]): StoredProof {
  const resources = proof.resources.map((entry) => {
    const key = targets.find((target) => target.resource === entry.resource)?.key;
    return key === undefined ? entry : { ...entry, unknown: 0, keys: [{ key, objects: entry.objects }] };
  });
  return { ...proof, resources };
}

function afterMeasurement(
  observed: KopsObservation,
  measurement: KopsMeasurement,
  counted: StoredProof | undefined,
): KopsObservation {
  const { run } = observed;
  switch (measurement.kind) {
    case "validate":
      return withRun(observed, {
        validation: { machines: machinesFingerprint(observed.machines), failure: undefined },
      });
    case "stored": {
      const servers = machineStates(observed);
      const nothing = measurement.targets.map(({ resource }) => ({
        resource,
        objects: 0,
        bytes: 0,
        keys: [],
        unknown: 0,
      }));
      const bare: StoredProof = { method: "counted", startedAt: 0, finishedAt: 0, servers, resources: nothing };
      const before = { ...(run.stored ?? counted ?? bare), servers };
      return withRun(observed, { stored: run.rewrites.count > 0 ? storedAs(before, measurement.targets) : before });
    }
    case "readThrough": {
      const machine = observed.machines.find(({ name }) => name === measurement.machine);
      if (machine === undefined) return observed;
      const state = machineState(machine, observed.secret?.hash);
      return withRun(observed, { readThrough: [...run.readThrough, { state, objects: 0, failures: [] }] });
    }
  }
}

function afterAction(observed: KopsObservation, action: KopsAction): KopsObservation {
  const { run, secret } = observed;
  switch (action.kind) {
    case "putCluster":
      return withRun(withSpec(observed, action), { specChanged: true });
    case "putSecret": {
      const { before = [] } = observed.ownChange ?? {};
      const put = { ...observed, secret: secretSeen(action.text), ownChange: { before } };
      return withRun(put, { rolledFor: {}, replaced: secret });
    }
    case "update": {
      const groups = apiServerGroups(observed.groups);
      const applied = groups.map((group) => appliedGroup(observed.cluster, group, secret?.hash));
      const changed = applied.filter((next) => {
        const before = observed.applied.find(({ group }) => group === next.group);
        return JSON.stringify(before) !== JSON.stringify(next);
      });
      const machines = observed.machines.map((machine) =>
        changed.some(({ group }) => group === machine.group) ? { ...machine, needsUpdate: true } : machine,
      );
      return withRun({ ...observed, applied, machines, pending: [] }, { updatedFor: action.fingerprint });
    }
    case "roll": {
      const rolled = machinesOfRoll(observed, action);
      const machines = observed.machines.map((machine) =>
        rolled.includes(machine) ? replacement(machine, observed) : machine,
      );
      const rolledFor = { ...run.rolledFor, [action.group]: secret?.hash ?? "" };
      return withRun({ ...observed, machines }, { rolledFor, validation: undefined });
    }
    case "rewrite":
      return withRun(observed, { stored: undefined, rewrites: { count: run.rewrites.count + 1, failures: [] } });
  }
}

/** No plugin is named by an alias any more where its text is another one. */
function withSpec(observed: KopsObservation, { cluster, before }: SpecChange): KopsObservation {
  const aliases = (observed.aliases ?? []).filter(({ asset }) =>
    cluster.spec.fileAssets?.some(({ name, content }) => name === asset.name && content === asset.content),
  );
  return { ...observed, cluster, aliases, ownChange: { before } };
}

function machinesOfRoll(
  { machines }: KopsObservation,
  { group, force }: Extract<KopsAction, { kind: "roll" }>,
): readonly Machine[] {
  return machines.filter((machine) => machine.group === group && (force || machine.needsUpdate));
}

/** The machine that comes in the place of another: it boots with what its group was told, and with the secret as it is. */
function replacement(machine: Machine, { applied, secret }: KopsObservation): Machine {
  const isEncrypting = applied.find(({ group }) => group === machine.group)?.secretHash !== undefined;
  return {
    ...machine,
    name: `${machine.name}'`,
    needsUpdate: false,
    unreachable: undefined,
    processStartedAt: machine.processStartedAt + 1,
    loaded: isEncrypting && secret !== undefined ? loadedFrom(secret.text, machine.version) : { kind: "none" },
  };
}

function loadedFrom(text: string, version: string): MachineConfig {
  if (!namesLoadedHash(version)) return { kind: "unknown" };
  const { config } = secretSeen(text);
  return { kind: "hash", hash: secretHash(text), known: config && { text, config } };
}

function withRun(observed: KopsObservation, facts: Partial<KopsObservation["run"]>): KopsObservation {
  return { ...observed, run: { ...observed.run, ...facts } };
}
