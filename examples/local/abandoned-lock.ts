/** Whether a `pulumi` that was killed has left its lock in a file backend: one whose process is gone. A live one is respected. */
import { readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

export function isLockAbandoned(backend: string): boolean {
  const locks = join(backend, ".pulumi", "locks");
  let files: string[];
  try {
    files = readdirSync(locks, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".json"));
  } catch {
    return false;
  }
  return files.length > 0 && files.every((name) => isOwnerGone(join(locks, name)));
}

function isOwnerGone(file: string): boolean {
  const { pid, hostname: host } = JSON.parse(readFileSync(file, "utf8")) as { pid: number; hostname: string };
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "ESRCH";
  }
}
