/** The plan of a rollout on kOps as lines for `pulumi preview --diff`: a stage each, with what it changes in the store and which machines it replaces. */
import { providerIds } from "../../core/encryption-configuration";
import { RotationStage } from "../../core/rotation-stage";
import type { KopsCluster as KopsDocument } from "../../rotation/adapters/kops/cluster-spec";
import type { KopsGoal } from "../../rotation/adapters/kops/kops-decision";
import type { AliasSeen, KopsObservation } from "../../rotation/adapters/kops/kops-observation";
import { isPending } from "../../rotation/adapters/kops/kops-output";
import { presentSituation } from "../../rotation/adapters/kops/kops-situation";
import { isOfGroups, isOurAsset, pluginsOf } from "../../rotation/adapters/kops/merge-cluster-spec";
import { type KopsPlan, type KopsPlannedStage, replacementTime, staleIn } from "../../rotation/adapters/kops/plan-kops";
import { noPluginIsNamedByAnAlias } from "../../rotation/adapters/kops/rules/plugin-change-rules";
import { readSecretText } from "../../rotation/adapters/kops/secret-text";
import { alongWarnings, type PlannedStage } from "../../rotation/plan";
import { rewriteWarnings, unsizedWarnings } from "../../rotation/plan-warnings";
import { describeAlias } from "../../rotation/rules/alias-rules";
import { plannedStages, rewriteCosts } from "./plan-lines";
import type { RolloutGoal } from "./rotation-engine";

/** The stages in the form of every platform's plan: views and durations are made from it. */
export function kopsStages({ stages, rewrite }: KopsPlan): readonly PlannedStage[] {
  return stages.map(({ stage, reason, rolls, replaced, expectedMs }) => ({
    stage,
    summary: reason,
    servers: [...new Set(rolls)],
    restarts: replaced,
    ...(stage === RotationStage.Rewrite && rewrite !== undefined && { objects: staleIn(rewrite) }),
    expectedMs,
  }));
}

/** A line for each command, because Pulumi shows the beginning of a long text only. `key` is what the key is called. */
export function kopsLines(
  plan: KopsPlan,
  observed: KopsObservation,
  goal: Pick<RolloutGoal, "advanceTo" | "retire">,
  key: string,
): readonly string[] {
  const { pending = [], isNew = false } = observed;
  const before =
    pending.length === 0 || isNew
      ? []
      : [`kops update cluster has changes to make already, carried over: ${pending.join(", ")}`];
  return [
    ...before,
    ...plannedStages(plan, { goal }).flatMap((stage) => {
      const planned = plan.stages.find((entry) => entry.stage === stage);
      const costs = stage === RotationStage.Rewrite ? rewriteCosts(plan) : [];
      const retired = stage === RotationStage.Prune ? retiredKeys(goal) : [];
      return [purpose(stage, key), ...(planned ? steps(planned) : []), ...costs, ...retired].map(
        (text) => `${stage}: ${text}`,
      );
    }),
  ];
}

function retiredKeys({ retire = [] }: Pick<RolloutGoal, "retire">): readonly string[] {
  const versions = retire.map(({ version }) => version).join(", ");
  return versions === "" ? [] : [`then the key of version ${versions} is retired`];
}

function steps({ actions, rolls, replaced }: KopsPlannedStage): readonly string[] {
  const minutes = Math.max(1, Math.round((replaced * replacementTime) / 60_000));
  const parts = actions.flatMap((action): readonly string[] => {
    switch (action.kind) {
      case "putCluster":
        return specChanges(action.expected, action.cluster).map((change) => `spec: ${change}`);
      case "putSecret":
        return [`secret encryptionconfig: ${describeSecret(action.text)}`];
      case "update":
        return ["kops update cluster --yes"];
      case "roll":
        return [];
      case "rewrite": {
        const resources = action.targets.map(({ resource }) => resource);
        return [`write every object of ${resources.join(", ")} again`];
      }
    }
  });
  if (rolls.length === 0) return parts;
  const machines = `${replaced} ${replaced === 1 ? "machine" : "machines"}, about ${minutes} min`;
  return [...parts, `kops rolling-update of ${rolls.join(", ")}: ${machines}`];
}

function purpose(stage: RotationStage, key: string): string {
  switch (stage) {
    case RotationStage.Plugin:
      return `every machine that boots from now on is ready for ${key}`;
    case RotationStage.Read:
      return `every machine reads with ${key}`;
    case RotationStage.Write:
      return `every machine writes with ${key}`;
    case RotationStage.Rewrite:
      return `every stored object gets ${key}`;
    case RotationStage.Verify:
      return "what is stored is counted by its key";
    case RotationStage.Prune:
      return "what is no longer needed leaves the secret, then the spec; the keys stay";
  }
}

