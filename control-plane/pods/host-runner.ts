/** Runs the static pods of one host: what is in the manifest directory runs, and nothing else does. */
import { type FSWatcher, readdirSync, readFileSync, watch } from "node:fs";
import { join } from "node:path";
import { type DesiredPod, desiredPods, type ManifestFile, type ManifestProblem } from "./desired-pods";
import { type Pod, startPod } from "./pod";
import { trimLog } from "./pod-log";
import { adoptPodProcess } from "./pod-process";
import { type HostStatus, type PodStatus, podStatusFormatVersion, readHostStatus, writeHostStatus } from "./pod-status";
import { isSameProcess } from "./process-identity";

export interface HostRunnerOptions {
  readonly host: string;
  readonly directory: string;
  readonly manifestDirectory: string;
  readonly statusFile: string;
  readonly logDirectory: string;
  /** Host name of the pods' UTS namespace; absent: the machine's own. */
  readonly utsHostName?: string;
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void;
}

export interface HostRunner {
  /** Stops all pods and returns when all processes have ended. */
  stop(): Promise<void>;
  /** SIGKILL to all pods. */
  kill(): void;
}

/** The watch is told of changes at once; reading the directory now and then finds what a watch may miss. */
const pollMilliseconds = 2_000;

interface Slot {
  desired: DesiredPod | undefined;
  pod: Pod | undefined;
  converging: boolean;
}

/** Starts the host's pods, after taking over those that an earlier supervisor left running. */
export function startHostRunner(options: HostRunnerOptions): HostRunner {
  const slots = new Map<string, Slot>();
  let problems: readonly ManifestProblem[] = [];
  let stopping = false;

  const writeStatus = (): void => {
    const pods = [...slots.values()].flatMap((slot) => (slot.pod ? [slot.pod.status()] : []));
    const status: HostStatus = { formatVersion: podStatusFormatVersion, host: options.host, pods, problems };
    writeHostStatus(options.statusFile, status);
  };

  const start = (desired: DesiredPod, found?: PodStatus): Pod => {
    const process =
      found?.pid !== undefined && found.processIdentity !== undefined
        ? adoptPodProcess(found.pid, found.processIdentity)
        : undefined;
    options.log(process ? "pod adopted" : "pod starts", {
      pod: desired.manifest.name,
      manifest: desired.manifest.hash,
    });
    return startPod({
      desired,
      spawn: {
        logFile: join(options.logDirectory, `${desired.manifest.name}.log`),
        workingDirectory: options.directory,
        ...(options.utsHostName !== undefined && { utsHostName: options.utsHostName }),
      },
      ...(process && found && { adopted: { process, status: found } }),
      onChange: writeStatus,
    });
  };

  /** Brings one pod to what is desired now, also when that changes on the way. */
  const converge = async (name: string, slot: Slot): Promise<void> => {
    if (slot.converging) return;
    slot.converging = true;
    while (slot.pod?.desired.manifest.hash !== slot.desired?.manifest.hash) {
      if (slot.pod) {
        options.log("pod stops", { pod: name });
        await slot.pod.stop();
        slot.pod = undefined;
      }
      if (slot.desired) slot.pod = start(slot.desired);
      writeStatus();
    }
    slot.converging = false;
    if (slot.pod === undefined) slots.delete(name);
    writeStatus();
  };

  const reconcile = (): void => {
    if (stopping) return;
    const known = new Map([...slots].flatMap(([name, slot]) => (slot.desired ? [[name, slot.desired]] : [])));
    const files = readManifests(options.manifestDirectory);
    if (files === undefined) return;
    const wanted = desiredPods(files, known);
    const problemsChanged = JSON.stringify(wanted.problems) !== JSON.stringify(problems);
    problems = wanted.problems;
    if (problemsChanged) {
      options.log("manifest problems", { problems });
      writeStatus();
    }
    for (const name of new Set([...slots.keys(), ...wanted.pods.keys()])) {
      const slot = slots.get(name) ?? { desired: undefined, pod: undefined, converging: false };
      slots.set(name, slot);
      slot.desired = wanted.pods.get(name);
      void converge(name, slot);
    }
  };

  adoptAll();
  writeStatus();
  const watcher = watchDirectory(options.manifestDirectory, reconcile);
  reconcile();
  const timer = setInterval(() => {
    reconcile();
    for (const name of slots.keys()) trimLog(join(options.logDirectory, `${name}.log`));
  }, pollMilliseconds);

  return {
    stop: async () => {
      stopping = true;
      clearInterval(timer);
      watcher?.close();
      for (const slot of slots.values()) slot.desired = undefined;
      await Promise.all([...slots.values()].flatMap((slot) => (slot.pod ? [slot.pod.stop()] : [])));
      slots.clear();
      writeStatus();
    },
    kill: () => {
      for (const slot of slots.values()) slot.pod?.kill();
    },
  };

  /** Whatever the manifests say now: what runs is taken over first, and replaced after, if need be. */
  function adoptAll(): void {
    for (const found of readHostStatus(options.statusFile)?.pods ?? []) {
      if (found.pid === undefined || !isSameProcess(found.pid, found.processIdentity ?? "")) continue;
      const files = readManifests(options.manifestDirectory) ?? [];
      const same = desiredPods(files, new Map()).pods.get(found.name);
      const desired = same?.manifest.hash === found.manifestHash ? same : recordedPod(found);
      slots.set(found.name, { desired, pod: start(desired, found), converging: false });
    }
  }
}

/** A pod whose manifest has changed or gone: enough to stop it by. */
function recordedPod(found: PodStatus): DesiredPod {
  const { name, manifestHash: hash, gracePeriodSeconds } = found;
  return { file: found.manifest, manifest: { name, hash, gracePeriodSeconds, command: [], environment: {} } };
}

/** Undefined when the directory can't be read at all: then nothing is known, and nothing is stopped. */
function readManifests(directory: string): readonly ManifestFile[] | undefined {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && !entry.name.startsWith("."))
      .flatMap((entry) => {
        try {
          return [{ file: entry.name, content: readFileSync(join(directory, entry.name), "utf8") }];
        } catch (thrown) {
          if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return []; // removed since it was listed
          throw thrown;
        }
      });
  } catch {
    return undefined;
  }
}

function watchDirectory(directory: string, onChange: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(directory, onChange);
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    return undefined; // no inotify watches left: the poll finds changes too
  }
}
