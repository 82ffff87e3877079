/** Who writes the stored objects again. The values stand in users' programs and in state: never change one. */
export const RewriteMethod = {
  /** The engine does, by an empty PATCH of each object's metadata form: no content leaves the API servers. */
  Patch: "Patch",
  /** The cluster's own controller does, where `storagemigration.k8s.io` is served. The engine asks it, waits, and verifies. */
  InTreeMigration: "InTreeMigration",
} as const;
export type RewriteMethod = (typeof RewriteMethod)[keyof typeof RewriteMethod];

export const rewriteMethods: readonly RewriteMethod[] = Object.values(RewriteMethod);
