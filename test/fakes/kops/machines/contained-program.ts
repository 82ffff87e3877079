/**
 * A program as a container of one machine: with a host name of its own, and with folders of that machine, and no others, below /srv and
 * /run. Several machines so have the same paths on this one. Restarted when it ends, as the kubelet does.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { endWithTests } from "../../../support/end-with-tests";

export interface ContainedProgram {
  readonly command: readonly string[];
  readonly hostName: string;
  /** Folders of this machine, and where the program sees them: below /srv or /run. */
  readonly mounts: readonly { readonly from: string; readonly to: string }[];
  readonly environment: Readonly<Record<string, string>>;
  readonly logFile: string;
}

export interface RunningProgram {
  /** At once, as a machine that is terminated. */
  kill(): Promise<void>;
}

const restartAfter = 1_000;
/** unshare, sh and the program replace one another, so the process that is started is the program's own. */
const script = [
  "set -e",
  'hostname "$1"; shift',
  "mount -t tmpfs none /srv",
  "mount -t tmpfs none /run",
  'while [ "$1" != -- ]; do mkdir -p "$2"; mount --bind "$1" "$2"; shift 2; done',
  "shift",
  'exec "$@"',
].join("\n");

/** Why there can be none here; undefined where there can. */
export function whyNotContained(): string | undefined {
  return process.geteuid?.() === 0 ? undefined : "machines of their own need root, for mount and UTS namespaces";
}

export function runContained(program: ContainedProgram): RunningProgram {
  const { command, hostName, mounts, environment, logFile } = program;
  const stopping = new AbortController();
  let child: ChildProcess | undefined;
  const ended = keepRunning();

  async function keepRunning(): Promise<void> {
    const folders = mounts.flatMap(({ from, to }) => [from, to]);
    while (!stopping.signal.aborted) {
      const log = openSync(logFile, "a", 0o600);
      child = spawn("unshare", ["--mount", "--uts", "sh", "-c", script, "sh", hostName, ...folders, "--", ...command], {
        env: { PATH: process.env["PATH"] ?? "", ...environment },
        stdio: ["ignore", log, log],
      });
      closeSync(log);
      const left = endWithTests(child.pid ?? 0);
      await once(child, "exit");
      left();
      await sleep(restartAfter, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  return {
    async kill() {
      stopping.abort();
      child?.kill("SIGKILL");
      await ended;
    },
  };
}
