/** Rules about machines: each is replaced until it runs what the store says, and each replacement is seen to work. */
import { RotationStage } from "../../../../core/rotation-stage";
import type { Machine } from "../kops-observation";
import { type KopsSituation, machineState, machinesFingerprint } from "../kops-situation";
import { blocked, isFinal, type KopsRule, stageOf } from "./kops-rule";
import { isBegun, isUpgraded } from "./other-work-rules";

/**
 * A machine that is not proven to run the secret is replaced, group by group. Before the first, and after each, the cluster must
 * be valid: kOps itself looks too, but a roll that has nothing to do ends well without a look.
 */
export const everyMachineRunsTheSecret: KopsRule = (situation) => {
  const { observed, behind, groups } = situation;
  if (behind.length === 0 || observed.secret === undefined) return undefined;
  const invalid = validated(situation) ?? everyMachineIsSeen(situation);
  if (invalid !== undefined) return invalid;
  const pruned = prunedMachineIsReadThrough(situation);
  if (pruned !== undefined) return pruned;
  const group = groups.find(({ name }) => behind.some((machine) => machine.group === name));
  if (group === undefined) {
    return blocked(
      stageOf(situation),
      `${names(behind)} does not run the secret and is in no group with the role of an API server`,
      "see its instance group's role with `kops get instancegroups`",
    );
  }
  const late = behind.filter((machine) => machine.group === group.name);
  const reason = `${names(late)} does not run yet what the secret says`;
  // kOps replaces what is older than its template; a machine that got another secret in between is not.
  const force = late.some((machine) => !machine.needsUpdate);
  return { kind: "act", stage: stageOf(situation), action: { kind: "roll", group: group.name, force }, reason };
};

/** A machine that kOps finds well and that does not answer here would be replaced for nothing, and then again. */
export function everyMachineIsSeen(situation: KopsSituation) {
  const unseen = situation.observed.machines.filter((machine) => machine.unreachable !== undefined);
  const [first] = unseen;
  if (first === undefined) return undefined;
  return blocked(
    stageOf(situation),
    `kops finds the cluster valid, but what ${names(unseen)} runs can't be seen from here (${first.unreachable})`,
    "see to it that every control-plane machine's API server can be reached: machineAddress, jumpHost and security groups; then run again",
  );
}

/** After the last roll, and when a run begins on a cluster that looks right: the machines that are there are what kOps wants. */
export const theClusterIsValid: KopsRule = (situation) => validated(situation);

/** What failed in this run is not tried again in it: the store is safe by now, whatever it was. */
export const nothingFailed: KopsRule = (situation) => failure(situation, situation.observed.run.failed);

/** A secret that machines did not come up with has gone back by now, and its machines have been looked after. */
export const noSecretFailed: KopsRule = (situation) =>
  failure(situation, Object.values(situation.observed.run.notLoaded));

function failure(situation: KopsSituation, [reason]: readonly string[]) {
  if (reason === undefined) return undefined;
  const remedy =
    "mend that, then run again: it goes on from what is there, and until then nothing more is taken out of the secret";
  return blocked(stageOf(situation), reason, remedy);
}

/**
 * Whatever else is behind its template would be replaced by the next roll anyway: here it is seen to work. Somebody's upgrade replaces it
 * too, and is left to them where this run has changed nothing.
 */
export const noMachineIsLeftBehind: KopsRule = (situation) => {
  const late = situation.observed.machines.find((machine) => machine.needsUpdate);
  if (late === undefined || (isUpgraded(situation) && !isBegun(situation))) return undefined;
  const reason = `${late.name} is older than what its group ${late.group} should have`;
  return {
    kind: "act",
    stage: RotationStage.Prune,
    action: { kind: "roll", group: late.group, force: false },
    reason,
  };
};

function validated(situation: KopsSituation) {
  const { observed } = situation;
  const { validation } = observed.run;
  const stage = stageOf(situation);
  if (validation?.machines !== machinesFingerprint(observed.machines)) {
    const reason = "every machine and every pod of the control plane must be well";
    return { kind: "measure" as const, stage, measurement: { kind: "validate" as const }, reason };
  }
  if (validation.failure === undefined) return undefined;
  return blocked(
    stage,
    `the cluster is not valid: ${validation.failure}`,
    "mend it; a machine that does not come up can be terminated, its group then makes one with the secret that is there now. Then run again",
  );
}

/** Also where all machines were one group. */
export const aPrunedMachineIsReadThrough: KopsRule = (situation) => prunedMachineIsReadThrough(situation);

/** Invariant 10: one group lets go of the old key first, and every object is read through it before the others follow. */
function prunedMachineIsReadThrough(situation: KopsSituation) {
  const { observed, behind } = situation;
  const [first] = observed.machines.filter((machine) => !behind.includes(machine));
  // On a cluster that a run finds as it should be, there is nothing that it has pruned.
  const pruning = behind.length > 0 || observed.run.replaced !== undefined;
  if (!isFinal(situation) || !pruning || first === undefined) return undefined;
  const done = observed.run.readThrough.some(({ state }) => {
    const machine = observed.machines.find(({ name }) => name === state.server);
    if (machine === undefined || behind.includes(machine)) return false;
    const now = machineState(machine, observed.secret?.hash);
    return now.loadedHash === state.loadedHash && now.processStartedAt === state.processStartedAt;
  });
  if (done) return undefined;
  const reason = `${first.name} has let go of the old provider: every object is read through it before the others follow`;
  return readThroughOf(situation, first, reason);
}

export function readThroughOf({ targets }: KopsSituation, { name }: Machine, reason: string) {
  const resources = targets.map((target) => target.resource);
  const measurement = { kind: "readThrough" as const, machine: name, resources };
  return { kind: "measure" as const, stage: RotationStage.Prune, measurement, reason };
}

function names(machines: readonly Machine[]): string {
  return machines.map((machine) => machine.name).join(", ");
}
