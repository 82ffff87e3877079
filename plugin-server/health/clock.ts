/** Port: time. */
export interface Clock {
  /** Milliseconds that only grow. */
  now(): number;
  /** Calls `run` once, later; the result calls it off. A pending call keeps no process alive. */
  after(milliseconds: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (milliseconds, run) => {
    const timer = setTimeout(run, milliseconds).unref();
    return () => clearTimeout(timer);
  },
};
