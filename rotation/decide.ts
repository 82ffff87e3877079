/**
 * The product's heart: what is the one next thing to do, given what is seen and what is wanted. Pure.
 *
 * The rules run in this order, and the first that decides wins:
 *  1. every live server is listed                              6. a gate that failed in this run ends it
 *  2. every plugin that a configuration names is on its host;  7. Plugin: plugins run with the settings that are wanted, and the
 *     one that fails gets settings that have been corrected,      are named by ARNs, and the new one answers, crosswise,
 *     or back what it had                                         on every host
 *  3. every file can be used, is loaded, every server is ready 8. READ, WRITE, REWRITE, VERIFY, PRUNE
 *  4. every server reads what data and other servers need      9. unused plugins stop
 *  5. a server that does not start goes back to what it had
 * Before a set-up and each action of 7-9: nobody else is at work on the control plane (an upgrade, a change of etcd's members, a backup).
 * Before anything: the goal's configurations are ones that API servers load. No configuration is written that they would refuse.
 * So repair (1-6) comes before progress (7-9), whatever stage a killed run, a restored backup or another goal has left.
 */
import { describeError, KmsEtcdError } from "../core/errors";
import { isAfter, RotationStage } from "../core/rotation-stage";
import type { Decision } from "./decision";
import type { Goal } from "./goal";
import type { Observation } from "./observation";
import * as alias from "./rules/alias-rules";
import * as backup from "./rules/backup-rules";
import * as file from "./rules/file-rules";
import * as fleet from "./rules/fleet-rules";
import { everyServerUsesTheKeyId } from "./rules/key-id-rule";
import { loadableOnly, theGoalCanBeLoaded } from "./rules/loadable-rules";
import * as otherWork from "./rules/other-work-rules";
import { failingPluginsGetTheirSettings, pluginsRunAsDeclared } from "./rules/plugin-rules";
import * as reader from "./rules/reader-rules";
import { blocked, type Rule } from "./rules/rule";
import * as setup from "./rules/setup-rules";
import { waitingFilesAreHarmless } from "./rules/waiting-file-rule";
import * as writer from "./rules/writer-rules";
import { type EndpointOf, type Situation, situationOf } from "./situation";

/** Rules that keep or make things readable. They run whatever `advanceTo` says. */
export const repairRules: readonly Rule[] = [
  theGoalCanBeLoaded,
  fleet.everyLiveServerIsListed,
  fleet.liveServersAreKnown,
  fleet.everyNamedPluginIsThere,
  failingPluginsGetTheirSettings,
  alias.pluginsThatFailByArnGoBack,
  file.everyFileCanBeUsed,
  fleet.everyServerIsReady,
  waitingFilesAreHarmless,
  fleet.everyFileIsLoaded,
  setup.everyServerIsSetUp,
  reader.differencesAreMeasured,
  reader.everyServerReadsWhatIsNeeded,
  file.serversGoBack,
  setup.setUpThatFailsIsUndone,
  fleet.noServerStaysAway,
  fleet.nothingFailedInThisRun,
];

/** Rules that move the cluster towards the goal, one stage after the other. */
export const progressRules: readonly Rule[] = [
  alias.noKeyIsNamedByAnAlias,
  pluginsRunAsDeclared,
  reader.newPluginIsProven,
  reader.newKeyIsReadable,
  writer.newKeyWrites,
  everyServerUsesTheKeyId,
  writer.everyObjectIsRewritten,
  writer.theProofIsLateEnough,
  backup.snapshotIsKept,
  writer.oldProvidersLeave,
  writer.unusedPluginsStop,
  backup.oldRevisionsAreForgotten,
];

/** What keeps the engine from acting beside somebody else. They are asked before each action that is progress. */
export const preconditions: readonly Rule[] = [
  otherWork.noUpgradeIsUnderWay,
  otherWork.etcdIsWell,
  otherWork.etcdIsNotBusy,
];

export type Decide = (observed: Observation, goal: Goal, endpointOf: EndpointOf) => Decision;

export const decide: Decide = (observed, goal, endpointOf) =>
  decideBy(repairRules, progressRules, observed, goal, endpointOf);

/** `decide` with other rules: the tests use it to show that each rule is needed. */
export function decideBy(
  repair: readonly Rule[],
  progress: readonly Rule[],
  observed: Observation,
  goal: Goal,
  endpointOf: EndpointOf,
  beforeActing: readonly Rule[] = preconditions,
): Decision {
  let situation: ReturnType<typeof situationOf>;
  try {
    situation = situationOf(observed, goal, endpointOf);
  } catch (thrown) {
    const remedy = thrown instanceof KmsEtcdError ? thrown.remedy : undefined;
    return blocked(
      RotationStage.Read,
      thrown instanceof Error ? thrown.message : describeError(thrown),
      remedy ?? "mend it, then run again",
    );
  }
  for (const rule of repair) {
    const decision = rule(situation);
    if (decision === undefined) continue;
    // It edits what an upgrade edits, and restarts servers.
    const isSetUp = decision.kind === "act" && decision.action.kind === "setUp";
    const held = isSetUp ? heldBy(beforeActing, situation, decision.stage) : undefined;
    return held ?? loadableOnly(decision, observed);
  }
  for (const rule of progress) {
    const decision = rule(situation);
    if (decision === undefined) continue;
    // What lies behind `advanceTo` is not begun: being held there is the goal reached.
    if (isAfter(decision.stage, goal.advanceTo)) break;
    const held = decision.kind === "act" ? heldBy(beforeActing, situation, decision.stage) : undefined;
    return held ?? loadableOnly(decision, observed);
  }
  return { kind: "done", stage: goal.advanceTo };
}

function heldBy(rules: readonly Rule[], situation: Situation, stage: RotationStage): Decision | undefined {
  for (const rule of rules) {
    const held = rule(situation);
    if (held !== undefined) return { ...held, stage };
  }
  return undefined;
}
