/**
 * Which objects a rewrite need not offer again, so that a resumed or repeated one costs a listing and little more. A look
 * into etcd tells the highest revision at which a value with another key was last changed: an object that the API servers
 * list with a higher resourceVersion was changed since, or has the right key. What a late request stores after the look with
 * the old key is above it too; the look that proves the rewrite begins after such requests, finds it, and has it rewritten.
 */
import type { RewriteTarget } from "./decision";
import { failedObjects } from "./object-failures";
import type { ObjectFailure, StoredProof } from "./observation";
import { hasKey, staleTotal } from "./proofs";

export interface RewriteScope {
  /** By target: nothing of it with a higher resourceVersion has another key, and nothing at all with 0. No entry: unknown. */
  readonly staleUpTo: ReadonlyMap<string, number>;
  /** The only objects to offer of targets without an entry; undefined: all. */
  readonly refused?: readonly ObjectFailure[];
}

/** By a proof that still holds, and what the last rewrite of this run has left behind. Whatever is not known is offered. */
export function rewriteScope(
  proof: StoredProof | undefined,
  targets: readonly RewriteTarget[],
  failures: readonly ObjectFailure[],
): RewriteScope {
  const staleUpTo = new Map<string, number>();
  if (proof === undefined) return { staleUpTo };
  for (const target of targets) {
    const limit = proof.method === "etcd" ? newestStale(proof, target) : undefined;
    if (limit !== undefined) staleUpTo.set(target.resource, limit);
  }
  // Through the API every object has just been offered to every server: as many as were refused are the same ones.
  const areSingle = failures.length > 0 && failures.every(({ name }) => name !== "");
  const areAll = areSingle && proof.method === "api" && staleTotal(proof, targets) <= failedObjects(failures);
  return { staleUpTo, ...(areAll && { refused: failures }) };
}

function newestStale({ resources }: StoredProof, { resource, key }: RewriteTarget): number | undefined {
  const entry = resources.find((candidate) => candidate.resource === resource);
  if (entry === undefined || entry.unknown > 0) return undefined;
  const stale = entry.keys.filter((counted) => !hasKey(counted.key, key));
  return stale.some(({ newest }) => newest === undefined)
    ? undefined
    : Math.max(0, ...stale.map(({ newest = 0 }) => newest));
}
