/**
 * A plugin that API servers use gets another text: its key's ARN in the place of an alias, another image, other flags. Nothing shows such a
 * change in the secret, so it is seen through by itself, before any key is changed: update, one group after the other, every object read through
 * the first machine that has it. Where machines don't come up with it, the text of before goes back.
 */

import { writerOf } from "../../../../core/encryption-configuration";
import { RotationStage } from "../../../../core/rotation-stage";
import { describeAlias } from "../../../rules/alias-rules";
import { slotProviders } from "../../../slots";
import type { FileAsset, KopsCluster } from "../cluster-spec";
import { withArns } from "../key-aliases";
import type { KopsDecision } from "../kops-decision";
import type { AliasSeen, KopsObservation } from "../kops-observation";
import { isPending } from "../kops-output";
import { type KopsSituation, machineState } from "../kops-situation";
import { isOfGroups, pluginsOf } from "../merge-cluster-spec";
import { blocked, type KopsRule, putCluster } from "./kops-rule";
import { everyMachineIsSeen, readThroughOf, theClusterIsValid } from "./machine-rules";
import { isApplied, theStoreIsApplied } from "./store-rules";

/**
 * An alias that is moved changes the key behind an unchanged key_id, so the plugin gets the ARN of the key that is behind it now. Its key_id
 * becomes that ARN: with KMS v2 all that is stored counts as stale then, and stays readable, because aws-encryption-provider takes the key from
 * the ciphertext and looks at no key_id. So API servers with either text read each other's, and the rotation that follows writes all of
 * it again. One that has come as far as to write with another key needs the alias no more.
 */
export const noPluginIsNamedByAnAlias: KopsRule = (situation) => {
  const { aliases = [], cluster } = situation.observed;
  const isWritten = situation.slots.every(
    ({ slot, writer }) => writerOf(slotProviders(situation.config, slot)) === writer,
  );
  const [first] = aliases;
  if (first === undefined || isWritten) return undefined;
  const unknown = aliases.find(({ arn }) => arn === undefined);
  if (unknown !== undefined) {
    const { reason = "KMS does not say which key it is", remedy = "write its ARN there" } = unknown.problem ?? {};
    const what = `${describeAlias(unknown.plugin, unknown)}, and no rotation is begun from an alias: ${reason}`;
    return blocked(RotationStage.Plugin, what, remedy);
  }
  const arns = new Map(aliases.map(({ alias, arn = alias }) => [alias, arn]));
  const problem = aliases.map((seen) => byHand(situation, seen, arns)).find((decision) => decision !== undefined);
  if (problem !== undefined) return problem;
  const changed = aliases.map(({ asset }) => asset);
  const next = withAssets(cluster, (asset) => {
    const isChanged = changed.some(({ name, content }) => name === asset.name && content === asset.content);
    return isChanged ? (withArns(asset, arns) ?? asset) : asset;
  });
  const why = `${describeAlias(first.plugin, first)}: an alias can be moved without a trace, so the ARN takes its place before anything else`;
  return putCluster(situation, RotationStage.Plugin, next, why);
};

/** What can't be done for the user: another text here would change machines that are none of a rotation's, or can't be written. */
function byHand(situation: KopsSituation, seen: AliasSeen, arns: ReadonlyMap<string, string>) {
  const { cluster, groups } = situation.observed;
  const others = groups.filter(({ name }) => !situation.groups.some((group) => group.name === name));
  const plugin = pluginsOf(cluster).find(({ asset }) => asset.name === seen.asset.name);
  const why =
    seen.group !== undefined
      ? `it is a file asset of the instance group ${seen.group}, which is not changed here`
      : plugin !== undefined && isOfGroups(cluster, plugin, others)
        ? "machines without an API server get it or its hook too, and those are no part of a rotation"
        : withArns(seen.asset, arns) === undefined
          ? "its manifest writes the alias in a way that can't be edited here"
          : undefined;
  if (why === undefined) return undefined;
  const { name } = cluster.metadata;
  return blocked(
    RotationStage.Plugin,
    `${describeAlias(seen.plugin, seen)}, and no rotation is begun from an alias: ${why}`,
    `write --key=${seen.arn} into ${seen.asset.name} yourself (kops edit ${seen.group === undefined ? "cluster" : "instancegroup"}), carry it out (kops update cluster ${name} --yes, then kops rolling-update cluster ${name} --yes), then run again`,
  );
}

