/** What a program demands of its keys; preview refuses what does not fulfil it. */

/** Rules for keys. Those that are left out demand nothing. */
export interface RotationPolicyArgs {
  /**
   * The key that encrypts may be so many days old. When it was made is read from the vault or the KMS; a key declared by hand says it in
   * `createdAt`.
   */
  readonly maximumKeyAgeDays?: number;
  /**
   * So many versions, the one that encrypts among them, stay declared and are not retired; all of them while there are fewer.
   * @integer
   */
  readonly minimumKeptVersions?: number;
}
