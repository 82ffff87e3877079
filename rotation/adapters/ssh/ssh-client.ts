/** One SSH connection, for as long as it lasts. Everything that goes over it has a time limit. */
import type { Duplex } from "node:stream";
import { Client, type ClientChannel, type ConnectConfig, type ServerHostKeyAlgorithm } from "ssh2";
import { KmsEtcdError } from "../../../core/errors";
import { hostPattern, parseKnownHosts, unknownHost } from "./known-hosts";
import type { SshTarget } from "./ssh-target";

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SshClient {
  /** The sftp subsystem, or the output and input of `command`. */
  openSftp(command: string | undefined): Promise<Duplex>;
  /** Where a connection that the host itself makes to `address:port` comes out. */
  forward(address: string, port: number): Promise<Duplex>;
  /** The same for a unix socket of the host. */
  forwardSocket(path: string): Promise<Duplex>;
  /** Input and output of a command that goes on. */
  start(command: string): Promise<Duplex>;
  /** Runs a command to its end. */
  run(command: string): Promise<CommandResult>;
  isOpen(): boolean;
  close(): void;
}

const connectTimeout = 15_000;
const channelTimeout = 10_000;
const commandTimeout = 60_000;
const keepAlive = { keepaliveInterval: 5_000, keepaliveCountMax: 3 };

/** Throws `permission-denied` (host key, user), `unreachable` or `timeout`. */
export async function connectSsh(target: SshTarget): Promise<SshClient> {
  const jump = target.jump === undefined ? undefined : await connectSsh(target.jump);
  try {
    const through = await jump?.forward(target.address, target.port);
    return await connectThrough(target, through, jump);
  } catch (thrown) {
    jump?.close();
    throw thrown;
  }
}

/** Types that the server is asked for: those that are known for it, so that one with several keys shows a known one. */
const signatures: Readonly<Record<string, readonly ServerHostKeyAlgorithm[]>> = {
  "ssh-ed25519": ["ssh-ed25519"],
  "ecdsa-sha2-nistp256": ["ecdsa-sha2-nistp256"],
  "ecdsa-sha2-nistp384": ["ecdsa-sha2-nistp384"],
  "ecdsa-sha2-nistp521": ["ecdsa-sha2-nistp521"],
  "ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256"],
};

function connectThrough(target: SshTarget, through: Duplex | undefined, jump: SshClient | undefined) {
  const { name, address, port, user } = target;
  const known = parseKnownHosts(target.knownHosts);
  const types = known.typesOf(address, port).flatMap((type) => signatures[type] ?? []);
  if (types.length === 0) throw named(name, unknownHost(hostPattern(address, port)));
  // Everything that goes over the connection listens for its end.
  const client = new Client().setMaxListeners(0);
  let open = false;
  let refusal: KmsEtcdError | undefined;
  return new Promise<SshClient>((resolve, reject) => {
    const fail = (thrown: Error & { readonly level?: string }) => {
      client.destroy();
      reject(refusal === undefined ? connectError(target, thrown) : named(name, refusal));
    };
    client.once("ready", () => {
      open = true;
      client.removeListener("error", fail);
      // The end is told by "close"; an error in between must not end this process.
      client.on("error", () => undefined);
      resolve(sshClient(name, client, () => open, jump));
    });
    // Not once: a connection that is reset before the server has said anything tells of two errors, and one that nobody hears ends this process.
    client.on("error", fail);
    client.once("close", () => {
      open = false;
      jump?.close();
      fail(new Error("the connection was closed"));
    });
    const settings: ConnectConfig = {
      host: address,
      port,
      username: user,
      ...(target.privateKey !== undefined && { privateKey: target.privateKey }),
      ...(target.passphrase !== undefined && { passphrase: target.passphrase }),
      ...(target.agentSocket !== undefined && { agent: target.agentSocket }),
      ...(through !== undefined && { sock: through }),
      readyTimeout: connectTimeout,
      ...keepAlive,
      algorithms: { serverHostKey: types },
      hostVerifier: (key: Buffer) => {
        refusal = known.problem(address, port, key);
        return refusal === undefined;
      },
    };
    try {
      client.connect(settings);
    } catch (thrown) {
      // A key that cannot be read.
      fail(thrown as Error);
    }
  });
}

