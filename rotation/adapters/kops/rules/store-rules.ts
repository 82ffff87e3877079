/** Rules about what the state store has: nothing that a machine could boot with may be unreadable, unsafe or somebody else's. */
import {
  type EncryptionConfiguration,
  type ProviderItem,
  readersOf,
  writerOf,
} from "../../../../core/encryption-configuration";
import type { PluginInstance } from "../../../../core/plugin-instance";
import { isAfter, RotationStage } from "../../../../core/rotation-stage";
import { addReaders, promote, slotProviders, withSlotProviders } from "../../../slots";
import { appliedAsset, assetPath } from "../cluster-spec";
import type { KopsDecision } from "../kops-decision";
import {
  everyMachineReads,
  itemFor,
  type KopsSituation,
  loadedList,
  neededReaders,
  pluginsNamed,
  servedEndpoints,
  settingsFor,
  storeFingerprint,
  textFor,
} from "../kops-situation";
import { isAssetOf, isOurAsset, pluginsOf, withKmsSettings, withoutPlugins } from "../merge-cluster-spec";
import { kopsEndpoint } from "../plugin-asset";
import { readSecretText, secretHash } from "../secret-text";
import { specProblems } from "../spec-problems";
import { blocked, finalList, isFinal, type KopsRule, putCluster, putSecret, stageOf } from "./kops-rule";

/** An API server that is on no machine of the platform may write with any key. */
export const everyServerIsAMachine: KopsRule = (situation) => {
  const { strangers } = situation.observed;
  if (strangers.length === 0) return undefined;
  return blocked(
    stageOf(situation),
    `API servers run that no instance group has: ${strangers.join(", ")}`,
    "remove them, or add their machines to an instance group, then run again",
  );
};

/** Without machines everything would seem proven. */
export const thereAreMachines: KopsRule = (situation) => {
  const { machines, isNew } = situation.observed;
  if (machines.length > 0 || isNew === true) return undefined;
  return blocked(
    stageOf(situation),
    "no machine that runs an API server was seen",
    "see what `kops get instances` prints: a cluster that stands still has data, and what that needs can't be seen; " +
      "if kOps has made keypairs and no machine yet, let it: kops update cluster --yes, and encryption is turned on by rolls",
  );
};

/** kOps takes any YAML map for a configuration; API servers that get another kind of text don't start. */
export const theSecretIsAConfiguration: KopsRule = (situation) => {
  const { secret } = situation.observed;
  if (secret === undefined || secret.config !== undefined) return undefined;
  return blocked(
    stageOf(situation),
    `the encryptionconfig secret can't be used, and every machine that boots gets it: ${secret.problem ?? "it is no configuration"}`,
    "put a right one there at once: kops create secret encryptionconfig -f FILE --force",
  );
};

export const nobodyElseChangesTheSecret: KopsRule = (situation) => {
  const { changedByOthers } = situation.observed.run;
  if (changedByOthers === undefined) return undefined;
  return blocked(
    stageOf(situation),
    `somebody else has changed the encryptionconfig secret while this run was under way: ${changedByOthers}`,
    "find out who, let only one of you go on, then run again: it goes on from what is there",
  );
};

export const theSpecIsUsable: KopsRule = (situation) => {
  const { observed, goal } = situation;
  const plugins = goal.writer === "identity" ? [] : [goal.writer];
  const [problem, ...others] = specProblems(observed.cluster, observed.groups, settingsFor(situation, plugins));
  if (problem === undefined) return undefined;
  const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
  return blocked(RotationStage.Plugin, `${problem.path} ${problem.reason}${more}`, problem.remedy);
};

/**
 * A cluster that kOps has yet to make has nothing stored, so it begins with the key alone: its first machine encrypts what it writes first.
 * It is the user who lets kOps make it.
 */
