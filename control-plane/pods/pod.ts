/** One pod: keeps its command running until it is stopped, with back-off between crashes. */
import { setTimeout as delay } from "node:timers/promises";
import { describeError } from "../../core/errors";
import { backOffSeconds, crashesInARow } from "./back-off";
import type { DesiredPod } from "./desired-pods";
import { type PodProcess, type SpawnOptions, spawnPodProcess } from "./pod-process";
import type { LastExit, PodPhase, PodStatus } from "./pod-status";

export interface Pod {
  readonly desired: DesiredPod;
  status(): PodStatus;
  /** SIGTERM, then SIGKILL after the grace period. Resolves when the process has ended; safe to call again. */
  stop(): Promise<void>;
  /** SIGKILL to everything that the pod runs, for a supervisor that must end now. */
  kill(): void;
}

export interface PodOptions {
  readonly desired: DesiredPod;
  readonly spawn: SpawnOptions;
  /** A process of this pod that already runs, with what was recorded about it. */
  readonly adopted?: { readonly process: PodProcess; readonly status: PodStatus };
  /** Called, synchronously, after every change of `status()`. */
  readonly onChange: () => void;
}

/** Starts the pod, or goes on watching `adopted`. */
export function startPod(options: PodOptions): Pod {
  const { desired, onChange } = options;
  const stopping = new AbortController();
  const isStopping = (): boolean => stopping.signal.aborted;
  let phase: PodPhase = "starting";
  let running: PodProcess | undefined;
  let startedAt: number | undefined;
  let restarts = options.adopted?.status.restarts ?? 0;
  let lastExit: LastExit | undefined = options.adopted?.status.lastExit;
  let nextStartAt: number | undefined;
  let message: string | undefined;

  const status = (): PodStatus => ({
    name: desired.manifest.name,
    manifest: desired.file,
    manifestHash: desired.manifest.hash,
    gracePeriodSeconds: desired.manifest.gracePeriodSeconds,
    phase,
    restarts,
    ...(running && { pid: running.pid, processIdentity: running.identity }),
    ...(startedAt !== undefined && { startedAt: new Date(startedAt).toISOString() }),
    ...(lastExit && { lastExit }),
    ...(nextStartAt !== undefined && { nextStartAt: new Date(nextStartAt).toISOString() }),
    ...(message !== undefined && { message }),
  });

  const enter = (next: PodPhase): void => {
    phase = next;
    onChange();
  };

  /** One run of the command: returns when it has ended. */
  const runOnce = async (found: PodProcess | undefined): Promise<void> => {
    running = found ?? (await spawnPodProcess(desired.manifest, options.spawn));
    startedAt = found ? Date.parse(options.adopted?.status.startedAt ?? "") || Date.now() : Date.now();
    nextStartAt = undefined;
    message = undefined;
    enter(isStopping() ? "stopping" : "running");
    if (isStopping()) running.kill("SIGTERM"); // asked to stop while it was being started
    const exit = await running.exited;
    running = undefined;
    lastExit = { at: new Date().toISOString(), ...exit };
  };

  const keepRunning = async (): Promise<void> => {
    let crashes = 0;
    let found = options.adopted?.process;
    while (!isStopping()) {
      const begun = Date.now();
      try {
        await runOnce(found);
      } catch (thrown) {
        message = describeError(thrown);
      }
      found = undefined;
      if (isStopping()) break;
      crashes = crashesInARow(crashes, (Date.now() - begun) / 1000);
      const seconds = backOffSeconds(crashes);
      nextStartAt = Date.now() + seconds * 1000;
      enter("waiting");
      await delay(seconds * 1000, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (!isStopping()) restarts += 1;
    }
  };

  const ended = keepRunning();
  let stopped: Promise<void> | undefined;
  return {
    desired,
    status,
    stop: () => (stopped ??= stopRunning()),
    kill: () => running?.kill("SIGKILL"),
  };

  async function stopRunning(): Promise<void> {
    stopping.abort();
    if (running) {
      enter("stopping");
      running.kill("SIGTERM");
    }
    const waited = new AbortController();
    const grace = delay(desired.manifest.gracePeriodSeconds * 1000, undefined, { signal: waited.signal });
    void grace.then(() => running?.kill("SIGKILL")).catch(() => undefined);
    await ended;
    waited.abort();
  }
}
