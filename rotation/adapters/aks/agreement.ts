/**
 * Whether the API servers behind one address write with one key, told by what passes over all Secrets store again. Where they do not, they
 * undo each other's work, but which of them gets a request is chance: one Secret that stays as it is says next to nothing, many of them in a
 * row do. Clients that change Secrets all the time change the same few, and the others show whether API servers agree.
 */
import type { RewriteResult } from "../../stored-objects";

export interface Agreement {
  /**
   * After one more pass. `isLate`: it began when requests from before the change had ended. `disturbed`: it has stored again more than clients
   * change, or could not do all; `open`: it speaks for agreement, and more is needed.
   */
  passed(result: RewriteResult, isLate: boolean): "agreed" | "open" | "disturbed";
}

/** Secrets that may be changed by clients all the time: a share of all, or a few, and never more than half of them. */
const share = 0.02;
const few = 5;
/**
 * How many times Secrets were left as they are, in passes one after the other: with two API servers of different keys the chance of that is one
 * in 2^24. Where some Secrets are left aside there are more ways to come by it, so it takes more.
 */
const enough = 24;
const enoughForEachAside = 8;

export function createAgreement(): Agreement {
  let passes = 0;
  let inARow = 0;
  /** Stored again by some pass of those in a row. */
  let aside: ReadonlySet<string> = new Set();

  function disturbed() {
    inARow = 0;
    aside = new Set();
    return "disturbed" as const;
  }

  return {
    passed({ offered, rewritten = 0, rewrittenNames, failures }, isLate) {
      passes += 1;
      const most = Math.floor(Math.min(Math.max(few, share * offered), offered / 2));
      // What the first pass stores again is its work.
      const tolerated = passes === 1 ? 0 : most;
      if (failures.length > 0 || !isLate || rewritten > tolerated) return disturbed();
      const names = rewrittenNames ?? Array.from({ length: rewritten }, (_, index) => `${passes}: ${index}`);
      const all = new Set([...aside, ...names]);
      const isTooMany = all.size > most;
      aside = isTooMany ? new Set(names) : all;
      inARow = isTooMany ? 1 : inARow + 1;
      const quiet = inARow * (offered - aside.size);
      // What a pass stores again must have been left as it is by another one, or be what clients change again and again.
      const isSeenTwice = aside.size === 0 || passes > 2;
      if (offered === 0 || (isSeenTwice && quiet >= enough + enoughForEachAside * aside.size)) return "agreed";
      return isTooMany ? "disturbed" : "open";
    },
  };
}
