/** What a process has cost so far, from /proc. */
import { readdirSync, readFileSync } from "node:fs";

/** CPU time of all its threads, in microseconds. */
export function cpuMicroseconds(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => {
    // Nanoseconds on a CPU; utime and stime count in hundredths of a second.
    const [onCpu] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
    return sum + Number(onCpu) / 1_000;
  }, 0);
}

/** The most that was resident at any moment, in MB. */
export function peakResidentMb(pid: number): number {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1_000;
}
