/** A server program as a child of this process: started with its output in a file, waited for, and stopped. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { KmsEtcdError } from "../core/errors";
import { logTail } from "./log-tail";

export interface ChildProgram {
  readonly pid: number;
  /** SIGTERM, and SIGKILL after ten seconds. */
  stop(): Promise<void>;
}

const readyMilliseconds = 60_000;
const stopMilliseconds = 10_000;

/** Returns when `isReady` says so. Throws `internal`, with the end of the log, when the program ends or takes too long. */
export async function startChildProgram(
  program: string,
  args: readonly string[],
  logFile: string,
  isReady: () => Promise<boolean>,
): Promise<ChildProgram> {
  const log = openSync(logFile, "a", 0o600);
  const child = spawn(program, args, { stdio: ["ignore", log, log] });
  closeSync(log);
  let failure: string | undefined;
  child.once("error", (error) => (failure = error.message));
  child.once("exit", (code, signal) => (failure = `ended with ${signal ?? `exit code ${code}`}`));
  const begun = Date.now();
  while (!(await isReady())) {
    if (failure === undefined && Date.now() - begun > readyMilliseconds) failure = "did not get ready";
    if (failure !== undefined) {
      await stop(child);
      throw new KmsEtcdError("internal", `${program} ${failure}\n${logTail(logFile)}`);
    }
    await delay(100);
  }
  return { pid: child.pid ?? 0, stop: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), stopMilliseconds);
  await ended;
  clearTimeout(timer);
}
