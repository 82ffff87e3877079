/** A real OpenSSH server on loopback, in a directory of its own: no file of the system is touched but /run/sshd. */
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export interface SshServerOptions {
  readonly directory: string;
  readonly port: number;
  /** Types of host keys. @default ["ed25519"] */
  readonly hostKeyTypes?: readonly string[];
  /**
   * A `sudo` that comes first in the PATH of sessions: this user is root already, or all that there is, so it only notes its
   * command line and goes on with the command. `refuses`: as sudo -n where a password is needed.
   */
  readonly sudo?: "works" | "refuses";
  /** Lines of sshd_config after ours. */
  readonly settings?: readonly string[];
  /**
   * Another user than this one logs in, and the server runs behind this command, which makes the machine have that user. It is asked
   * for at every start: a host that was rebooted is entered by another process.
   */
  readonly as?: { readonly user: string; behind(): readonly string[] };
}

export interface SshServer {
  readonly port: number;
  readonly user: string;
  /** Of the one user key that it takes. */
  readonly privateKey: string;
  readonly privateKeyFile: string;
  /** Lines of known_hosts for 127.0.0.1 at its port. */
  readonly knownHosts: string;
  /** Public host keys by type, as field 1 and 2 of their files. */
  readonly hostKeys: Readonly<Record<string, string>>;
  /** Every command line, subsystems among them, that came over it. */
  commands(): readonly string[];
  /** Ends the server and every connection, at once. */
  stop(): Promise<void>;
  /** Starts it again with the same keys. */
  start(): Promise<void>;
}

/** The reason why there can be none here; undefined where there can. */
export function whyNoSshServer(): string | undefined {
  if (!existsSync(sshd)) return `${sshd} is not installed (Debian: openssh-server)`;
  return undefined;
}

const sshd = "/usr/sbin/sshd";

export async function startSshServer(options: SshServerOptions): Promise<SshServer> {
  const { directory, port, hostKeyTypes = ["ed25519"], sudo, settings = [], as } = options;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const at = (name: string) => join(directory, name);
  const keygen = (type: string, file: string) => {
    if (!existsSync(file)) execFileSync("ssh-keygen", ["-q", "-t", type, "-N", "", "-C", "", "-f", file]);
  };
  keygen("ed25519", at("user"));
  for (const type of hostKeyTypes) keygen(type, at(`host_${type}`));
  writeFileSync(at("authorized_keys"), readFileSync(at("user.pub")));
  if (process.geteuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const log = at("commands.log");
  const script = (name: string, text: string) => {
    writeFileSync(at(name), text);
    chmodSync(at(name), 0o755);
  };
  script(
    "session.sh",
    [
      "#!/bin/sh",
      `printf '%s\\n' "$SSH_ORIGINAL_COMMAND" >> '${log}'`,
      ...(sudo === undefined ? [] : [`PATH='${at("bin")}':$PATH; export PATH`]),
      'case "$SSH_ORIGINAL_COMMAND" in internal-sftp) exec /usr/lib/openssh/sftp-server;; esac',
      'exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"',
      "",
    ].join("\n"),
  );
  if (as !== undefined) {
    // Its sessions note their commands too.
    writeFileSync(log, "");
    chmodSync(log, 0o666);
    chmodSync(directory, 0o711);
  }
  if (sudo !== undefined) {
    mkdirSync(at("bin"), { recursive: true });
    const works = '[ "$1" = -n ] || exit 9\nshift\nexec "$@"\n';
    const refuses = 'echo "sudo: a password is required" >&2\nexit 1\n';
    script("bin/sudo", `#!/bin/sh\n${sudo === "works" ? works : refuses}`);
  }
  writeFileSync(
    at("sshd_config"),
    [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      ...hostKeyTypes.map((type) => `HostKey ${at(`host_${type}`)}`),
      `PidFile ${at("pid")}`,
      `AuthorizedKeysFile ${at("authorized_keys")}`,
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "PermitRootLogin yes",
      "MaxStartups 100",
      "Subsystem sftp internal-sftp",
      `ForceCommand ${at("session.sh")}`,
      // Else the user's shell reads this machine's ~/.bashrc before every command, whatever that does and however long it takes.
      `SetEnv HOME=${directory}`,
      ...settings,
      "",
    ].join("\n"),
  );
  const hostKeys = Object.fromEntries(
    hostKeyTypes.map((type) => [
      type,
      readFileSync(at(`host_${type}.pub`), "utf8")
        .trim()
        .split(" ")
        .slice(0, 2)
        .join(" "),
    ]),
  );
  let master: number | undefined;

  async function start(): Promise<void> {
    const behind = as?.behind() ?? [];
    const [program, ...before] = [behind[0] ?? sshd, ...behind.slice(1), ...(behind.length > 0 ? [sshd] : [])] as const;
    const child = spawn(program, [...before, "-D", "-f", at("sshd_config"), "-E", at("sshd.log")], { stdio: "ignore" });
    while (!(await answers(port))) {
      if (child.exitCode !== null) throw new Error(`sshd ended: ${readFileSync(at("sshd.log"), "utf8")}`);
      await delay(20);
    }
    master = child.pid;
    if (child.pid !== undefined) running.add(child.pid);
  }

  async function stop(): Promise<void> {
    if (master === undefined) return;
    const pids = [...descendants(master), master];
    for (const pid of pids) kill(pid);
    running.delete(master);
    master = undefined;
    while (await answers(port)) await delay(20);
  }

  await start();
  return {
    port,
    user: as?.user ?? userInfo().username,
    privateKey: readFileSync(at("user"), "utf8"),
    privateKeyFile: at("user"),
    knownHosts: Object.values(hostKeys)
      .map((key) => `[127.0.0.1]:${port} ${key}\n`)
      .join(""),
    hostKeys,
    commands: () => (existsSync(log) ? readFileSync(log, "utf8").split("\n").filter(Boolean) : []),
    start,
    stop,
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("data", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
    socket.once("close", () => resolve(false));
  });
}

/** Those of sshd: each connection is a process, and what it runs are more. */
function descendants(pid: number): readonly number[] {
  let children: string;
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  } catch {
    return [];
  }
  const direct = children.split(" ").filter(Boolean).map(Number);
  return direct.flatMap((child) => [...descendants(child), child]);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has ended by itself
  }
}

/** Servers must not outlive a test run that is ended from outside. */
const running = new Set<number>();
process.on("exit", () => {
  for (const pid of running) for (const each of [...descendants(pid), pid]) kill(each);
});