function sshClient(name: string, client: Client, isOpen: () => boolean, jump: SshClient | undefined): SshClient {
  type Opened<T> = (thrown: Error | undefined, opened: T) => void;
  function channel<T extends Duplex>(what: string, ask: (done: Opened<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const failed = (reason: string) => new KmsEtcdError("unreachable", `${name}: cannot ${what}: ${reason}`);
      if (!isOpen()) return reject(failed("the SSH connection was closed"));
      const closed = () => done(() => reject(failed("the SSH connection was cut")));
      const late = () => {
        // A connection on which requests go unanswered is no use to the next one either.
        client.destroy();
        done(() =>
          reject(new KmsEtcdError("timeout", `${name}: cannot ${what}: no answer in ${channelTimeout / 1_000} s`)),
        );
      };
      const timer = setTimeout(late, channelTimeout);
      const done = (act: () => void) => {
        clearTimeout(timer);
        client.removeListener("close", closed);
        act();
      };
      client.once("close", closed);
      try {
        ask((thrown, opened) =>
          done(() => {
            if (thrown !== undefined) return reject(forbidden(name, what, thrown) ?? failed(plain(thrown)));
            opened.on("error", () => undefined);
            resolve(opened);
          }),
        );
      } catch (thrown) {
        done(() => reject(failed((thrown as Error).message)));
      }
    });
  }

  const start = (command: string) => channel<ClientChannel>("run a command", (done) => client.exec(command, done));
  return {
    openSftp: (command) =>
      command === undefined ? channel("open sftp", (done) => client.subsys("sftp", done)) : start(command),
    forward: (address, port) =>
      channel(`forward a connection to ${address}:${port}`, (done) =>
        client.forwardOut("127.0.0.1", 0, address, port, done),
      ),
    forwardSocket: (path) => channel(`connect to ${path}`, (done) => client.openssh_forwardOutStreamLocal(path, done)),
    start,
    run: (command) =>
      new Promise((resolve, reject) => {
        const out: Buffer[] = [];
        const err: Buffer[] = [];
        let code: number | undefined;
        // At once when it is there: the end of a short command may come in one piece with the answer.
        const listen = (running: ClientChannel) => {
          const timer = setTimeout(() => {
            running.destroy();
            reject(new KmsEtcdError("timeout", `${name}: a command took more than ${commandTimeout / 1_000} s`));
          }, commandTimeout);
          running.on("data", (data: Buffer) => out.push(data));
          running.stderr.on("data", (data: Buffer) => err.push(data));
          running.on("exit", (status: number | null) => (code = status ?? -1));
          running.on("close", () => {
            clearTimeout(timer);
            const text = (parts: readonly Buffer[]) => Buffer.concat(parts).toString("utf8");
            if (code !== undefined) resolve({ code, stdout: text(out), stderr: text(err) });
            else reject(new KmsEtcdError("unreachable", `${name}: a command was cut off`));
          });
          running.end();
        };
        channel<ClientChannel>("run a command", (done) =>
          client.exec(command, (thrown, opened) => {
            if (thrown === undefined) listen(opened);
            done(thrown, opened);
          }),
        ).catch(reject);
      }),
    isOpen,
    close: () => {
      client.end();
      client.destroy();
      jump?.close();
    },
  };
}

/** RFC 4254, 5.1: 1 is SSH_OPEN_ADMINISTRATIVELY_PROHIBITED. */
function forbidden(name: string, what: string, thrown: Error): KmsEtcdError | undefined {
  if ((thrown as { readonly reason?: unknown }).reason !== 1) return undefined;
  return new KmsEtcdError("permission-denied", `${name}: cannot ${what}: sshd forbids it`, {
    remedy: "sshd_config needs: AllowTcpForwarding yes and AllowStreamLocalForwarding yes",
  });
}

/** 2 is SSH_OPEN_CONNECT_FAILED. */
function plain(thrown: Error): string {
  return (thrown as { readonly reason?: unknown }).reason === 2 ? "nobody answers there" : thrown.message;
}

function connectError(target: SshTarget, thrown: Error & { readonly level?: string }): KmsEtcdError {
  const { name, address, port, user } = target;
  const where = `${name}: SSH to ${user}@${hostPattern(address, port)}`;
  const { code } = thrown as NodeJS.ErrnoException;
  if (thrown.level === "client-authentication") {
    return new KmsEtcdError("permission-denied", `${where}: the host takes none of our keys`, {
      remedy: `put the public key into ~${user}/.ssh/authorized_keys on the host, or give another key, agent or user`,
    });
  }
  if (thrown.level === "agent") {
    return new KmsEtcdError("unreachable", `${where}: the agent gives no keys`, {
      remedy: "start ssh-agent and add the key, or name its socket in agentSocket",
    });
  }
  if (thrown.level === "client-timeout") {
    return new KmsEtcdError("timeout", `${where}: no connection in ${connectTimeout / 1_000} s`, { cause: thrown });
  }
  if (/parse privateKey|passphrase/i.test(thrown.message)) {
    return new KmsEtcdError("invalid-input", `${where}: the private key cannot be read`, {
      remedy: "give a key in OpenSSH or PEM form, and its passphrase if it has one",
    });
  }
  return new KmsEtcdError("unreachable", `${where}: ${code ?? thrown.message}`, { cause: thrown });
}

function named(name: string, error: KmsEtcdError): KmsEtcdError {
  const remedy = error.remedy === undefined ? {} : { remedy: error.remedy };
  return new KmsEtcdError(error.code, `${name}: ${error.message}`, remedy);
}
