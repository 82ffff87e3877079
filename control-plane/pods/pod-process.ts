/** One run of a pod's command: started by this supervisor, or found running after the supervisor before it was killed. */
import { spawn } from "node:child_process";
import { KmsEtcdError } from "../../core/errors";
import { openLog } from "./pod-log";
import type { PodManifest } from "./pod-manifest";
import { isSameProcess, processIdentity, signalProcess } from "./process-identity";

/** How a run ended. Code and signal are unknown for a process that is not our child. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface PodProcess {
  readonly pid: number;
  readonly identity: string;
  readonly exited: Promise<ProcessExit>;
  /** To the process alone, as a container runtime signals PID 1; SIGKILL goes to everything the process started as well. */
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

export interface SpawnOptions {
  readonly logFile: string;
  readonly workingDirectory: string;
  /** Name of the UTS namespace to run in, so that the process sees a host of its own. Needs root. */
  readonly utsHostName?: string;
}

/** What a container would get from its image; nothing else of our own environment reaches a pod. */
const inheritedVariables = ["PATH", "HOME", "TMPDIR", "LANG", "TZ"];

/** How often a process that is not our child is looked at. */
const adoptedPollMilliseconds = 250;

/** Starts the pod's command. Throws `not-found` or `permission-denied` when it can't be started at all. */
export async function spawnPodProcess(manifest: PodManifest, options: SpawnOptions): Promise<PodProcess> {
  const command = inUtsNamespace(manifest.command, options.utsHostName);
  const log = openLog(options.logFile);
  const child = spawn(command[0] ?? "", command.slice(1), {
    cwd: options.workingDirectory,
    env: { ...inherited(), ...manifest.environment },
    // The file itself, not a pipe: a process must outlive its supervisor, and Go programs die of SIGPIPE on stderr.
    stdio: ["ignore", log.fd, log.fd],
    // A session of its own: ^C in a terminal is for us, not for the pods.
    detached: true,
  });
  log.close();
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  const { pid } = child;
  const identity = pid === undefined ? undefined : processIdentity(pid);
  if (pid === undefined) {
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => child.once("error", resolve));
    throw new KmsEtcdError(
      error.code === "EACCES" ? "permission-denied" : "not-found",
      `pod ${manifest.name}: ${command[0]} can't be started: ${error.message}`,
      { cause: error },
    );
  }
  // No identity: it has ended already, and `exited` will say so. Nothing will match this text.
  return podProcess(pid, identity ?? "ended", exited);
}

/** The process that was recorded, or undefined when it has ended. */
export function adoptPodProcess(pid: number, identity: string): PodProcess | undefined {
  if (!isSameProcess(pid, identity)) return undefined;
  const exited = new Promise<ProcessExit>((resolve) => {
    const timer = setInterval(() => {
      if (isSameProcess(pid, identity)) return;
      clearInterval(timer);
      resolve({ code: null, signal: null });
    }, adoptedPollMilliseconds);
  });
  return podProcess(pid, identity, exited);
}

/** Ends a recorded process and everything in its group, at once. Nothing happens when it has ended. */
export function killProcessGroup(pid: number, identity: string): void {
  if (!isSameProcess(pid, identity)) return;
  try {
    process.kill(-pid, "SIGKILL"); // pods are started as leaders of a group
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ESRCH") throw thrown;
  }
}

function podProcess(pid: number, identity: string, exited: Promise<ProcessExit>): PodProcess {
  return {
    pid,
    identity,
    exited,
    kill: (signal) => {
      if (signal === "SIGKILL") killProcessGroup(pid, identity);
      else signalProcess(pid, identity, signal);
    },
  };
}

function inUtsNamespace(command: readonly string[], hostName: string | undefined): readonly string[] {
  if (hostName === undefined) return command;
  // unshare and sh both replace themselves, so the pid that was started is the pod's own.
  return ["unshare", "--uts", "sh", "-c", 'hostname "$1" && shift && exec "$@"', "sh", hostName, ...command];
}

function inherited(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of inheritedVariables) {
    const value = process.env[name];
    if (value !== undefined) found[name] = value;
  }
  return found;
}