/** Providers in their order; never a key. */
function describeSecret(text: string): string {
  return readSecretText(text)
    .blocks.map(({ resources, providers }) => `${resources.join(", ")} [${providers.flatMap(providerIds).join(", ")}]`)
    .join(", ");
}

function specChanges(before: KopsDocument, after: KopsDocument): readonly string[] {
  const names = ({ spec }: KopsDocument) => (spec.fileAssets ?? []).map(({ name }) => name);
  const changed = (after.spec.fileAssets ?? []).filter((asset) => {
    const other = before.spec.fileAssets?.find(({ name }) => name === asset.name);
    return other !== undefined && JSON.stringify(other) !== JSON.stringify(asset);
  });
  const policies = ({ spec }: KopsDocument) => JSON.stringify(spec.additionalPolicies ?? {});
  const isSamePolicy = policies(before) === policies(after);
  return [
    ...(before.spec.encryptionConfig === after.spec.encryptionConfig ? [] : ["encryptionConfig: true"]),
    ...names(after)
      .filter((name) => !names(before).includes(name))
      .map((name) => `+ file asset ${name}`),
    ...names(before)
      .filter((name) => !names(after).includes(name))
      .map((name) => `- file asset ${name}`),
    ...changed.map(({ name }) => `~ file asset ${name}`),
    ...((before.spec.hooks ?? []).length > (after.spec.hooks ?? []).length ? ["- a hook for the plugin's socket"] : []),
    ...(isSamePolicy ? [] : ["~ additionalPolicies of the machines' role"]),
  ];
}

/** The plugin reports the alias itself as its key_id, so API servers never learn that another key is behind it. */
function aliasWarning(seen: AliasSeen, isReplaced: boolean): string {
  const what = `${describeAlias(seen.plugin, seen)}: an alias can be moved to another key, and nothing tells of it`;
  return isReplaced
    ? `${what}. The ARN takes its place before anything else, and each machine is replaced once for that; leave the alias where it is until then`
    : `${what}. This rollout moves what is stored to a key by its ARN; leave the alias where it is until then`;
}

/** What must not come as a surprise. */
export function kopsWarnings(
  { stages, rewrite }: KopsPlan,
  observed: KopsObservation,
  goal: KopsGoal,
): readonly string[] {
  const situation = presentSituation(observed, goal);
  const leaving = (situation?.slots ?? []).filter(({ slot }) => slot.leaving).flatMap(({ slot }) => slot.resources);
  const isOff = goal.writer === "identity" && (situation?.slots ?? []).some(({ slot }) => !slot.leaving);
  const isReplaced = situation !== undefined && noPluginIsNamedByAnAlias(situation)?.kind === "act";
  const rolls = stages.some((stage) => stage.replaced > 0);
  const machines = new Set(situation?.groups.map(({ name }) => name));
  const workers = observed.groups.filter(({ name }) => !machines.has(name));
  // What machines get is the rotation's own, or it is held; the completed spec changes with everything.
  const others = (observed.pending ?? []).filter(
    (task) =>
      task !== "ManagedFile/cluster-completed.spec" && !observed.groups.some((group) => isPending([task], group)),
  );
  return [
    ...alongWarnings(situation?.slots ?? [], goal),
    ...(observed.isNew === true
      ? [
          "kOps has yet to make the cluster: when this has ended, kops update cluster --yes makes it, encrypted from its first write",
        ]
      : []),
    ...(observed.aliases ?? []).map((seen) => aliasWarning(seen, isReplaced)),
    ...pluginsOf(observed.cluster)
      .filter((plugin) => !isOurAsset(plugin.asset) && isOfGroups(observed.cluster, plugin, workers))
      .map(
        ({ name }) =>
          `plugin ${name}: machines without an API server get its file asset or the hook for it too, so it stays in the spec; take both out by hand when this has ended`,
      ),
    ...(rolls && observed.machines.length === 1
      ? ["there is one machine with an API server: the API is away whenever it is replaced"]
      : []),
    ...(stages.length > 0 && others.length > 0 && observed.isNew !== true
      ? [`kops update cluster would also change what has nothing to do with encryption: ${others.join(", ")}`]
      : []),
    ...(leaving.length === 0
      ? []
      : [`${leaving.join(", ")}: no longer in resources, so every object of it is written back in plaintext`]),
    ...(isOff && stages.length > 0
      ? [`encryption is off: every object of ${goal.resources.join(", ")} is written back in plaintext`]
      : []),
    ...rewriteWarnings(rewrite),
    ...unsizedWarnings(rewrite),
  ];
}
