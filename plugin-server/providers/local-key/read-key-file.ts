/** Reads a local key file, and refuses one that others can read or that others own. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { describeError, KmsEtcdError } from "../../../core/errors";
import { localKeyFileMode, parseLocalKeyFile } from "../../../core/local-key-file";

/** Throws `not-found`, `permission-denied` or `invalid-input`, each with the way out. */
export async function readKeyFile(path: string): Promise<Buffer> {
  // NONBLOCK: a named pipe in the place of the file must not make us wait for its other end.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT")
      throw new KmsEtcdError("not-found", `the key file ${path} does not exist`, { cause });
    throw new KmsEtcdError("permission-denied", `the key file ${path} can't be opened: ${describeError(cause)}`, {
      cause,
    });
  });
  try {
    // Of the open file, not of the path: what is checked is what is read.
    const found = await file.stat();
    if (!found.isFile()) throw new KmsEtcdError("invalid-input", `the key file ${path} is not a regular file`);
    const mode = found.mode & 0o777;
    if ((mode & ~localKeyFileMode) !== 0) {
      throw new KmsEtcdError(
        "permission-denied",
        `the key file ${path} has mode ${mode.toString(8).padStart(4, "0")}, so others may read the key`,
        {
          remedy: `chmod ${localKeyFileMode.toString(8).padStart(4, "0")} ${path}`,
        },
      );
    }
    const user = process.geteuid?.();
    if (found.uid !== user) {
      throw new KmsEtcdError(
        "permission-denied",
        `the key file ${path} belongs to user ${found.uid}, this process is user ${user}`,
        {
          remedy: `chown ${user} ${path}`,
        },
      );
    }
    return parseLocalKeyFile(await file.readFile("utf8"), path);
  } finally {
    await file.close();
  }
}
