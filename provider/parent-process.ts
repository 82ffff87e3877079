/** Notices that the process that started us has ended, also when it was killed and could tell nobody. */

/** How long a provider may outlive a Pulumi CLI that was killed. A look costs a system call. */
const interval = 1_000;

/**
 * Pulumi starts plugins in a process group of their own, so a kill of the CLI leaves them running. An orphan has another
 * parent. `parent` is the id at start; without a parent (started by hand in the background) there is nothing to watch.
 */
export function whenParentEnds(parent: number, ended: () => void): void {
  if (parent <= 1) return;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    ended();
  }, interval);
  timer.unref();
}
