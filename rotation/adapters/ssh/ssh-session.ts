/**
 * The connection to one host over time: made when it is first needed, shared by everything that goes to the host, and made
 * again after a cut, within a budget, so that a host that refuses us is not asked a hundred times.
 */
import { KmsEtcdError } from "../../../core/errors";
import { type SftpClient, SftpConnectionError, sftpClient } from "./sftp-client";
import { type CommandResult, connectSsh, type SshClient } from "./ssh-client";
import type { SshTarget } from "./ssh-target";

export interface SudoSettings {
  /** Where sftp-server is on the hosts. @default the places of the common distributions, tried in turn */
  readonly sftpServer?: string;
}

export interface SshSession {
  readonly name: string;
  /** Whether commands and files go through sudo. */
  readonly sudo: boolean;
  ssh(): Promise<SshClient>;
  sftp(): Promise<SftpClient>;
  /** Runs a command, as root where the session has sudo. Its text must hold nothing secret: others on the host can see it. */
  run(command: string): Promise<CommandResult>;
  close(): void;
}

/** Debian and Ubuntu; Red Hat and its like; SUSE and Alpine; Arch. */
const sftpServers = [
  "/usr/lib/openssh/sftp-server",
  "/usr/libexec/openssh/sftp-server",
  "/usr/lib/ssh/sftp-server",
  "/usr/lib/misc/sftp-server",
];

const sftpRemedy = "sshd_config needs: Subsystem sftp internal-sftp";

/** So many connections in so much time; then the last failure is told at once. */
const connectBudget = 10;
const budgetTime = 60_000;
const failureHolds = 1_000;

/** Connects when first used. */
export function sshSession(target: SshTarget, sudo?: SudoSettings): SshSession {
  const { name } = target;
  let live: SshClient | undefined;
  let closed = false;
  let failure: { readonly error: KmsEtcdError; readonly at: number } | undefined;
  let tries: number[] = [];

  /** Somebody may close it while it connects. */
  const isClosed = () => closed;

  async function connect(): Promise<SshClient> {
    if (closed) throw new KmsEtcdError("cancelled", `${name}: the connection was closed`);
    const now = Date.now();
    // All that wait for one connection are told of one failure.
    if (failure !== undefined && now - failure.at < failureHolds) throw failure.error;
    tries = tries.filter((at) => now - at < budgetTime);
    if (tries.length >= connectBudget) throw failure?.error ?? spent();
    tries.push(now);
    try {
      live = await connectSsh(target);
      failure = undefined;
      if (isClosed()) live.close();
      return live;
    } catch (thrown) {
      if (thrown instanceof KmsEtcdError) {
        failure = { error: thrown, at: Date.now() };
        // A refusal does not pass by asking again, and hosts shut out those who keep asking.
        if (thrown.code === "permission-denied")
          tries.push(...Array.from({ length: connectBudget / 2 - 1 }, () => now));
      }
      throw thrown;
    }
  }

  function spent(): KmsEtcdError {
    return new KmsEtcdError("unreachable", `${name}: the connection was cut ${connectBudget} times in a minute`, {
      remedy: "see what cuts it, then run again",
    });
  }

  const ssh = shared(connect);
  const sftp = shared(openSftp);

  async function openSftp(): Promise<SftpClient> {
    const connected = await ssh();
    if (sudo === undefined) {
      return hello(
        await connected.openSftp(undefined).catch((thrown: unknown) => {
          if (!(thrown instanceof KmsEtcdError) || !/subsystem/i.test(thrown.message)) throw thrown;
          throw new KmsEtcdError("unsupported", thrown.message, { remedy: sftpRemedy, cause: thrown });
        }),
      );
    }
    return hello(await connected.openSftp(`sudo -n ${sudo.sftpServer ?? (await findSftpServer(connected))}`));
  }

  async function hello(channel: Awaited<ReturnType<SshClient["openSftp"]>>): Promise<SftpClient> {
    let said = "";
    (channel as { stderr?: NodeJS.ReadableStream }).stderr?.on("data", (data: Buffer) => {
      if (said.length < 300) said += data.toString("utf8");
    });
    try {
      return await sftpClient(channel);
    } catch (thrown) {
      if (!(thrown instanceof SftpConnectionError)) throw thrown;
      if (sudo !== undefined && said !== "") throw sudoError(said);
      if (thrown.cut) throw new KmsEtcdError("unreachable", `${name}: sftp: ${thrown.message}`, { cause: thrown });
      throw new KmsEtcdError("unsupported", `${name}: sftp: ${thrown.message}`, { remedy: sftpRemedy });
    }
  }

  function sudoError(said: string): KmsEtcdError {
    const reason = said.trim().split("\n")[0]?.slice(0, 200) ?? "";
    return new KmsEtcdError(
      "permission-denied",
      `${name}: sudo -n does not run sftp-server for ${target.user}${reason === "" ? "" : ` (${reason})`}`,
      {
        remedy: `let sudoers say: ${target.user} ALL=(root) NOPASSWD: <path of sftp-server>; docs/self-managed.md has all lines`,
      },
    );
  }

  async function findSftpServer(connected: SshClient): Promise<string> {
    const { stdout } = await connected.run(
      `for f in ${sftpServers.join(" ")}; do if [ -x $f ]; then echo $f; break; fi; done`,
    );
    const found = stdout.trim();
    if (sftpServers.includes(found)) return found;
    throw new KmsEtcdError("not-found", `${name}: sftp-server is in none of ${sftpServers.join(", ")}`, {
      remedy: "say where it is, in ssh.sudoSftpServer",
    });
  }

  return {
    name,
    sudo: sudo !== undefined,
    ssh,
    sftp,
    run: async (command) => (await ssh()).run(sudo === undefined ? command : `sudo -n ${command}`),
    close: () => {
      closed = true;
      live?.close();
    },
  };
}

/** One at a time, and the same for everyone for as long as it is open. */
function shared<T extends { isOpen(): boolean }>(open: () => Promise<T>): () => Promise<T> {
  let last: Promise<T> | undefined;
  return () => {
    const before = last;
    const next = (async () => {
      const present = await before?.catch(() => undefined);
      return present?.isOpen() ? present : open();
    })();
    last = next;
    return next;
  };
}
