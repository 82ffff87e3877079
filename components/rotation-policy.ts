/** What a program demands of its keys; preview refuses what does not fulfil it. */

/** Rules for keys. Those that are left out demand nothing. */
export interface RotationPolicyArgs {
  /** The key that encrypts may be so many days old. Needs `createdAt` of the declared key; a LocalKey has it. */
  readonly maximumKeyAgeDays?: number;
  /**
   * So many versions, the one that encrypts among them, stay declared and are not retired; all of them while there are fewer.
   * @integer
   */
  readonly minimumKeptVersions?: number;
}
