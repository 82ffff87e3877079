/**
 * Port: the Secrets of one cluster of AKS. Its API servers stand behind one address, and there is no way to its etcd, so all that can be done
 * is to have every Secret written again.
 */
import type { Progress, RewriteResult } from "../../stored-objects";

export interface SecretsRewriter {
  /**
   * One pass: offers every Secret for a no-op write, which stores it again where it is not stored as the API server would store it.
   * `rewritten` counts those that changed. Safe to repeat. Throws `unreachable` or `timeout` where the API servers do not answer.
   */
  rewrite(onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<RewriteResult>;
  /** How many Secrets there are; undefined where that can't be asked. Changes nothing. */
  count(signal: AbortSignal): Promise<number | undefined>;
  close(): Promise<void>;
}
