/** Starts a control plane, or finds it running. */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { access, mkdir, readdir } from "node:fs/promises";
import { extname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describeError, KmsEtcdError } from "../core/errors";
import type { LocalControlPlane } from "../core/local-control-plane";
import { lockName, withLock } from "../tools/file-lock";
import type { Report } from "../tools/report";
import { chooseSettings, refreshBinaries } from "./choose-settings";
import { describeControlPlane, writeDescriptor } from "./descriptor";
import { layOutHosts } from "./host-files";
import { logTail } from "./log-tail";
import { plaintextEncryptionConfig } from "./manifests/plaintext-encryption-config";
import { requireFreePort } from "./ports/port-reservations";
import { runningPods } from "./running-pods";
import {
  type ControlPlaneChoices,
  type ControlPlaneSettings,
  checkChoices,
  readSettings,
  refuseOtherChoices,
  writeSettings,
} from "./settings";
import { etcdHostName, type StateLayout, stateLayout } from "./state-layout";
import { stopProcesses } from "./stop-control-plane";
import { runningSupervisor } from "./supervisor-record";
import { waitUntilReady } from "./wait-until-ready";

export interface StartOptions extends ControlPlaneChoices {
  readonly stateDirectory: string;
  /** Text of the encryption configuration that every host has at its first start. @default `identity` for Secrets */
  readonly initialEncryptionConfig?: string;
  /** How long the servers may take to get ready. @default 120 */
  readonly readySeconds?: number;
  /** Called with one line at a time on what is being done. */
  readonly report?: Report;
  readonly signal?: AbortSignal;
}

const defaultReadySeconds = 120;
const supervisorSeconds = 60;

/**
 * Returns when etcd and all API servers are ready. A control plane that runs already is left as it is. When it does not
 * get ready, or `signal` ends the wait, what this call has started is stopped again.
 * Throws `conflict` for a port that is taken and for options that differ from those of the first start.
 */
export async function startControlPlane(options: StartOptions): Promise<LocalControlPlane> {
  checkChoices(options);
  const layout = stateLayout(resolve(options.stateDirectory));
  const report = options.report ?? (() => undefined);
  await refuseForeignDirectory(layout);
  await mkdir(layout.directory, { recursive: true, mode: 0o700 });
  return withLock(layout.directory, () => startLocked(layout, options, report), {
    onWait: (seconds) => report(`waiting for another command on ${layout.directory} (${seconds} s)`, true),
    ...(options.signal && { signal: options.signal }),
  });
}

async function startLocked(layout: StateLayout, options: StartOptions, report: Report): Promise<LocalControlPlane> {
  const settings = await settle(layout, options, report);
  const controlPlane = describeControlPlane(layout, settings);
  const running = await runningSupervisor(layout);
  if (running === undefined) await refuseTakenPorts(layout, settings, controlPlane);
  await writeDescriptor(controlPlane);
  await layOutHosts(layout, settings, controlPlane, options.initialEncryptionConfig ?? plaintextEncryptionConfig());
  try {
    if (running === undefined) {
      report(`starting etcd and ${settings.hosts} API servers (Kubernetes ${settings.kubernetesVersion})`);
      await startSupervisor(layout);
    }
    await waitUntilReady(layout, controlPlane, {
      report,
      seconds: (options.readySeconds ?? defaultReadySeconds) + settings.staggerSeconds * settings.hosts,
      ...(options.signal && { signal: options.signal }),
    });
  } catch (thrown) {
    if (running === undefined) await stopProcesses(layout);
    throw thrown;
  }
  return controlPlane;
}

async function settle(layout: StateLayout, options: StartOptions, report: Report): Promise<ControlPlaneSettings> {
  const found = await readSettings(layout);
  const tools = { report, ...(options.signal && { signal: options.signal }) };
  if (found === undefined) {
    const settings = await chooseSettings(layout, options, tools);
    await writeSettings(layout, settings);
    return settings;
  }
  refuseOtherChoices(layout, options, found);
  const refreshed = await refreshBinaries(found, tools);
  if (refreshed !== found) await writeSettings(layout, refreshed);
  return refreshed;
}

/** A directory with other things in it is not ours to fill, and above all not ours to clean later. */
async function refuseForeignDirectory(layout: StateLayout): Promise<void> {
  const names = await readdir(layout.directory).catch((thrown: unknown) => {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return [];
    const why = `${layout.directory} can't be used as a state directory: ${describeError(thrown)}`;
    throw new KmsEtcdError("invalid-input", why, { cause: thrown });
  });
  const ours = await access(layout.settingsFile).then(
    () => true,
    () => false,
  );
  if (ours || names.every((name) => name === lockName)) return;
  throw new KmsEtcdError("conflict", `${layout.directory} is not empty and holds no control plane`, {
    remedy: "give a directory of its own",
  });
}

async function refuseTakenPorts(
  layout: StateLayout,
  settings: ControlPlaneSettings,
  controlPlane: LocalControlPlane,
): Promise<void> {
  // Pods that a killed supervisor left running have their ports, and will be taken over.
  if (runningPods(layout, etcdHostName).length === 0) {
    await requireFreePort(settings.etcdPort);
    await requireFreePort(settings.etcdPeerPort);
  }
  for (const [index, { name }] of controlPlane.hosts.entries()) {
    if (runningPods(layout, name).length === 0) await requireFreePort(settings.apiServerPorts[index] ?? 0);
  }
}

/** Returns when the supervisor has said that it runs. */
async function startSupervisor(layout: StateLayout): Promise<void> {
  const log = openSync(layout.supervisorLogFile, "a", 0o600);
  const extension = extname(__filename);
  const loader = extension === ".ts" ? ["--require", require.resolve("ts-node/register/transpile-only")] : [];
  const child = spawn(process.execPath, [...loader, join(__dirname, `supervisor-main${extension}`), layout.directory], {
    // ts-node looks for tsconfig.json from here.
    cwd: __dirname,
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  let ended: string | undefined;
  child.once("error", (error) => (ended = error.message));
  child.once("exit", (code, signal) => (ended = signal ?? `exit code ${code}`));
  const begun = Date.now();
  while ((await runningSupervisor(layout))?.pid !== child.pid) {
    if (ended !== undefined || Date.now() - begun > supervisorSeconds * 1000) {
      const why = ended === undefined ? `did not start within ${supervisorSeconds} s` : `ended: ${ended}`;
      throw new KmsEtcdError(
        "internal",
        `the supervisor of ${layout.directory} ${why}\n${logTail(layout.supervisorLogFile)}`,
      );
    }
    await delay(50);
  }
  child.unref();
}
