/**
 * Tells a process from a later one with the same process id. A recorded pid is only ever signalled while its identity is
 * the recorded one: pids are used again, and the other process belongs to someone else.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Equal for the same process, different for any other, also after a reboot. Undefined when no such process runs. */
export function processIdentity(pid: number): string | undefined {
  return process.platform === "linux" ? linuxIdentity(pid) : psIdentity(pid);
}

/** Whether the process that was recorded as `identity` still runs. */
export function isSameProcess(pid: number, identity: string): boolean {
  return processIdentity(pid) === identity;
}

/** Sends a signal to the process, or to nobody when it is gone. Returns whether it was sent. */
export function signalProcess(pid: number, identity: string, signal: NodeJS.Signals): boolean {
  if (!isSameProcess(pid, identity)) return false;
  try {
    process.kill(pid, signal);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw thrown;
  }
}

function linuxIdentity(pid: number): string | undefined {
  const stat = readOrUndefined(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // proc(5): the command name, in parentheses, may hold spaces and parentheses; the fields after it can't.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const state = fields[0];
  const startTime = fields[19]; // field 22 of the line, in clock ticks since boot
  if (startTime === undefined || state === "Z" || state === "X") return undefined;
  return `${bootId()}/${startTime}`;
}

let cachedBootId: string | undefined;

function bootId(): string {
  cachedBootId ??= readOrUndefined("/proc/sys/kernel/random/boot_id")?.trim() ?? "unknown-boot";
  return cachedBootId;
}

function psIdentity(pid: number): string | undefined {
  try {
    const started = execFileSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
    return started === "" || started.startsWith("Z") ? undefined : started.replace(/^\S+\s+/, "");
  } catch {
    return undefined; // ps exits with 1 when there is no such process
  }
}

function readOrUndefined(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw thrown;
  }
}
