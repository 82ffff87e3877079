/**
 * All Secrets written again, and seen to be. Behind one address we can't tell which API server has answered, so nothing is proven by one pass
 * alone: what a pass stores again must be left alone by the next ones, and the fewer Secrets there are, the more passes it takes
 * (`agreement.ts`).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { KmsEtcdError } from "../../../core/errors";
import type { Progress, RewriteResult } from "../../stored-objects";
import { createAgreement } from "./agreement";
import type { SecretsRewriter } from "./secrets-rewriter";

export interface RewriteLimits {
  /** How long the API servers may take to answer. */
  readonly apiMs: number;
  /** Between two tries. */
  readonly pauseMs: number;
  /** How long a request may still be under way that began before AKS had finished. */
  readonly settleMs: number;
}

export interface Rewritten {
  readonly objects: number;
  /** Objects that some pass has stored again. */
  readonly rewritten: number;
  /** Passes until they said that all API servers write with one key. */
  readonly passes: number;
  /** What the last one has stored again all the same: taken for changes of clients. */
  readonly storedAgainLast: number;
}

export interface RewriteWork {
  readonly open: () => Promise<SecretsRewriter>;
  readonly limits: RewriteLimits;
  /** No pass that begins before this has seen everything. Of `performance.now()`. */
  readonly settledAt: number;
  readonly onProgress: (message: string, progress?: Progress) => void;
  readonly signal: AbortSignal;
}

/** Passes that say nothing for agreement, and all of them: a single Secret takes two dozen. */
const mostDisturbed = 8;
const mostPasses = 40;

/** One pass, as soon as the API servers answer. What it could not write again is in the result. */
export async function rewriteOnce(work: RewriteWork): Promise<RewriteResult> {
  const until = performance.now() + work.limits.apiMs;
  for (;;) {
    const rewriter = await work.open();
    try {
      return await rewriter.rewrite((progress) => work.onProgress("Secrets", progress), work.signal);
    } catch (thrown) {
      if (!mayPass(thrown) || performance.now() + work.limits.pauseMs > until) throw thrown;
      work.onProgress(`waiting until the API servers answer: ${thrown.message}`);
      await pause(work.limits.pauseMs, work.signal);
    } finally {
      await rewriter.close();
    }
  }
}

/** Passes until those that began late enough leave everything as it is. Throws `blocked` where that does not come. */
export async function rewriteAll(work: RewriteWork): Promise<Rewritten> {
  const agreement = createAgreement();
  let rewritten = 0;
  let disturbed = 0;
  for (let passes = 1; ; passes += 1) {
    // The first pass needs not wait: whatever it gets done is done.
    if (passes > 1 && performance.now() < work.settledAt) {
      work.onProgress("waiting until requests from before the change have ended");
      await pause(work.settledAt - performance.now(), work.signal);
    }
    const isLate = performance.now() >= work.settledAt;
    const result = await rewriteOnce(work);
    const again = result.rewritten ?? 0;
    rewritten += again;
    const said = agreement.passed(result, isLate);
    if (said === "agreed") return { objects: result.offered, rewritten, passes, storedAgainLast: again };
    if (said === "disturbed") disturbed += 1;
    if (disturbed < mostDisturbed && passes < mostPasses) {
      const isClean = again === 0 && result.failures.length === 0;
      await pause(passes === 1 || isClean ? 0 : work.limits.pauseMs, work.signal);
      continue;
    }
    const [failure] = result.failures;
    if (failure !== undefined) {
      throw new KmsEtcdError(
        "blocked",
        `${result.failures.length} Secrets could not be written again: ${failure.reason}`,
        {
          remedy:
            "see what refuses to update Secrets (an admission webhook, a policy, a key that can't be used any more)",
        },
      );
    }
    throw new KmsEtcdError(
      "blocked",
      `after ${passes} passes API servers still store Secrets again that others have stored`,
      {
        remedy:
          "AKS has not brought all API servers to the same key: see the cluster's KMS detector (Diagnose and solve problems). Where clients change most of the Secrets all the time, stop them for the update",
      },
    );
  }
}

function mayPass(thrown: unknown): thrown is KmsEtcdError {
  return thrown instanceof KmsEtcdError && ["unreachable", "timeout", "throttled"].includes(thrown.code);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.max(0, ms), undefined, { signal }).catch((cause: unknown) => {
    throw new KmsEtcdError("cancelled", "stopped between two passes", { cause });
  });
}
