/**
 * What is the one next thing to do with a kOps cluster, given what is seen and what is wanted. Pure; where to start reading.
 *
 * kOps' machines can't be changed, only replaced, and a machine may be replaced at any moment by the cloud. Three things follow:
 *  - what the store says (spec, secret) must be safe for a machine that boots now, whether or not kOps was told to update;
 *  - the spec gets a plugin, the groups get the spec, and only then the secret names it; a plugin leaves in the opposite order;
 *  - what a machine runs is seen on it, not concluded from what was done.
 * A rotation costs three rolls of the control plane: for READ, for WRITE and for PRUNE.
 * Before each action that is no repair: nobody else is at work on the cluster.
 */
import { describeError, KmsEtcdError } from "../../../core/errors";
import { isAfter, RotationStage } from "../../../core/rotation-stage";
import type { KopsDecision, KopsGoal } from "./kops-decision";
import type { KopsObservation } from "./kops-observation";
import { type KopsSituation, kopsSituation, machinesAtRest } from "./kops-situation";
import type { KopsRule } from "./rules/kops-rule";
import * as machine from "./rules/machine-rules";
import * as otherWork from "./rules/other-work-rules";
import { isBegun } from "./rules/other-work-rules";
import * as pluginChange from "./rules/plugin-change-rules";
import * as progress from "./rules/progress-rules";
import * as store from "./rules/store-rules";

/** Rules that make or keep things readable, and finish what was begun. They run whatever `advanceTo` says. */
export const repairRules: readonly KopsRule[] = [
  store.everyServerIsAMachine,
  store.thereAreMachines,
  store.theSecretIsAConfiguration,
  store.nobodyElseChangesTheSecret,
  store.theSpecIsUsable,
  store.aNewClusterBeginsWithTheKey,
  store.aFailedSecretGoesBack,
  pluginChange.aFailedPluginGoesBack,
  store.everyNamedPluginIsThere,
  store.theSecretReadsWhatIsNeeded,
  store.everyMachineReadsTheSecretsWriter,
  machine.nothingFailed,
];

/** What was begun reaches the machines before anything else is begun. */
export const finishRules: readonly KopsRule[] = [
  store.theStoreIsApplied,
  machine.everyMachineRunsTheSecret,
  machine.theClusterIsValid,
  machine.aPrunedMachineIsReadThrough,
  machine.noSecretFailed,
];

/** Rules that move towards the goal, one stage after the other. */
export const progressRules: readonly KopsRule[] = [
  progress.theNewKeyIsReadable,
  progress.theNewKeyWrites,
  progress.everyObjectIsRewritten,
  progress.oldProvidersLeave,
  progress.otherPluginsLeave,
  machine.noMachineIsLeftBehind,
];

/**
 * The spec's changes come before the finish rules, so that one roll serves spec and secret. A change to a plugin that is in use has rolls of
 * its own, and comes first.
 */
const specRules: readonly KopsRule[] = [
  pluginChange.noPluginIsNamedByAnAlias,
  pluginChange.aChangedPluginReachesEveryMachine,
  progress.unusedPluginsLeave,
  progress.thereIsASecret,
  progress.theNewPluginIsInTheSpec,
];

/** What keeps the engine from acting beside somebody else: asked before each action that is no repair. */
const besideRules: readonly KopsRule[] = [otherWork.noUpgradeIsUnderWay, otherWork.noOtherGroupChanges];

/** And these before the first action of a rotation, or of a run at the goal: afterwards what they see may be its own work. */
const beginningRules: readonly KopsRule[] = [
  otherWork.nothingIsPendingBefore,
  otherWork.noMachineIsLateBefore,
  machine.theClusterIsValid,
];

export interface KopsRules {
  readonly repair: readonly KopsRule[];
  readonly spec: readonly KopsRule[];
  readonly finish: readonly KopsRule[];
  readonly progress: readonly KopsRule[];
  readonly beside: readonly KopsRule[];
  readonly beginning: readonly KopsRule[];
}

export const kopsRules: KopsRules = {
  repair: repairRules,
  spec: specRules,
  finish: finishRules,
  progress: progressRules,
  beside: besideRules,
  beginning: beginningRules,
};

export type DecideKops = (observed: KopsObservation, goal: KopsGoal) => KopsDecision;

export const decideKops: DecideKops = (observed, goal) => decideKopsBy(kopsRules, observed, goal);

/**
 * `decideKops` with other rules: the tests use it to show that each rule is needed.
 *
 * API servers before 1.34 don't say what they have loaded. Where nothing would have to be done if they ran what their groups were told,
 * nothing is done: a cluster at rest is left alone. Anything else is begun by replacing them, because a machine that booted between a
 * change of the secret and its taking back runs another one than kOps can tell, and a provider must not leave that it may write with.
 */
export function decideKopsBy(rules: KopsRules, observed: KopsObservation, goal: KopsGoal): KopsDecision {
  const assumed = machinesAtRest(observed);
  const decision = decideOn(rules, assumed, goal);
  return decision.kind === "act" && assumed !== observed ? decideOn(rules, observed, goal) : decision;
}

function decideOn(rules: KopsRules, observed: KopsObservation, goal: KopsGoal): KopsDecision {
  let situation: ReturnType<typeof kopsSituation>;
  try {
    situation = kopsSituation(observed, goal);
  } catch (thrown) {
    return {
      kind: "blocked",
      stage: RotationStage.Read,
      reason: thrown instanceof Error ? thrown.message : describeError(thrown),
      remedy: (thrown instanceof KmsEtcdError ? thrown.remedy : undefined) ?? "mend it, then run again",
    };
  }
  const done: KopsDecision = { kind: "done", stage: goal.advanceTo };
  const isBehind = (decision: KopsDecision) => isAfter(decision.stage, goal.advanceTo);
  for (const rule of rules.repair) {
    const decision = rule(situation);
    if (decision !== undefined) return decision;
  }
  for (const rule of rules.spec) {
    const decision = rule(situation);
    if (decision === undefined) continue;
    if (!isBehind(decision)) return heldBy(rules, situation, decision) ?? decision;
  }
  for (const [list, limited] of [
    [rules.finish, false],
    [rules.progress, true],
  ] as const) {
    for (const rule of list) {
      const decision = rule(situation);
      if (decision === undefined) continue;
      // What lies behind `advanceTo` is not begun, nor is anything after it.
      if (limited && isBehind(decision)) return done;
      return heldBy(rules, situation, decision) ?? decision;
    }
  }
  return done;
}

/**
 * Why an action is not done now. A machine that did not come up is looked after in any case. At the goal too: what is pending there may be
 * somebody else's, or what a killed run has left, and neither carried out unasked nor called done.
 */
function heldBy(
  { beside, beginning }: KopsRules,
  situation: KopsSituation,
  { kind, stage }: KopsDecision,
): KopsDecision | undefined {
  if (kind !== "act" || Object.keys(situation.observed.run.notLoaded).length > 0) return undefined;
  for (const rule of [...beside, ...(isBegun(situation) ? [] : beginning)]) {
    const held = rule(situation);
    if (held !== undefined) return { ...held, stage };
  }
  return undefined;
}
