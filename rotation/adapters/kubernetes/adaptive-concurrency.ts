/**
 * How many requests to have in flight. Additive increase, multiplicative decrease: two more for each round in which latency
 * stays near the best that was seen, a fifth fewer when it grows to several times that, half when an API server says "too many".
 */
export interface AdaptiveConcurrency {
  /** At most so many in flight. */
  limit(): number;
  /** An answer came after this many milliseconds. */
  answered(latency: number): void;
  /** An API server refused because of load. */
  throttled(): void;
}

export const fewest = 4;
export const most = 64;
const atFirst = 8;
/** Latency grows with concurrency even where throughput still does: up to this factor it is worth it. */
const increaseBelow = 3;
const decreaseAbove = 6;
/** Below this, waiting in line costs nobody anything. */
const negligible = 25;

export function adaptiveConcurrency(): AdaptiveConcurrency {
  let limit = atFirst;
  let best = Number.POSITIVE_INFINITY;
  let sum = 0;
  let count = 0;
  /** Answers to requests that were sent before the last decrease: they say nothing about the new limit. */
  let outdated = 0;
  /** Until latency grows for the first time, half as many again instead of two more. */
  let ramping = true;

  function change(to: number): void {
    if (to < limit) outdated = limit;
    limit = Math.min(Math.max(to, fewest), most);
    sum = 0;
    count = 0;
  }

  return {
    limit: () => limit,
    answered: (latency) => {
      if (outdated > 0) {
        outdated -= 1;
        return;
      }
      sum += latency;
      count += 1;
      if (count < limit) return;
      const mean = sum / count;
      best = Math.max(Math.min(best, mean), negligible);
      if (mean < best * increaseBelow) return change(ramping ? Math.ceil(limit * 1.5) : limit + 2);
      ramping = false;
      change(mean > best * decreaseAbove ? Math.floor(limit * 0.8) : limit);
    },
    throttled: () => {
      ramping = false;
      if (outdated > 0) outdated -= 1;
      else change(Math.floor(limit / 2));
    },
  };
}
