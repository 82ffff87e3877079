import { setMaxListeners } from "node:events";

/**
 * A time limit inside the caller's own signal, which gets one listener however many requests `work` makes at once. Written out,
 * because AbortSignal.any keeps what it was made of in memory in Node 20.
 */
export async function withDeadline<T>(
  signal: AbortSignal,
  milliseconds: number,
  work: (limited: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  // Every request under way listens, so Node's limit of ten says nothing here; what has ended has let go (the tests count).
  setMaxListeners(0, controller.signal);
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
