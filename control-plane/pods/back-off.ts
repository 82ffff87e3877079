/**
 * How long a crashed pod waits before it is started again. A kubelet waits 10 s, 20 s, ... up to 5 minutes and forgets after
 * 10 minutes of good running; here everything is ten times quicker, because people and tests wait for it.
 */
const firstDelaySeconds = 1;
export const longestDelaySeconds = 30;
/** A pod that ran this long was not in a crash loop. */
export const stableAfterSeconds = 60;

/** Crashes in a row that count for the delay, after a run of `ranForSeconds` ended. */
export function crashesInARow(before: number, ranForSeconds: number): number {
  return ranForSeconds >= stableAfterSeconds ? 1 : before + 1;
}

/** Seconds to wait after the nth crash in a row. */
export function backOffSeconds(crashes: number): number {
  return Math.min(longestDelaySeconds, firstDelaySeconds * 2 ** (Math.max(1, crashes) - 1));
}