export const aNewClusterBeginsWithTheKey: KopsRule = (situation) => {
  const { observed, goal, slots } = situation;
  if (observed.isNew !== true) return undefined;
  const done: KopsDecision = { kind: "done", stage: goal.advanceTo };
  if (goal.writer === "identity" && observed.cluster.spec.encryptionConfig !== true) return done;
  if (goal.writer !== "identity" && isAfter(RotationStage.Write, goal.advanceTo)) {
    return blocked(
      RotationStage.Plugin,
      `advanceTo is ${goal.advanceTo}, but kOps has yet to make the cluster, and it can only begin with the key`,
      "leave advanceTo out until the cluster is there",
    );
  }
  const plugins = goal.writer === "identity" ? [] : [goal.writer];
  const others = pluginsOf(observed.cluster).filter(
    ({ asset }) => isOurAsset(asset) && !plugins.some((plugin) => isAssetOf(plugin, asset)),
  );
  const cluster = withoutPlugins(withKmsSettings(observed.cluster, settingsFor(situation, plugins)), others);
  const why = "kOps has yet to make the cluster, so nothing is stored: it begins with the key";
  if (JSON.stringify(cluster) !== JSON.stringify(observed.cluster)) {
    return putCluster(situation, RotationStage.Plugin, cluster, why);
  }
  let { config } = situation;
  for (const kopsSlot of slots) config = withSlotProviders(config, kopsSlot.slot, finalList(situation, kopsSlot));
  if (observed.secret !== undefined && isFinal(situation)) return done;
  return putSecret(situation, RotationStage.Write, textFor(situation, config), why);
};

/** Invariant 11: a secret that machines don't come up with must not wait for the next machine that boots. */
export const aFailedSecretGoesBack: KopsRule = (situation) => {
  const { observed } = situation;
  const reason = observed.run.notLoaded[observed.secret?.hash ?? ""];
  if (reason === undefined) return undefined;
  const running = observed.machines.flatMap(({ loaded }) => (loaded.kind === "hash" ? (loaded.known ?? []) : []));
  const before = observed.run.replaced ?? observed.ownChange?.replaced;
  const texts = [...running.map(({ text }) => text), ...(before === undefined ? [] : [before.text])];
  const text = texts.find((candidate) => observed.run.notLoaded[secretHash(candidate)] === undefined);
  if (text !== undefined) {
    const why = "a machine did not come up with the new secret: back to the one before";
    return pluginsFirst(situation, readSecretText(text), why) ?? putSecret(situation, stageOf(situation), text, why);
  }
  return blocked(
    stageOf(situation),
    `a machine did not come up with the secret (${reason}), and what the others run is not known`,
    "put the secret of before back from the backup folder: kops create secret encryptionconfig -f FILE --force",
  );
};

/** Every plugin that the secret names is on every machine that boots from now on. */
export const everyNamedPluginIsThere: KopsRule = (situation) => {
  const missing = missingPlugins(situation, situation.config);
  if (missing.length === 0) return undefined;
  const names = missing.map((plugin) => plugin.name).join(", ");
  return withMissing(situation, missing, `the secret names ${names}, and the spec lacks it`);
};

/** Invariant 2: what machines write and what was counted stays readable, whatever state a kill or another hand has left. */
export const theSecretReadsWhatIsNeeded: KopsRule = (situation) => {
  let { config } = situation;
  const lost: string[] = [];
  for (const { slot } of situation.slots) {
    const list = slotProviders(config, slot);
    const readers = readersOf(list);
    const items: ProviderItem[] = [];
    for (const id of neededReaders(situation, slot)) {
      if (readers.has(id)) continue;
      const item = itemFor(situation, slot, id);
      if (item === undefined) lost.push(id);
      else items.push(item);
    }
    if (items.length > 0) config = withSlotProviders(config, slot, addReaders(list, items));
  }
  if (lost.length > 0) {
    return blocked(
      stageOf(situation),
      `stored data needs ${lost.join(", ")}, which the secret does not read and no declared key belongs to`,
      "declare the key behind it, or put a secret back that reads it",
    );
  }
  if (config === situation.config) return undefined;
  const why = "stored data needs a key that the secret does not read";
  return (
    pluginsFirst(situation, config, why) ?? putSecret(situation, RotationStage.Read, textFor(situation, config), why)
  );
};

