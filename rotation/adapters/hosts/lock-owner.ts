/**
 * Who holds a host's lock, in a form that fits into a file name: making the file is then one step, and no lock is ever
 * seen without its owner.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

export interface LockOwner {
  /** Same for processes that can see one another's pid: this boot of this machine and pid namespace. */
  readonly machine: string;
  readonly pid: number;
  /** Tells a process from a later one with the same pid; "0" where the system does not say. */
  readonly startedAt: string;
  /** Two locks of one process differ in it. */
  readonly nonce: string;
}

/** This process, with a nonce of its own for every call. */
export function ownLock(): LockOwner {
  return {
    machine: thisMachine(),
    pid: process.pid,
    startedAt: processStart(process.pid) ?? "0",
    nonce: randomBytes(6).toString("hex"),
  };
}

const form = /^\.kms-etcd-lock\.([0-9a-f]+)\.(\d+)\.(\d+)\.([0-9a-f]+)$/;

export function lockFileName(owner: LockOwner): string {
  return `.kms-etcd-lock.${owner.machine}.${owner.pid}.${owner.startedAt}.${owner.nonce}`;
}

/** Undefined for a file that is no lock. */
export function parseLockFileName(name: string): LockOwner | undefined {
  const [, machine, pid, startedAt, nonce] = form.exec(name) ?? [];
  if (machine === undefined || startedAt === undefined || nonce === undefined) return undefined;
  return { machine, pid: Number(pid), startedAt, nonce };
}

/** Whether the owner still runs; undefined for an owner on another machine, which only time can tell. */
export function isAlive(owner: LockOwner): boolean | undefined {
  if (owner.machine !== thisMachine()) return undefined;
  try {
    process.kill(owner.pid, 0);
  } catch (thrown) {
    // EPERM: it runs, as another user.
    if ((thrown as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const startedAt = processStart(owner.pid);
  return startedAt === undefined || owner.startedAt === "0" || startedAt === owner.startedAt;
}

let machine: string | undefined;

function thisMachine(): string {
  machine ??= createHash("sha256")
    .update(`${hostname()}|${readText("/proc/sys/kernel/random/boot_id")}|${readLink("/proc/self/ns/pid")}`)
    .digest("hex")
    .slice(0, 16);
  return machine;
}

/** Start of a process in clock ticks since boot: field 22 of /proc/<pid>/stat, counted behind the name in parentheses. */
function processStart(pid: number): string | undefined {
  const text = readText(`/proc/${pid}/stat`);
  return text === "" ? undefined : text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function readLink(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
