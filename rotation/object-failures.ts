/** How many objects a ledger of failures is about. */
import type { ObjectFailure } from "./observation";

/** Every failure for as many objects as it stands for. */
export function failedObjects(failures: readonly ObjectFailure[]): number {
  return failures.reduce((sum, { objects = 1 }) => sum + objects, 0);
}
