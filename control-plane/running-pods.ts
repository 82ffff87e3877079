/** The pod processes of a control plane that run now, whether its supervisor does or not. */
import { setTimeout as delay } from "node:timers/promises";
import { KmsEtcdError } from "../core/errors";
import { killProcessGroup } from "./pods/pod-process";
import { readHostStatus } from "./pods/pod-status";
import { isSameProcess, signalProcess } from "./pods/process-identity";
import type { StateLayout } from "./state-layout";

export interface RunningPod {
  readonly host: string;
  readonly name: string;
  readonly pid: number;
  readonly processIdentity: string;
  readonly startedAt: string | undefined;
  readonly gracePeriodSeconds: number;
}

/** From the host's `status.json`, each looked at now: a recorded process that has ended is not among them. */
export function runningPods(layout: StateLayout, host: string): readonly RunningPod[] {
  return (readHostStatus(layout.host(host).statusFile)?.pods ?? []).flatMap((pod) => {
    const { name, pid, processIdentity, startedAt, gracePeriodSeconds } = pod;
    if (pid === undefined || processIdentity === undefined || !isSameProcess(pid, processIdentity)) return [];
    return [{ host, name, pid, processIdentity, startedAt, gracePeriodSeconds }];
  });
}

/** Sends a signal to the process of a pod, for tests that crash one. Throws `not-found` when it does not run. */
export function killPod(
  layout: StateLayout,
  host: string,
  pod: string,
  signal: NodeJS.Signals = "SIGKILL",
): RunningPod {
  const running = runningPods(layout, host).find(({ name }) => name === pod);
  if (running === undefined || !signalProcess(running.pid, running.processIdentity, signal)) {
    throw new KmsEtcdError("not-found", `pod ${pod} does not run on host ${host}`);
  }
  return running;
}

/** Ends pods that no supervisor looks after: SIGTERM, then SIGKILL after each pod's grace period. */
export async function endOrphans(pods: readonly RunningPod[]): Promise<void> {
  for (const { pid, processIdentity } of pods) signalProcess(pid, processIdentity, "SIGTERM");
  const begun = Date.now();
  let left = pods;
  while (left.length > 0) {
    await delay(50);
    left = left.filter(({ pid, processIdentity }) => isSameProcess(pid, processIdentity));
    for (const { pid, processIdentity, gracePeriodSeconds } of left) {
      if (Date.now() - begun > gracePeriodSeconds * 1000) killProcessGroup(pid, processIdentity);
    }
  }
}
