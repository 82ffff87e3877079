/** Stops a control plane, and removes it. */
import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KmsEtcdError } from "../core/errors";
import { lockName, withLock } from "../tools/file-lock";
import type { Report } from "../tools/report";
import { isSameProcess, signalProcess } from "./pods/process-identity";
import { endOrphans, runningPods } from "./running-pods";
import { readSettings } from "./settings";
import { apiServerHostNames, etcdHostName, type StateLayout, stateLayout } from "./state-layout";
import { runningSupervisor } from "./supervisor-record";

export interface StopOptions {
  readonly report?: Report;
}

/** The supervisor needs as long as its slowest pod: 30 s of grace for API servers, then 15 s for etcd. */
const supervisorSeconds = 60;

/** Returns when no process of the control plane is left. Does nothing for one that does not run, or does not exist. */
export async function stopControlPlane(stateDirectory: string, options: StopOptions = {}): Promise<void> {
  const layout = stateLayout(resolve(stateDirectory));
  if ((await readSettings(layout)) === undefined) return;
  await withLock(layout.directory, () => stopProcesses(layout, options.report), lockOptions(layout, options));
}

/** Stops the control plane and removes its state directory, with all data in it. */
export async function cleanControlPlane(stateDirectory: string, options: StopOptions = {}): Promise<void> {
  const layout = stateLayout(resolve(stateDirectory));
  const settings = await readSettings(layout);
  if (settings === undefined) return;
  await withLock(
    layout.directory,
    async () => {
      await stopProcesses(layout, options.report);
      await rm(settings.socketRoot, { recursive: true, force: true });
      for (const name of await readdir(layout.directory)) {
        if (name !== lockName) await rm(join(layout.directory, name), { recursive: true, force: true });
      }
    },
    lockOptions(layout, options),
  );
  await rm(layout.directory, { recursive: true, force: true });
}

/** For callers that have the lock. */
export async function stopProcesses(layout: StateLayout, report: Report = () => undefined): Promise<void> {
  const supervisor = await runningSupervisor(layout);
  if (supervisor !== undefined) {
    const { pid, processIdentity } = supervisor;
    signalProcess(pid, processIdentity, "SIGTERM");
    const begun = Date.now();
    let reported = 0;
    while (isSameProcess(pid, processIdentity)) {
      await delay(50);
      const seconds = Math.floor((Date.now() - begun) / 1000);
      if (seconds > reported) {
        reported = seconds;
        report(`waiting for API servers and etcd to end (${seconds} s)`, true);
      }
      if (seconds >= supervisorSeconds) signalProcess(pid, processIdentity, "SIGKILL");
    }
  }
  // A supervisor that was killed, now or before, leaves its pods.
  const settings = await readSettings(layout);
  const apiServerHosts = apiServerHostNames(settings?.hosts ?? 0);
  await endOrphans(apiServerHosts.flatMap((host) => runningPods(layout, host)));
  await endOrphans(runningPods(layout, etcdHostName));
  const left = [...apiServerHosts, etcdHostName].flatMap((host) => runningPods(layout, host));
  if (left.length > 0) {
    throw new KmsEtcdError(
      "internal",
      `still running: ${left.map(({ name, pid }) => `${name} (process ${pid})`).join(", ")}`,
    );
  }
  await rm(layout.supervisorFile, { force: true });
}

function lockOptions(layout: StateLayout, options: StopOptions): { onWait: (seconds: number) => void } {
  return {
    onWait: (seconds) => options.report?.(`waiting for another command on ${layout.directory} (${seconds} s)`, true),
  };
}
