/**
 * How far the rotation of kOps' keypairs goes. It is ordinary desired state: a later stage goes on, an earlier one goes back. The
 * values stand in users' programs and in state: never change one.
 */
export const KeypairStage = {
  /** Nothing new: what was staged is distrusted again. */
  None: "None",
  /** Every machine trusts the new keypairs beside the ones in use. */
  Stage: "Stage",
  /** The new keypairs issue; what the previous ones issued is still trusted. */
  Promote: "Promote",
  /** The previous keypairs are trusted no longer. */
  Distrust: "Distrust",
} as const;
export type KeypairStage = (typeof KeypairStage)[keyof typeof KeypairStage];

export const keypairStages: readonly KeypairStage[] = Object.values(KeypairStage);

/** Whether `stage` is `limit` or one after it. */
export function isAtLeast(stage: KeypairStage, limit: KeypairStage): boolean {
  return keypairStages.indexOf(stage) >= keypairStages.indexOf(limit);
}
