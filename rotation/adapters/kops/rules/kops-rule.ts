/** A rule of the kOps engine looks at the situation and either decides or leaves it to the next rule. */
import { type ProviderItem, readersOf, writerOf } from "../../../../core/encryption-configuration";
import { RotationStage } from "../../../../core/rotation-stage";
import { identityItem } from "../../../situation";
import { sameList, slotProviders } from "../../../slots";
import type { KopsCluster } from "../cluster-spec";
import type { KopsDecision } from "../kops-decision";
import type { KopsSituation, KopsSlot } from "../kops-situation";

export type KopsRule = (situation: KopsSituation) => KopsDecision | undefined;

export function blocked(stage: RotationStage, reason: string, remedy: string): KopsDecision {
  return { kind: "blocked", stage, reason, remedy };
}

export function putCluster(
  { observed }: KopsSituation,
  stage: RotationStage,
  cluster: KopsCluster,
  reason: string,
): KopsDecision {
  return { kind: "act", stage, action: { kind: "putCluster", cluster, expected: observed.cluster }, reason };
}

export function putSecret(
  { observed }: KopsSituation,
  stage: RotationStage,
  text: string,
  reason: string,
): KopsDecision {
  return { kind: "act", stage, action: { kind: "putSecret", text, expectedHash: observed.secret?.hash }, reason };
}

/** How far the secret is; the machines follow it. */
export function stageOf(situation: KopsSituation): RotationStage {
  const lists = situation.slots.map((kopsSlot) => ({ kopsSlot, list: slotProviders(situation.config, kopsSlot.slot) }));
  if (lists.every(({ kopsSlot, list }) => sameList(list, finalList(situation, kopsSlot)))) return RotationStage.Prune;
  if (lists.every(({ kopsSlot, list }) => writerOf(list) === kopsSlot.writer)) return RotationStage.Write;
  if (lists.every(({ kopsSlot, list }) => readersOf(list).has(kopsSlot.writer))) return RotationStage.Read;
  return RotationStage.Plugin;
}

/** What is left of a slot's list in the end. */
export function finalList({ goal }: KopsSituation, { item }: KopsSlot): readonly ProviderItem[] {
  return goal.allowPlaintextReads && item.kind !== "identity" ? [item, identityItem] : [item];
}
