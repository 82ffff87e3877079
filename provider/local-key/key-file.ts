/** The key file on disk: made once, as a whole or not at all, and never written again. */
import { randomBytes } from "node:crypto";
import { link, mkdir, open, readFile, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { KmsEtcdError } from "../../core/errors";
import {
  formatLocalKeyFile,
  localKeyBytes,
  localKeyFileMode,
  localKeyId,
  parseLocalKeyFile,
  retiredKeyFile,
} from "../../core/local-key-file";

/** What is known of the key in a file. */
export interface KeyFile {
  readonly keyId: string;
  /** ISO 8601: a key file is written once, so it is when the file was. */
  readonly createdAt: string;
  /** Whether the key has been retired: its file has another name then, and no plugin finds it. */
  readonly retired: boolean;
}

/** The key of `file`, also after it was retired; undefined when there is neither file. Throws when it can't be used as it is. */
export async function readKeyFile(file: string): Promise<KeyFile | undefined> {
  const keyId = await readKeyId(file);
  if (keyId !== undefined) return { keyId, createdAt: await writtenAt(file), retired: false };
  const retired = retiredKeyFile(file);
  const retiredId = await readKeyId(retired);
  return retiredId === undefined ? undefined : { keyId: retiredId, createdAt: await writtenAt(retired), retired: true };
}

async function writtenAt(file: string): Promise<string> {
  return (await stat(file)).mtime.toISOString();
}

async function readKeyId(file: string): Promise<string | undefined> {
  const mode = await modeOf(file);
  if (mode === undefined) return undefined;
  if ((mode & 0o077) !== 0) {
    throw new KmsEtcdError(
      "permission-denied",
      `${file} has mode 0${(mode & 0o777).toString(8)}, so others than its owner can use the key`,
      { remedy: `run chmod 600 ${file}, and make a new version of the key if somebody may have read it` },
    );
  }
  return localKeyId(parseLocalKeyFile(await readFile(file, "utf8"), file));
}

/**
 * Makes a key file where there is none, and returns the key as read back from the disk: a key that could not be read
 * again must not encrypt anything. A file that is already there, under its own name or as a retired one, is used as it is.
 */
export async function ensureKeyFile(file: string): Promise<KeyFile> {
  const present = await readKeyFile(file);
  if (present !== undefined) return present;
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await makeKeyFile(file);
  const made = await readKeyFile(file);
  if (made !== undefined) return made;
  throw new KmsEtcdError("conflict", `${file} was removed right after it was made`, {
    remedy: "find out what removes it, then run again",
  });
}

/** A link fails where the name is taken, so two that make the same file end with one key, not with two halves. */
async function makeKeyFile(file: string): Promise<void> {
  const unfinished = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString("hex")}.unfinished`);
  try {
    await writeDurably(unfinished, formatLocalKeyFile(randomBytes(localKeyBytes)));
    await link(unfinished, file).catch((thrown: unknown) => {
      if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
    });
  } finally {
    await rm(unfinished, { force: true });
  }
  await syncDirectory(dirname(file));
}

async function writeDurably(file: string, content: string): Promise<void> {
  const handle = await open(file, "wx", localKeyFileMode);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function modeOf(file: string): Promise<number | undefined> {
  try {
    const found = await stat(file);
    if (found.isFile()) return found.mode;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new KmsEtcdError("unreachable", `${file} can't be looked at: ${(thrown as Error).message}`, {
      cause: thrown,
    });
  }
  throw new KmsEtcdError("invalid-input", `${file} is not a file`, {
    remedy: "name a file that is free, or a key file",
  });
}
