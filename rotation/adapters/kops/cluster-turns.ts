/**
 * One rotation of a cluster at a time within this process: a program may have its encryption key, its keypairs and its secrets change in the
 * same `pulumi up`, and each of them runs `kops update` and rolls the control plane. (Other processes are kept out by the Lease, where there is one.)
 */
const turns = new Map<string, Promise<unknown>>();

/** What is said meanwhile. */
export const turnTaken = "waiting for another rotation of this cluster that the program has";

/** Does `work` when nobody else works on the cluster any more; `onWait` is called where that is not at once. Throws what `signal` was aborted with. */
export async function inTurn<Result>(
  clusterName: string,
  signal: AbortSignal,
  onWait: () => void,
  work: () => Promise<Result>,
): Promise<Result> {
  const before = turns.get(clusterName);
  if (before !== undefined) onWait();
  const turn = (before ?? Promise.resolve()).then(() => {
    signal.throwIfAborted();
    return work();
  });
  const done: Promise<void> = turn.then(free, free);
  function free(): void {
    if (turns.get(clusterName) === done) turns.delete(clusterName);
  }
  turns.set(clusterName, done);
  return turn;
}
