/**
 * A machine that is namespaces of this one: network, host name, processes, mounts and System V IPC of its own, with files of its
 * own in /etc, /var and /run and everything else shared. Its first process reads a pipe from this one: when this process ends, however
 * that is, the machine is gone with its processes, mounts and network. Needs root, changes nothing outside.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const execute = promisify(execFile);

export interface Machine {
  readonly name: string;
  /** What the machine has at `path`, seen from here. Only below the places that it has of its own on disk. */
  outside(path: string): string;
  /** Runs a program to its end and gives its standard output. */
  run(program: string, args: readonly string[]): Promise<string>;
  /** Starts one that stays; its output goes to the machine's folder `log`. */
  start(program: string, args: readonly string[]): Promise<void>;
  /** The command that runs the one after it inside. */
  inside(): readonly [string, ...string[]];
  /** Of the first process, as seen from here; its network is /proc/<pid>/ns/net. */
  pid(): number;
  /** As when the power goes. What is on disk stays. */
  powerOff(): Promise<void>;
  powerOn(): Promise<void>;
}

export interface MachineOptions {
  readonly name: string;
  /** What the machine has on disk. */
  readonly directory: string;
}

/** Directories that it has of its own on disk; those of containerd and the kubelet must not lie on an overlay. */
const ownDirectories = [
  "/etc/kubernetes",
  "/var/lib/containerd",
  "/var/lib/etcd",
  "/var/lib/kms-etcd",
  "/var/lib/kubelet",
  "/var/log/pods",
] as const;

/** Directories that show this machine's files and keep what is written to them. */
const overlays = ["etc", "opt", "var"] as const;

/** What a kubelet sets when it finds another value. It finds these, so it leaves the machine's own kernel alone. */
const kernelSettings: Readonly<Record<string, string>> = {
  "vm/overcommit_memory": "1",
  "vm/panic_on_oom": "0",
  "kernel/panic": "10",
  "kernel/panic_on_oops": "1",
  "kernel/keys/root_maxkeys": "1000000",
  "kernel/keys/root_maxbytes": "25000000",
};

export async function startMachine({ name, directory }: MachineOptions): Promise<Machine> {
  const at = (...parts: readonly string[]) => join(directory, ...parts);
  for (const part of ["log", "proc-sys", ...overlays, ...overlays.map((name) => `${name}.work`)])
    mkdirSync(at(part), { recursive: true });
  for (const path of ownDirectories) mkdirSync(at("disk", path), { recursive: true });
  const settings = Object.entries(kernelSettings);
  for (const [setting, value] of settings) writeFileSync(at("proc-sys", setting.replaceAll("/", ".")), `${value}\n`);
  const overlay = (path: string) =>
    `mount -t overlay overlay -o lowerdir=/${path},upperdir=${at(path)},workdir=${at(`${path}.work`)} /${path}`;
  const script = [
    "set -e",
    `hostname ${name}`,
    "mount -t proc proc /proc",
    ...settings.map(([setting]) => `mount --bind ${at("proc-sys", setting.replaceAll("/", "."))} /proc/sys/${setting}`),
    "mount -t tmpfs -o mode=755 tmpfs /run",
    "mkdir -p /run/sshd",
    ...overlays.map(overlay),
    ...ownDirectories.map((path) => `mkdir -p ${path} && mount --bind ${at("disk", path)} ${path}`),
    // This machine's root may have a shell with a profile that does a lot, before every command over SSH.
    "sed -i 's#^\\(root:.*:\\)[^:]*$#\\1/bin/sh#' /etc/passwd",
    `printf '127.0.0.1 localhost\\n127.0.1.1 ${name}\\n' > /etc/hosts`,
    "ip link set lo up",
    "echo on",
    // Until the other end of the pipe is closed.
    "while read -r line; do :; done",
  ].join("\n");

  let child: ChildProcess | undefined;
  let first = 0;

  async function powerOn(): Promise<void> {
    const started = spawn(
      "unshare",
      // The first process ends with unshare, too.
      [...["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child"], "bash", "-c", script],
      { stdio: ["pipe", "pipe", "pipe"] },
    );
    child = started;
    let errors = "";
    started.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: started.stdout }).once("line", () => resolve());
      started.once("error", reject);
      started.once("close", () => reject(new Error(`${name} does not start: ${errors}`)));
    });
    first = Number(readFileSync(`/proc/${started.pid}/task/${started.pid}/children`, "utf8").trim());
  }

  async function powerOff(): Promise<void> {
    const running = child;
    child = undefined;
    if (running?.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise((resolve) => running.once("close", resolve));
    running.kill("SIGKILL");
    await ended;
    // unshare has ended; its child, and with it the namespace's other processes, may take a moment more.
    await execute("sh", ["-c", `while [ -e /proc/${first}/ns/pid ]; do sleep 0.05; done`]);
  }

  const inside = (): readonly [string, ...string[]] => [
    "nsenter",
    `--target=${first}`,
    "--mount",
    "--uts",
    "--ipc",
    "--net",
    "--pid",
  ];
  await powerOn();
  return {
    name,
    outside: (path) => at("disk", path),
    inside,
    pid: () => first,
    powerOff,
    powerOn,
    async run(program, args) {
      const [enter, ...flags] = inside();
      const { stdout } = await execute(enter, [...flags, program, ...args], { maxBuffer: 1 << 26 });
      return stdout;
    },
    async start(program, args) {
      const [enter, ...flags] = inside();
      const log = createWriteStream(at("log", `${program.split("/").at(-1)}.log`), { flags: "a" });
      await new Promise((resolve) => log.once("open", resolve));
      // It ends with the machine.
      spawn(enter, [...flags, program, ...args], { stdio: ["ignore", log, log] }).unref();
      log.close();
    },
  };
}
