/**
 * A real systemd as the first process of a pid namespace: a host, as far as units go, with a /run and an /etc/systemd/system of its own.
 * Files and network are this machine's. It has a cgroup of its own under the named hierarchy, and none of this machine's units.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export interface SystemdHost {
  /** Its /etc/systemd/system, from outside. */
  readonly unitDirectory: string;
  /** In front of a command: runs it there. */
  readonly behind: readonly string[];
  systemctl(...words: readonly string[]): string;
  /** Of a unit's main process, as this machine numbers it; 0 without one. */
  mainPid(unit: string): number;
  /** All of its processes end at once, and /run is empty afterwards; then it starts again. */
  reboot(): Promise<void>;
  stop(): Promise<void>;
}

const systemd = "/lib/systemd/systemd";
const hierarchy = "/sys/fs/cgroup/systemd";

/** The reason why there can be none here; undefined where there can. */
export function whyNoSystemd(): string | undefined {
  if (process.geteuid?.() !== 0) return "it needs root";
  if (!existsSync(systemd)) return `${systemd} is not installed (Debian: systemd)`;
  return existsSync(hierarchy) ? undefined : "there is no cgroup hierarchy of systemd's (cgroup v1, name=systemd)";
}

/** What a unit's default dependencies ask for. */
const targets = ["sysinit", "basic", "shutdown", "network-online", "multi-user"];

export async function startSystemd(directory: string): Promise<SystemdHost> {
  const unitDirectory = join(directory, "units");
  mkdirSync(unitDirectory, { recursive: true });
  for (const name of targets) {
    writeFileSync(join(unitDirectory, `${name}.target`), `[Unit]\nDescription=${name}\nDefaultDependencies=no\n`);
  }
  const cgroup = join(hierarchy, `kms-etcd-${process.pid}-${directory.replaceAll("/", "-")}`);
  const script = join(directory, "enter.sh");
  writeFileSync(
    script,
    [
      "set -e",
      "mount --make-rprivate /",
      "mount -t tmpfs tmpfs /sys/fs/cgroup",
      `mkdir ${hierarchy}`,
      `mount -t cgroup -o none,name=systemd cgroup ${hierarchy}`,
      "mount -t tmpfs tmpfs /run",
      "mkdir -p /run/systemd/system /run/sshd",
      `mount --bind '${unitDirectory}' /etc/systemd/system`,
      // Without its own set of units nothing of this machine is touched: no sysctl, no devices, no journal.
      "exec env -i container=kms-etcd PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/systemd/system" +
        ` ${systemd} --system --unit=multi-user.target --log-target=console --log-level=notice --show-status=0`,
      "",
    ].join("\n"),
  );
  let pid = 0;

  async function start(): Promise<void> {
    mkdirSync(cgroup, { recursive: true });
    const inside = `echo $$ > '${cgroup}/cgroup.procs'; exec unshare --pid --fork --mount --mount-proc --uts --ipc --cgroup --kill-child=KILL sh '${script}' >> '${directory}/systemd.log' 2>&1`;
    const child = spawn("sh", ["-c", inside], { stdio: "ignore" });
    for (;;) {
      await delay(50);
      if (child.exitCode !== null) throw new Error(`no systemd: ${readFileSync(`${directory}/systemd.log`, "utf8")}`);
      const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
      if (children === "") continue;
      pid = Number(children.split(" ")[0]);
      running.add(pid);
      try {
        if (/running|degraded/.test(systemctl("is-system-running"))) return;
      } catch {
        // not yet
      }
    }
  }

  async function end(): Promise<void> {
    if (pid === 0) return;
    running.delete(pid);
    // The first process of a pid namespace takes all others with it.
    process.kill(pid, "SIGKILL");
    while (existsSync(`/proc/${pid}`)) await delay(20);
    pid = 0;
    while (!removeCgroup(cgroup)) await delay(20);
  }

  function systemctl(...words: readonly string[]): string {
    const [program = "", ...before] = behind();
    return execFileSync(program, [...before, "systemctl", ...words], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    }).trim();
  }

  function behind(): readonly string[] {
    return ["nsenter", "--target", String(pid), "--mount", "--pid", "--"];
  }

  await start();
  return {
    unitDirectory,
    get behind() {
      return behind();
    },
    systemctl,
    mainPid: (unit) => {
      const inner = Number(systemctl("show", "--property=MainPID", "--value", "--", unit));
      return inner === 0 ? 0 : outerPid(pid, inner);
    },
    reboot: async () => {
      await end();
      await start();
    },
    stop: end,
  };
}

/** The process that the namespace of `first` numbers `inner`. */
function outerPid(first: number, inner: number): number {
  const pending = [first];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    try {
      const numbers = /^NSpid:\s+(.*)$/m.exec(readFileSync(`/proc/${at}/status`, "utf8"))?.[1]?.split(/\s+/) ?? [];
      if (Number(numbers.at(-1)) === inner) return at;
      pending.push(...readFileSync(`/proc/${at}/task/${at}/children`, "utf8").split(" ").filter(Boolean).map(Number));
    } catch {
      // it has ended
    }
  }
  return 0;
}

function removeCgroup(path: string): boolean {
  if (!existsSync(path)) return true;
  try {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) removeCgroup(join(path, entry.name));
    }
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}

/** They must not outlive a test run that is ended from outside. */
const running = new Set<number>();
process.on("exit", () => {
  for (const pid of running) process.kill(pid, "SIGKILL");
});
