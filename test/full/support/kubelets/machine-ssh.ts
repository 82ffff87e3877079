/**
 * Real OpenSSH on a machine, reached through a port of this one: each connection is given to an sshd of its own inside, as inetd
 * would. And an OpenSSH client's tunnels, by which tests reach what listens in there, and what is in there reaches clouds that tests play.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Machine } from "./machine";

export interface MachineSsh {
  readonly port: number;
  /** A line of known_hosts. */
  readonly knownHosts: string;
  /** Every command line, subsystems among them, that came over it, but for the tunnel's. */
  commands(): readonly string[];
  /** After the machine has been powered on again, too. */
  openTunnel(): Promise<void>;
  close(): Promise<void>;
}

export interface Tunnels {
  /** Port here, and where it leads in there. */
  readonly inward: readonly (readonly [number, number])[];
  /** Ports of this machine that are the same in there. */
  readonly outward: readonly number[];
}

/** @param userKey the file of the private key that logs in, the same for all machines; made where it is not there. */
export async function machineSsh(
  machine: Machine,
  directory: string,
  userKey: string,
  { inward, outward }: Tunnels,
): Promise<MachineSsh> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const at = (name: string) => join(directory, name);
  for (const key of [at("host"), userKey]) {
    if (!existsSync(key)) execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key]);
  }
  const log = at("commands.log");
  writeFileSync(log, "");
  writeFileSync(
    at("session.sh"),
    [
      `printf '%s\\n' "$SSH_ORIGINAL_COMMAND" >> '${log}'`,
      'case "$SSH_ORIGINAL_COMMAND" in internal-sftp) exec /usr/lib/openssh/sftp-server;; esac',
      'exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"',
      "",
    ].join("\n"),
  );
  writeFileSync(
    at("sshd_config"),
    [
      `HostKey ${at("host")}`,
      `AuthorizedKeysFile ${userKey}.pub`,
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "PermitRootLogin yes",
      "Subsystem sftp internal-sftp",
      `ForceCommand /bin/sh ${at("session.sh")}`,
      "",
    ].join("\n"),
  );

  const server = createServer({ pauseOnConnect: true }, (socket) => {
    const [enter, ...flags] = machine.inside();
    const sshd = spawn(enter, [...flags, "/usr/sbin/sshd", "-i", "-f", at("sshd_config"), "-E", at("sshd.log")], {
      stdio: [socket, socket, "ignore"],
    });
    // It has the connection now; ours would keep it open when that one ends.
    sshd.once("spawn", () => socket.destroy());
    sshd.once("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const knownHosts = `[127.0.0.1]:${port} ${readFileSync(at("host.pub"), "utf8").trim().split(" ").slice(0, 2).join(" ")}\n`;
  writeFileSync(at("known_hosts"), knownHosts);

  let tunnel: ChildProcess | undefined;

  async function openTunnel(): Promise<void> {
    closeTunnel();
    const [first] = inward;
    if (first === undefined) return;
    const client = spawn(
      "ssh",
      [
        ...["-F", "none", "-N", "-i", userKey, "-p", String(port)],
        ...["-o", `UserKnownHostsFile=${at("known_hosts")}`, "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"],
        ...["-o", "ExitOnForwardFailure=yes", "-o", "IdentitiesOnly=yes"],
        ...inward.flatMap(([here, there]) => ["-L", `127.0.0.1:${here}:127.0.0.1:${there}`]),
        ...outward.flatMap((each) => ["-R", `127.0.0.1:${each}:127.0.0.1:${each}`]),
        "root@127.0.0.1",
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    tunnel = client;
    let errors = "";
    client.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    while (!(await accepts(first[0]))) {
      if (client.exitCode !== null) throw new Error(`no tunnel to ${machine.name}: ${errors}`);
      await delay(100);
    }
  }

  function closeTunnel(): void {
    tunnel?.kill("SIGKILL");
    tunnel = undefined;
  }

  return {
    port,
    knownHosts,
    commands: () => readFileSync(log, "utf8").split("\n").filter(Boolean),
    openTunnel,
    async close() {
      closeTunnel();
      await closed(server);
    },
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
