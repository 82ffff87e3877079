/** The machine that the engine runs on, as a control-plane host. */
import { constants } from "node:fs";
import { chown, mkdir, open, readdir, rename, stat, unlink } from "node:fs/promises";
import { createConnection } from "node:net";
import { KmsEtcdError } from "../../../core/errors";
import type { FileOwner, Host } from "./host";

/** Methods work on this machine's file system; `name` is what errors call it. */
export function localHost(name: string): Host {
  const failed = (doing: string, path: string) => (thrown: unknown) => {
    throw fileError(name, doing, path, thrown as NodeJS.ErrnoException);
  };
  return {
    name,
    readFile: async (path) => {
      try {
        const handle = await open(path, constants.O_RDONLY);
        try {
          const found = await handle.stat();
          const bytes = await handle.readFile();
          const owner = { uid: found.uid, gid: found.gid };
          return { bytes, mode: found.mode & 0o7777, owner, modifiedAt: Math.ceil(found.mtimeMs) };
        } finally {
          await handle.close();
        }
      } catch (thrown) {
        if (isMissing(thrown)) return undefined;
        return failed("read", path)(thrown);
      }
    },
    listFiles: async (directory) => {
      try {
        const entries = await readdir(directory, { withFileTypes: true });
        return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
      } catch (thrown) {
        if (isMissing(thrown)) return [];
        return failed("list", directory)(thrown);
      }
    },
    makeDirectory: async (path) => {
      await mkdir(path, { recursive: true, mode: 0o700 }).catch(failed("make", path));
    },
    createFile: (path, bytes, mode, owner) => createFile(path, bytes, mode, owner).catch(failed("make", path)),
    rename: (from, to) => rename(from, to).catch(failed("replace", to)),
    removeFile: (path) =>
      unlink(path).then(
        () => true,
        (thrown: unknown) => (isMissing(thrown) ? false : failed("remove", path)(thrown)),
      ),
    syncDirectory: async (path) => {
      try {
        const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
        await handle.sync().finally(() => handle.close());
      } catch (thrown) {
        failed("sync", path)(thrown);
      }
    },
    // Whatever a copy says of its content's age, the kernel has the time of the last change to it or to its place.
    changedAt: async (path) => {
      try {
        const { ctimeMs, mtimeMs } = await stat(path);
        return Math.ceil(Math.max(ctimeMs, mtimeMs));
      } catch (thrown) {
        if (isMissing(thrown)) return undefined;
        return failed("look at", path)(thrown);
      }
    },
    socketMadeAt: (path) =>
      stat(path).then(
        ({ mtimeMs }) => Math.ceil(mtimeMs),
        (thrown: unknown) => (isMissing(thrown) ? undefined : failed("look at", path)(thrown)),
      ),
    dialSocket: (path, signal) =>
      new Promise((resolve, reject) => {
        const late = () => new KmsEtcdError("timeout", `${name}: no connection to ${path} in time`);
        // With a signal that is aborted already Node connects all the same, and nobody would ever close that socket.
        if (signal.aborted) return reject(late());
        const socket = createConnection({ path, signal });
        socket.once("connect", () => resolve(socket));
        socket.once("error", (error) => {
          if (signal.aborted) reject(late());
          else reject(fileError(name, "connect to", path, error));
        });
      }),
    close: () => Promise.resolve(),
  };
}

async function createFile(path: string, bytes: Uint8Array, mode: number, owner: FileOwner | undefined): Promise<void> {
  const handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    // Content last: no one else may read it before mode and owner are right.
    await handle.chmod(mode);
    if (owner !== undefined && (owner.uid !== process.geteuid?.() || owner.gid !== process.getegid?.())) {
      await chown(path, owner.uid, owner.gid);
    }
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isMissing(thrown: unknown): boolean {
  return (thrown as NodeJS.ErrnoException).code === "ENOENT";
}

function fileError(host: string, doing: string, path: string, error: NodeJS.ErrnoException): KmsEtcdError {
  const message = `${host}: cannot ${doing} ${path}: ${error.code ?? error.message}`;
  switch (error.code) {
    case "EEXIST":
      return new KmsEtcdError("conflict", message, { cause: error });
    case "EACCES":
    case "EPERM":
      return new KmsEtcdError("permission-denied", message, { cause: error, remedy: "run as the user that owns it" });
    case "ENOENT":
      return new KmsEtcdError("not-found", message, { cause: error });
    default:
      return new KmsEtcdError("unreachable", message, { cause: error });
  }
}