/** Invariant 1: a machine that boots writes with the secret's first provider at once, so every other machine must read it. */
export const everyMachineReadsTheSecretsWriter: KopsRule = (situation) => {
  let { config } = situation;
  for (const { slot } of situation.slots) {
    const list = slotProviders(config, slot);
    if (everyMachineReads(situation, slot, writerOf(list))) continue;
    const safe = situation.observed.machines
      .map((machine) => loadedList(machine, slot))
      .map((loaded) => (loaded === undefined ? undefined : writerOf(loaded)))
      .find((id) => id !== undefined && readersOf(list).has(id) && everyMachineReads(situation, slot, id));
    if (safe === undefined) {
      return blocked(
        stageOf(situation),
        `no provider of the secret for ${slot.name} is readable on every machine`,
        "put the secret of before back, and roll the control plane with it",
      );
    }
    config = withSlotProviders(config, slot, promote(list, safe));
  }
  if (config === situation.config) return undefined;
  return putSecret(
    situation,
    RotationStage.Read,
    textFor(situation, config),
    "not every machine reads what the secret would have a booting one write",
  );
};

/** Groups get what the store says. An update that was cut off may have told some of it only, so what is unproven is told again. */
export const theStoreIsApplied: KopsRule = (situation) => {
  const { observed, behind, goal } = situation;
  if (observed.cluster.spec.encryptionConfig !== true || observed.secret === undefined) return undefined;
  // The policy of the machines' role is no part of what a group is told.
  const hasPolicy =
    goal.statements === undefined || !observed.pending?.some((task) => task.startsWith("IAMRolePolicy/additional."));
  const complete =
    hasPolicy && isApplied(situation) && observed.applied.every((group) => group.secretHash === observed.secret?.hash);
  const told =
    (behind.length === 0 && !observed.run.specChanged) ||
    observed.run.updatedFor === storeFingerprint(observed.cluster, observed.secret.hash);
  if (complete && told) return undefined;
  return update(
    situation,
    complete ? "the update before this run may not have ended" : "the groups don't have yet what the store says",
  );
};

/** What has to come before a secret with `config`: its plugins in the spec, and the spec in every group. */
function pluginsFirst(
  situation: KopsSituation,
  config: EncryptionConfiguration,
  why: string,
): KopsDecision | undefined {
  const missing = missingPlugins(situation, config);
  if (missing.length > 0) return withMissing(situation, missing, why);
  return isApplied(situation) ? undefined : update(situation, why);
}

function missingPlugins({ observed, goal }: KopsSituation, config: EncryptionConfiguration): readonly PluginInstance[] {
  const served = servedEndpoints(observed.cluster);
  return pluginsNamed(config, goal).filter((plugin) => !served.has(kopsEndpoint(plugin)));
}

function withMissing(situation: KopsSituation, missing: readonly PluginInstance[], why: string): KopsDecision {
  const { cluster } = situation.observed;
  return putCluster(situation, stageOf(situation), withKmsSettings(cluster, settingsFor(situation, missing)), why);
}

/** Whether each group's machines would get exactly the spec's files. */
export function isApplied({ observed, groups }: KopsSituation): boolean {
  return groups.every((group) => {
    // A group's own file wins over the cluster's at the same path.
    const paths = group.fileAssets.map(assetPath);
    const shared = (observed.cluster.spec.fileAssets ?? []).filter((asset) => !paths.includes(assetPath(asset)));
    const wanted = [...shared, ...group.fileAssets].flatMap((asset) => appliedAsset(asset, group.role) ?? []).sort();
    const applied = observed.applied.find((candidate) => candidate.group === group.name);
    return applied !== undefined && JSON.stringify([...applied.assets].sort()) === JSON.stringify(wanted);
  });
}

function update(situation: KopsSituation, reason: string): KopsDecision {
  const { observed } = situation;
  const fingerprint = storeFingerprint(observed.cluster, observed.secret?.hash);
  return { kind: "act", stage: stageOf(situation), action: { kind: "update", fingerprint }, reason };
}
