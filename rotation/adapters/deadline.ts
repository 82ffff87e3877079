/** A time limit inside the caller's own signal. Written out, because AbortSignal.any keeps its sources' listeners in Node 20. */
export async function withDeadline<T>(
  signal: AbortSignal,
  milliseconds: number,
  work: (limited: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = () => controller.abort(signal.reason);
  const timer = setTimeout(() => controller.abort(new Error("out of time")), milliseconds);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