export const aChangedPluginReachesEveryMachine: KopsRule = (situation) => {
  const { observed } = situation;
  if ((observed.ownChange?.before ?? []).length === 0) return undefined;
  const decision =
    theStoreIsApplied(situation) ??
    theClusterIsValid(situation) ??
    everyMachineIsSeen(situation) ??
    readThroughFirst(situation) ??
    rollLate(situation);
  return decision && { ...decision, stage: RotationStage.Plugin };
};

function readThroughFirst(situation: KopsSituation): KopsDecision | undefined {
  const { machines } = situation.observed;
  const [first] = machines.filter(({ needsUpdate }) => !needsUpdate);
  if (first === undefined || hasReadThrough(situation.observed)) return undefined;
  return readThroughOf(situation, first, `${first.name} has the changed plugin: every object is read through it first`);
}

function rollLate({ observed, groups }: KopsSituation): KopsDecision | undefined {
  const late = observed.machines.filter(({ needsUpdate }) => needsUpdate);
  const group = groups.find(({ name }) => late.some((machine) => machine.group === name));
  if (group === undefined) return undefined;
  const names = late.flatMap((machine) => (machine.group === group.name ? [machine.name] : []));
  return {
    kind: "act",
    stage: RotationStage.Plugin,
    action: { kind: "roll", group: group.name, force: false },
    reason: `${names.join(", ")} does not have the changed plugin yet`,
  };
}

/** Invariant 11, for a plugin: a text that machines don't come up with must not wait for the next machine that boots. */
export const aFailedPluginGoesBack: KopsRule = (situation) => {
  const { cluster, run, ownChange } = situation.observed;
  if (run.changeFailed === undefined || run.failed.length > 0) return undefined;
  const before = ownChange?.before ?? [];
  const back = withAssets(cluster, (asset) => before.find(({ name }) => name === asset.name) ?? asset);
  const why = "machines can't be used with the changed plugin: back to its text of before";
  if (before.length > 0) return putCluster(situation, RotationStage.Plugin, back, why, []);
  const applied = theStoreIsApplied(situation);
  if (applied !== undefined) return { ...applied, stage: RotationStage.Plugin };
  return blocked(
    RotationStage.Plugin,
    `the changed plugin is taken back: ${run.changeFailed}`,
    "mend what keeps it from starting; a machine that did not come up can be terminated, its group then makes one with the plugin of before. Then run again",
  );
};

/** Whether the engine's own change is on every machine, and a plugin's is seen to work. */
export function isSeenThrough(situation: KopsSituation): boolean {
  const { observed, groups } = situation;
  const { ownChange, machines, pending = [] } = observed;
  if (ownChange === undefined || !isApplied(situation)) return false;
  if (groups.some((group) => isPending(pending, group))) return false;
  // One that was made with the change and did not come up is not older than its template.
  if (machines.some(({ needsUpdate, unreachable }) => needsUpdate || unreachable !== undefined)) return false;
  return ownChange.before.length === 0 || hasReadThrough(observed);
}

/** Through a machine that has the change, as it is now. */
function hasReadThrough({ machines, secret, run }: KopsObservation): boolean {
  return run.readThrough.some(({ state }) => {
    const machine = machines.find(({ name, needsUpdate }) => name === state.server && !needsUpdate);
    if (machine === undefined) return false;
    const now = machineState(machine, secret?.hash);
    return now.loadedHash === state.loadedHash && now.processStartedAt === state.processStartedAt;
  });
}

function withAssets(cluster: KopsCluster, change: (asset: FileAsset) => FileAsset): KopsCluster {
  const { fileAssets } = cluster.spec;
  return fileAssets === undefined
    ? cluster
    : { ...cluster, spec: { ...cluster.spec, fileAssets: fileAssets.map(change) } };
}
