/**
 * Somebody else at work on the same cluster: an upgrade, a change that kops has yet to carry out, machines that wait for a roll. Our update
 * and our rolls would carry theirs along, and each would take the other's machines for failures. Nothing is at stake while a rotation waits,
 * because every stage can be stayed in, so nothing is begun beside it. Repairs are done all the same.
 */
import { endpointsOf, type ProviderItem, readersOf } from "../../../../core/encryption-configuration";
import { sameList, slotProviders } from "../../../slots";
import type { InstanceGroup } from "../cluster-spec";
import { isPending } from "../kops-output";
import type { KopsSituation } from "../kops-situation";
import { isOurAsset, pluginsOf } from "../merge-cluster-spec";
import { blocked, finalList, type KopsRule, stageOf } from "./kops-rule";

const carryOut = ({ observed }: KopsSituation) => {
  const { name } = observed.cluster.metadata;
  return `carry it out with the kops that this run uses (kops update cluster ${name} --yes, then kops rolling-update cluster ${name} --yes) or take it back, then run again`;
};

/**
 * Where the API servers differ, somebody rolls them, or has left off, and our roll would go on with it. Where the spec says another
 * Kubernetes than they run, our update would tell it to them, and our roll would be the upgrade.
 */
export const noUpgradeIsUnderWay: KopsRule = (situation) => {
  const seen = situation.observed.machines.filter(({ version }) => version !== "");
  const versions = [...new Set(seen.map(({ version }) => version))];
  if (new Set(versions.map((version) => minorOf(version) ?? version)).size < 2) return stagedUpgrade(situation);
  const of = versions.map((version) => {
    const names = seen.flatMap((machine) => (machine.version === version ? [machine.name] : []));
    return `${names.join(", ")} ${names.length === 1 ? "runs" : "run"} ${version}`;
  });
  return blocked(
    stageOf(situation),
    `an upgrade of the API servers is under way: ${of.join("; ")}`,
    `finish it, or take it back, until all of them run one minor version: kops rolling-update cluster ${situation.observed.cluster.metadata.name} --yes; then run again`,
  );
};

function stagedUpgrade(situation: KopsSituation) {
  const { cluster, machines } = situation.observed;
  const { kubernetesVersion } = cluster.spec;
  // kOps also takes an address of a build for a version, and keeps what it can't read: of these nothing is concluded.
  const staged = kubernetesVersion === undefined ? undefined : minorOf(kubernetesVersion);
  if (staged === undefined) return undefined;
  const other = machines.find(({ version }) => (minorOf(version) ?? staged) !== staged);
  if (other === undefined) return undefined;
  return blocked(
    stageOf(situation),
    `an upgrade waits in the cluster's spec: it says Kubernetes ${kubernetesVersion}, and ${other.name} runs ${other.version}`,
    carryOut(situation),
  );
}

/**
 * Whether the API servers differ, or the spec says another Kubernetes than they run, a patch included. Who upgrades replaces every machine
 * that is late.
 */
export function isUpgraded({ observed }: KopsSituation): boolean {
  const said = [...observed.machines.map(({ version }) => version), observed.cluster.spec.kubernetesVersion ?? ""];
  return new Set(said.flatMap((version) => /^v?(\d+\.\d+\.\d+)/.exec(version)?.[1] ?? [])).size > 1;
}

/** A rotation changes groups with API servers alone: where an update would give others a new template too, it is about more than ours. */
export const noOtherGroupChanges: KopsRule = (situation) => {
  const { pending = [], groups } = situation.observed;
  const others = groups.filter(({ name }) => !situation.groups.some((group) => group.name === name));
  return pendingFor(situation, pending, others, "that are no part of a rotation");
};

/** Before our first change: whatever an update would tell the API servers' groups then is not ours. */
export const nothingIsPendingBefore: KopsRule = (situation) => {
  const { pending = [], cluster, secret } = situation.observed;
  if (cluster.spec.encryptionConfig === true && secret === undefined) {
    return blocked(
      stageOf(situation),
      "the cluster's spec has encryptionConfig: true and there is no encryptionconfig secret, so kops can't say what an update would change",
      `where data is encrypted already, put the secret of before back (kops create secret encryptionconfig -f FILE); where none is, take encryptionConfig out of the spec (kops edit cluster ${cluster.metadata.name}), the run puts it there itself; then run again`,
    );
  }
  return pendingFor(situation, pending, situation.groups, "from before this run");
};

/** Before our first change: a machine that is older than its template waits for somebody's roll. */
export const noMachineIsLateBefore: KopsRule = (situation) => {
  const late = situation.observed.machines.filter(({ needsUpdate }) => needsUpdate);
  if (late.length === 0) return undefined;
  const names = late.map(({ name, group }) => `${name} of ${group}`).join(", ");
  const { name } = situation.observed.cluster.metadata;
  return blocked(
    stageOf(situation),
    `${names} ${late.length === 1 ? "is" : "are"} older than what the group's template says, from before this run`,
    `roll first (kops rolling-update cluster ${name} --yes), so that the rolls of this run carry nothing else along, then run again`,
  );
};

/** Whether this run has begun, or the rotation that is wanted has left any trace: then what is pending may be its own. */
export function isBegun(situation: KopsSituation): boolean {
  const { observed, config, slots, behind } = situation;
  const { updatedFor, specChanged, replaced } = observed.run;
  const named = endpointsOf(config);
  const canNotSay = observed.machines.some(({ loaded }) => loaded.kind === "unknown");
  return (
    updatedFor !== undefined ||
    specChanged ||
    replaced !== undefined ||
    observed.ownChange !== undefined ||
    behind.some(({ loaded }) => loaded.kind !== "unknown") ||
    slots.some((kopsSlot) => {
      const list = slotProviders(config, kopsSlot.slot);
      // With plaintext behind a key, a list that reads what is wanted and is not the last one is one of the way. A machine that can't say
      // what it has loaded is no trace, so there the last one is one too.
      const isOnTheWay = canNotSay || !sameList(list, finalList(situation, kopsSlot));
      return !isAtRest(list) || (isOnTheWay && readersOf(list).has(kopsSlot.writer));
    }) ||
    pluginsOf(observed.cluster).some(
      ({ asset, sockets }) => isOurAsset(asset) && !sockets.some((socket) => named.has(`unix://${socket}`)),
    )
  );
}

/** One provider, and plaintext behind it at most. */
function isAtRest(list: readonly ProviderItem[]): boolean {
  return list.filter((item, index) => index === 0 || item.kind !== "identity").length <= 1;
}

function pendingFor(
  situation: KopsSituation,
  tasks: readonly string[],
  groups: readonly InstanceGroup[],
  what: string,
) {
  const changed = groups.filter((group) => isPending(tasks, group));
  if (changed.length === 0) return undefined;
  return blocked(
    stageOf(situation),
    `kops update cluster has changes to make to the machines of ${changed.map(({ name }) => name).join(", ")} ${what}`,
    `${carryOut(situation)}; where only a newer kops wants them, set \`program\` to the one that updated the cluster last instead`,
  );
}

/** Of "v1.36.3" or "1.36.0"; undefined for what is no version number. */
function minorOf(version: string): string | undefined {
  return /^v?(\d+\.\d+)(?:\.|$)/.exec(version)?.[1];
}
