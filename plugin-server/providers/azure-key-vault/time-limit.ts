/** A limit for work that makes several calls: together they end in the time that one of them may take. */

/** Runs `work` with a signal that aborts with `signal`, and at the latest after `limitMs`. */
export async function withinLimit<T>(
  signal: AbortSignal,
  limitMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limited = new AbortController();
  const abort = (): void => limited.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  const timer = setTimeout(() => limited.abort(new DOMException("the limit has passed", "TimeoutError")), limitMs);
  try {
    return await work(limited.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
