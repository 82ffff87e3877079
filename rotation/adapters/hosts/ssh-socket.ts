/**
 * A unix socket of root's, for a user that is not root: sshd forwards with the user's own rights, so a program that the host
 * has must carry the bytes, through sudo. The command line has the path of the socket and nothing else.
 */
import type { Duplex } from "node:stream";
import { KmsEtcdError } from "../../../core/errors";
import type { SshSession } from "../ssh/ssh-session";

/** Each with how it is told the path. The first one that the host has is used. */
const carriers: readonly { readonly program: string; command(path: string): string }[] = [
  { program: "socat", command: (path) => `socat - UNIX-CONNECT:${path}` },
  { program: "nc", command: (path) => `nc -U ${path}` },
];

const known = new WeakMap<SshSession, Promise<(typeof carriers)[number]>>();

export async function dialThroughSudo(session: SshSession, path: string): Promise<Duplex> {
  if (!/^[\w./@+-]+$/.test(path)) {
    throw new KmsEtcdError("unsupported", `${session.name}: the path ${path} has characters that a shell would read`);
  }
  let carrier = known.get(session);
  if (carrier === undefined) {
    carrier = findCarrier(session);
    known.set(session, carrier);
    carrier.catch(() => known.delete(session));
  }
  const { command } = await carrier;
  const channel = await (await session.ssh()).start(`sudo -n ${command(path)}`);
  failWithSudosWords(channel);
  return channel;
}

/**
 * Else a refusal looks like a plugin that ends every connection. What the program itself says is left alone: it has times and
 * process ids in it, so that it would be another text at each look.
 */
function failWithSudosWords(channel: Duplex): void {
  const { stderr } = channel as { readonly stderr?: NodeJS.ReadableStream };
  let line = "";
  // Read to its end, so that it does not stand in the way of what the socket says; sudo writes a line in pieces.
  stderr?.on("data", (data: Buffer) => {
    if (line.includes("\n") || line.length > longestLine) return;
    line += data.toString("utf8");
    const [refusal] = /^(sudo:|Sorry, user) .*(?=\n)/.exec(line) ?? [];
    if (refusal !== undefined)
      channel.emit("error", new Error(`${refusal.trim()}; docs/self-managed.md has the line for sudoers`));
  });
}

const longestLine = 1_000;

async function findCarrier(session: SshSession) {
  const names = carriers.map(({ program }) => program);
  const { stdout } = await (await session.ssh()).run(
    `for p in ${names.join(" ")}; do if command -v $p >/dev/null 2>&1; then echo $p; break; fi; done`,
  );
  const found = carriers.find(({ program }) => program === stdout.trim());
  if (found !== undefined) return found;
  throw new KmsEtcdError(
    "not-found",
    `${session.name}: neither ${names.join(" nor ")} is there to reach root's sockets with`,
    {
      remedy: "install socat on the host, or connect as root",
    },
  );
}
