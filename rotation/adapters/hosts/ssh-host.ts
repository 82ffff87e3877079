/** A control-plane host over SSH. Files go through sftp, so that no content ever stands on a command line. */
import { dirname } from "node:path";
import type { Duplex } from "node:stream";
import { KmsEtcdError } from "../../../core/errors";
import { openFor, type SftpClient, SftpConnectionError, SftpStatusError } from "../ssh/sftp-client";
import { statusCode } from "../ssh/sftp-packets";
import type { SshSession } from "../ssh/ssh-session";
import type { Host } from "./host";
import { dialThroughSudo } from "./ssh-socket";

const regularFile = 0o100_000;
const fileType = 0o170_000;
const permissions = 0o7777;
/** Far above any manifest or configuration. */
const longestFile = 8 << 20;

/** The session is the host's own: closing the host closes it. */
export function sshHost(session: SshSession): Host {
  const { name } = session;
  let clock: Promise<number> | undefined;

  /**
   * Where looking is cut off, it is done once more over a new connection, and so is what may be done twice. Other changes are
   * not, because they may have happened.
   */
  async function looking<T>(doing: string, path: string, work: (sftp: SftpClient) => Promise<T>): Promise<T> {
    try {
      return await work(await session.sftp());
    } catch (thrown) {
      if (!(thrown instanceof SftpConnectionError)) throw fileError(name, doing, path, thrown);
      return changing(doing, path, work);
    }
  }

  async function changing<T>(doing: string, path: string, work: (sftp: SftpClient) => Promise<T>): Promise<T> {
    const sftp = await session.sftp();
    try {
      return await work(sftp);
    } catch (thrown) {
      throw fileError(name, doing, path, await withReason(sftp, path, thrown));
    }
  }

  async function makeDirectory(sftp: SftpClient, path: string): Promise<void> {
    if (await isThere(sftp, path)) return;
    if (dirname(path) !== path) await makeDirectory(sftp, dirname(path));
    try {
      await sftp.makeDirectory(path, 0o700);
    } catch (thrown) {
      // Two that make the same directory: it is there.
      if (!(thrown instanceof SftpStatusError) || !(await isThere(sftp, path))) throw thrown;
    }
  }

  return {
    name,
    clockAhead: () => {
      clock ??= measureClock(session);
      clock.catch(() => (clock = undefined));
      return clock;
    },
    readFile: (path) =>
      looking("read", path, async (sftp) => {
        const handle = await unlessMissing(sftp.open(path, openFor.reading));
        if (handle === undefined) return undefined;
        try {
          const found = await sftp.attributesOf(handle);
          const { owner = { uid: 0, gid: 0 }, mode = 0, modifiedSecond = 0, size = 0 } = found;
          const bytes = await sftp.readAll(handle, size, longestFile);
          // The protocol has whole seconds: the last moment of it, so that nothing that happened before seems to have come later.
          return { bytes, mode: mode & permissions, owner, modifiedAt: endOf(modifiedSecond) };
        } finally {
          if (sftp.isOpen()) await sftp.close(handle);
        }
      }),
    changedAt: (path) => changedSecond(session, path),
    socketMadeAt: (path) =>
      looking("look at", path, async (sftp) => {
        const second = (await unlessMissing(sftp.stat(path)))?.modifiedSecond;
        return second === undefined ? undefined : endOf(second);
      }),
    listFiles: (directory) =>
      looking("list", directory, async (sftp) => {
        const entries = await unlessMissing(sftp.list(directory));
        return (entries ?? [])
          .filter(({ attributes }) => ((attributes.mode ?? 0) & fileType) === regularFile)
          .map((entry) => entry.name);
      }),
    makeDirectory: (path) => looking("make", path, (sftp) => makeDirectory(sftp, path)),
    createFile: (path, bytes, mode, owner) =>
      changing("make", path, async (sftp) => {
        const handle = await sftp.open(path, openFor.making, 0o600).catch(async (thrown: unknown) => {
          if (thrown instanceof SftpStatusError && (await isThere(sftp, path))) {
            throw new KmsEtcdError("conflict", `${name}: cannot make ${path}: EEXIST`, { cause: thrown });
          }
          throw thrown;
        });
        try {
          // Content last: no one else may read it before mode and owner are right.
          await sftp.changeAttributes(handle, { mode });
          const own = owner && (await sftp.attributesOf(handle)).owner;
          if (owner !== undefined && (own?.uid !== owner.uid || own.gid !== owner.gid)) {
            await sftp.changeAttributes(handle, { owner });
          }
          await sftp.writeAll(handle, bytes);
          await sftp.sync(handle);
          await sftp.close(handle);
        } catch (thrown) {
          // Half a file helps nobody, and on a full disk its place does.
          if (sftp.isOpen()) {
            await sftp.close(handle).catch(() => undefined);
            await sftp.remove(path).catch(() => undefined);
          }
          throw thrown;
        }
      }),
    rename: (from, to) => changing("replace", to, (sftp) => sftp.rename(from, to)),
    removeFile: (path) =>
      changing("remove", path, async (sftp) => {
        const removed = await unlessMissing(sftp.remove(path).then(() => true));
        return removed ?? false;
      }),
    syncDirectory: (path) =>
      looking("sync", path, async (sftp) => {
        const handle = await sftp.open(path, openFor.reading);
        await sftp.sync(handle).finally(() => (sftp.isOpen() ? sftp.close(handle) : undefined));
      }),
    dialSocket: (path, signal) => dialSocket(session, path, signal),
    close: async () => session.close(),
  };
}

