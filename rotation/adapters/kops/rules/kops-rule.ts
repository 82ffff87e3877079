/** A rule of the kOps engine looks at the situation and either decides or leaves it to the next rule. */
import { endpointsOf, type ProviderItem, readersOf, writerOf } from "../../../../core/encryption-configuration";
import { RotationStage } from "../../../../core/rotation-stage";
import { identityItem } from "../../../situation";
import { sameList, slotProviders } from "../../../slots";
import type { FileAsset, KopsCluster } from "../cluster-spec";
import type { KopsDecision } from "../kops-decision";
import type { KopsSituation, KopsSlot } from "../kops-situation";
import { pluginsOf } from "../merge-cluster-spec";

export type KopsRule = (situation: KopsSituation) => KopsDecision | undefined;

export function blocked(stage: RotationStage, reason: string, remedy: string): KopsDecision {
  return { kind: "blocked", stage, reason, remedy };
}

/** `before` are the assets that go back if machines don't come up. */
export function putCluster(
  situation: KopsSituation,
  stage: RotationStage,
  cluster: KopsCluster,
  reason: string,
  before: readonly FileAsset[] = changedInUse(situation, cluster),
): KopsDecision {
  const expected = situation.observed.cluster;
  return { kind: "act", stage, action: { kind: "putCluster", cluster, expected, before }, reason };
}

/** Assets of plugins that the secret names and that get another text, as machines have run them last. */
function changedInUse({ observed, config }: KopsSituation, { spec }: KopsCluster): readonly FileAsset[] {
  const named = endpointsOf(config);
  const used = pluginsOf(observed.cluster).filter(({ sockets }) =>
    sockets.some((socket) => named.has(`unix://${socket}`)),
  );
  return used.flatMap(({ asset }) => {
    const next = spec.fileAssets?.find(({ name }) => name === asset.name);
    // A change that is not seen through has not made its text one that works.
    const before = observed.ownChange?.before.find(({ name }) => name === asset.name) ?? asset;
    return next === undefined || JSON.stringify(next) === JSON.stringify(before) ? [] : [before];
  });
}

/** A repair: what it replaces is not fit to go back to. */
export function putSecret(situation: KopsSituation, stage: RotationStage, text: string, reason: string): KopsDecision {
  return secretChange(situation, stage, text, reason, false);
}

/** A step of the way: `everyMachineRunsTheSecret` has seen to it that all of them run the one of before. */
export function putNextSecret(
  situation: KopsSituation,
  stage: RotationStage,
  text: string,
  reason: string,
): KopsDecision {
  return secretChange(situation, stage, text, reason, situation.observed.secret !== undefined);
}

function secretChange(
  { observed }: KopsSituation,
  stage: RotationStage,
  text: string,
  reason: string,
  mayGoBack: boolean,
): KopsDecision {
  const action = { kind: "putSecret" as const, text, expectedHash: observed.secret?.hash, mayGoBack };
  return { kind: "act", stage, action, reason };
}

/** How far the secret is; the machines follow it. */
export function stageOf(situation: KopsSituation): RotationStage {
  const lists = situation.slots.map((kopsSlot) => ({ kopsSlot, list: slotProviders(situation.config, kopsSlot.slot) }));
  if (isFinal(situation)) return RotationStage.Prune;
  if (lists.every(({ kopsSlot, list }) => writerOf(list) === kopsSlot.writer)) return RotationStage.Write;
  if (lists.every(({ kopsSlot, list }) => readersOf(list).has(kopsSlot.writer))) return RotationStage.Read;
  return RotationStage.Plugin;
}

/** Whether the secret has only what the goal leaves in it: then whatever can be read was stored with that. */
export function isFinal(situation: KopsSituation): boolean {
  return situation.slots.every((kopsSlot) =>
    sameList(slotProviders(situation.config, kopsSlot.slot), finalList(situation, kopsSlot)),
  );
}

/** What is left of a slot's list in the end. */
export function finalList({ goal }: KopsSituation, { item }: KopsSlot): readonly ProviderItem[] {
  return goal.allowPlaintextReads && item.kind !== "identity" ? [item, identityItem] : [item];
}
