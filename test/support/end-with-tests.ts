/** Processes of their own that must not outlive a test run that is ended from outside. */
const running = new Set<number>();
let isWatching = false;

/** Gives the function that says that it has ended. */
export function endWithTests(pid: number): () => void {
  running.add(pid);
  if (!isWatching) {
    isWatching = true;
    process.once("SIGTERM", () => process.exit(143));
    process.once("SIGINT", () => process.exit(130));
    process.on("exit", () => {
      for (const other of running) {
        try {
          process.kill(other, "SIGTERM");
        } catch {
          // it has ended by itself
        }
      }
    });
  }
  return () => void running.delete(pid);
}
