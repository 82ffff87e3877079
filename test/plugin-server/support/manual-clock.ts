/** Time that passes when a test says so. */
import type { Clock } from "../../../plugin-server/health/clock";

export interface ManualClock extends Clock {
  /** Lets time pass, running what is due in order, and lets promises settle between. */
  advance(milliseconds: number): Promise<void>;
}

export function manualClock(): ManualClock {
  let now = 0;
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  return {
    now: () => now,
    after: (milliseconds, run) => {
      const timer = { at: now + milliseconds, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance: async (milliseconds) => {
      const end = now + milliseconds;
      await settled();
      for (;;) {
        const due = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (due === undefined) break;
        timers.delete(due);
        now = due.at;
        due.run();
        await settled();
      }
      now = end;
    },
  };
}

/** All promise callbacks that are ready, and those that they make ready. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
