/** The stages of every change, in order. The values stand in users' programs and in state: never change one. */
export const RotationStage = {
  /** The new plugin answers on every control-plane host, and every host decrypts what every other host encrypted. */
  Plugin: "Plugin",
  /** Every API server has loaded a configuration that can decrypt with the new key. */
  Read: "Read",
  /** Every API server has loaded a configuration that encrypts with the new key. */
  Write: "Write",
  /** Every stored object has been written again. */
  Rewrite: "Rewrite",
  /** It has been seen that every stored object uses the new key. */
  Verify: "Verify",
  /** The old providers have left every server's configuration, and their plugins have stopped. */
  Prune: "Prune",
} as const;
export type RotationStage = (typeof RotationStage)[keyof typeof RotationStage];

export const rotationStages: readonly RotationStage[] = Object.values(RotationStage);

/** Whether `stage` comes after `limit`. */
export function isAfter(stage: RotationStage, limit: RotationStage): boolean {
  return rotationStages.indexOf(stage) > rotationStages.indexOf(limit);
}
