/** What lasts longer than one call: the engine's address, and the operations under way that ^C has to stop. */
import { createEngineLog, type EngineLog } from "./engine-log";

export interface Session {
  /** Where log messages go. */
  readonly log: EngineLog;
  /** The engine's address, undefined before it is known. */
  readonly engineAddress: string | undefined;
  connect(engineAddress: string): void;
  /** Runs `work` with a signal that `cancel` aborts, and `end` waits for. `onAbandoned` is told how to abort it alone. */
  track<Result>(
    work: (signal: AbortSignal) => Promise<Result>,
    onAbandoned: (abort: () => void) => void,
  ): Promise<Result>;
  /** Stops the operations under way at their next safe point. Those that begin later are not touched. */
  cancel(): void;
  /** Cancels, then waits until nothing is under way. */
  end(): Promise<void>;
}

export function createSession(initialAddress: string | undefined): Session {
  let engineAddress = initialAddress;
  let log = createEngineLog(initialAddress);
  const running = new Map<AbortController, Promise<unknown>>();

  function cancel(): void {
    for (const controller of running.keys()) controller.abort();
  }

  return {
    get log() {
      return log;
    },
    get engineAddress() {
      return engineAddress;
    },
    connect(address) {
      if (address === "" || address === engineAddress) return;
      log.close();
      engineAddress = address;
      log = createEngineLog(address);
    },
    async track(work, onAbandoned) {
      const controller = new AbortController();
      onAbandoned(() => controller.abort());
      const done = work(controller.signal);
      running.set(controller, done);
      try {
        return await done;
      } finally {
        running.delete(controller);
      }
    },
    cancel,
    async end() {
      cancel();
      await Promise.allSettled(running.values());
      log.close();
    },
  };
}