async function dialSocket(session: SshSession, path: string, signal: AbortSignal): Promise<Duplex> {
  const dialling = session.sudo
    ? dialThroughSudo(session, path)
    : session.ssh().then((client) => client.forwardSocket(path));
  return new Promise((resolve, reject) => {
    const late = () => reject(new KmsEtcdError("timeout", `${session.name}: no connection to ${path} in time`));
    signal.addEventListener("abort", late, { once: true });
    if (signal.aborted) late();
    dialling
      .then(
        (channel) => {
          if (signal.aborted) channel.destroy();
          else resolve(channel);
        },
        (thrown: unknown) => reject(thrown as Error),
      )
      .finally(() => signal.removeEventListener("abort", late));
  });
}

/**
 * By a program, because the protocol does not have this time. Undefined where the host runs no commands for us, or has another
 * kind of stat. The end of that second, for the same reason as with the other time.
 */
async function changedSecond(session: SshSession, path: string): Promise<number | undefined> {
  // Nothing that a shell would read.
  if (!/^[\w./@+-]+$/.test(path)) return undefined;
  const command = `stat -L -c %Z -- ${path}`;
  const asItself = await (await session.ssh()).run(command);
  // In a directory of root's only root can look.
  const { code, stdout } = asItself.code !== 0 && session.sudo ? await session.run(command) : asItself;
  const seconds = /^(\d+)\s*$/.exec(stdout)?.[1];
  return code !== 0 || seconds === undefined ? undefined : endOf(Number(seconds));
}

/** How far the host's clock is ahead, as well as a round trip can tell; 0 where the host runs no commands for us. */
async function measureClock(session: SshSession): Promise<number> {
  const client = await session.ssh();
  const before = Date.now();
  const { code, stdout } = await client.run("date -u +%s.%N");
  const after = Date.now();
  const [, seconds, fraction = ""] = /^(\d+)(?:\.(\d*))?/.exec(stdout) ?? [];
  if (code !== 0 || seconds === undefined) return 0;
  const there = Number(seconds) * 1_000 + Number(`0.${fraction || "5"}`) * 1_000;
  return Math.round(there - (before + after) / 2);
}

async function isThere(sftp: SftpClient, path: string): Promise<boolean> {
  return (await unlessMissing(sftp.stat(path))) !== undefined;
}

async function unlessMissing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (thrown) {
    if (thrown instanceof SftpStatusError && thrown.code === statusCode.noSuchFile) return undefined;
    throw thrown;
  }
}

/** The host's file system takes nothing. */
class FileSystemError extends Error {}

/** The protocol says "Failure" for a full disk and for a read-only one: the file system says which. */
async function withReason(sftp: SftpClient, path: string, thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof SftpStatusError) || thrown.code !== statusCode.failure) return thrown;
  if (!sftp.isOpen() || !sftp.extensions.has("statvfs@openssh.com")) return thrown;
  const space = await sftp.space(dirname(path)).catch(() => undefined);
  if (space?.readOnly === true) return new FileSystemError("the file system is read-only");
  if (space?.freeFiles === 0) return new FileSystemError("the file system takes no more files");
  if (space !== undefined && space.freeBytes < 1 << 16) {
    return new FileSystemError(`the disk is full (${space.freeBytes} bytes free)`);
  }
  return thrown;
}

function fileError(host: string, doing: string, path: string, thrown: unknown): Error {
  if (thrown instanceof KmsEtcdError) return thrown;
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  const message = `${host}: cannot ${doing} ${path}: ${reason}`;
  // It does not pass by trying again, as a connection that was cut does.
  if (thrown instanceof FileSystemError) {
    return new KmsEtcdError("blocked", message, { remedy: "make room for it on that host, then run again" });
  }
  if (!(thrown instanceof SftpStatusError)) return new KmsEtcdError("unreachable", message, { cause: thrown });
  switch (thrown.code) {
    case statusCode.noSuchFile:
      return new KmsEtcdError("not-found", message, { cause: thrown });
    case statusCode.permissionDenied:
      return new KmsEtcdError("permission-denied", message, {
        cause: thrown,
        remedy: "connect as root, or set ssh.sudo for a user that may run sftp-server through sudo",
      });
    default:
      return new KmsEtcdError("unreachable", message, { cause: thrown });
  }
}

/** SFTP and `stat` tell whole seconds: what happened in one is over at its end. */
function endOf(second: number): number {
  return (second + 1) * 1_000;
}
