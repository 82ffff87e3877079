/** What a host's pod runner says about its pods, in the host's `status.json`. */
import { chmodSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import type { ManifestProblem } from "./desired-pods";

export const podStatusFormatVersion = 1;

/** `waiting`: crashed, waits for its next start. `stopping`: SIGTERM was sent, it has not ended yet. */
export type PodPhase = "starting" | "running" | "waiting" | "stopping";

export interface LastExit {
  readonly at: string;
  /** Null when a signal ended it, and for a process that an earlier supervisor had started. */
  readonly code: number | null;
  readonly signal: string | null;
}

export interface PodStatus {
  readonly name: string;
  /** File name in the host's manifest directory. */
  readonly manifest: string;
  readonly manifestHash: string;
  readonly gracePeriodSeconds: number;
  readonly phase: PodPhase;
  /** Of the running process; absent while there is none. */
  readonly pid?: number;
  /** Tells the process from a later one with the same pid. */
  readonly processIdentity?: string;
  readonly startedAt?: string;
  /** How often this pod crashed and was started again since its manifest was read. */
  readonly restarts: number;
  readonly lastExit?: LastExit;
  /** While waiting: when it starts again. */
  readonly nextStartAt?: string;
  /** Why it could not be started. */
  readonly message?: string;
}

export interface HostStatus {
  readonly formatVersion: typeof podStatusFormatVersion;
  readonly host: string;
  readonly pods: readonly PodStatus[];
  /** Manifest files that are not run, and why. What ran before goes on running. */
  readonly problems: readonly ManifestProblem[];
}

/**
 * Replaces the file as a whole, synchronously: it is written in the same turn of the event loop in which a process was
 * started, so that a supervisor that is killed leaves no process that nobody knows.
 */
export function writeHostStatus(file: string, status: HostStatus): void {
  const temporary = `${file}.new`;
  writeFileSync(temporary, `${JSON.stringify(status, undefined, 2)}\n`, { mode: 0o600 });
  chmodSync(temporary, 0o600);
  renameSync(temporary, file);
}

/** The host's status, or undefined before its runner has written one. */
export function readHostStatus(file: string): HostStatus | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as HostStatus;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw thrown;
  }
}
