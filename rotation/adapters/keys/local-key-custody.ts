/** Retires a local key by giving its file another name, under which no plugin looks for it; the file itself stays as it is. */
import { link, open, readFile, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { KmsEtcdError } from "../../../core/errors";
import type { LocalKeyReference } from "../../../core/key-reference";
import { localKeyId, parseLocalKeyFile, retiredKeyFile } from "../../../core/local-key-file";
import type { KeyCustody } from "../../key-custody";

export function localKeyCustody(): KeyCustody<LocalKeyReference> {
  return {
    retire: (key) => move(key, key.file, retiredKeyFile(key.file)),
    reinstate: async (key) => {
      // One that was never retired on this machine is none of our business.
      if ((await keyIdIn(retiredKeyFile(key.file))) !== undefined) await move(key, retiredKeyFile(key.file), key.file);
    },
  };
}

/** Nothing is ever in neither place: the new name is made before the old one goes, and never takes another file's place. */
async function move(key: LocalKeyReference, from: string, to: string): Promise<void> {
  const [source, target] = [await keyIdIn(from), await keyIdIn(to)];
  if (source === undefined && target === key.keyId) return;
  if (source === undefined) throw missing(key, from);
  if (source !== key.keyId) throw otherKey(from, source, key.keyId);
  if (target !== undefined && target !== key.keyId) throw otherKey(to, target, key.keyId);
  try {
    if (target === undefined) await link(from, to);
    await syncDirectory(dirname(to));
    await unlink(from);
    await syncDirectory(dirname(from));
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? "unknown";
    throw new KmsEtcdError("permission-denied", `${from} cannot be renamed to ${to} (${code})`, {
      cause: thrown,
      remedy: "run as the user that owns its directory",
    });
  }
}

async function keyIdIn(file: string): Promise<string | undefined> {
  try {
    return localKeyId(parseLocalKeyFile(await readFile(file, "utf8"), file));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    if (thrown instanceof KmsEtcdError) throw thrown;
    throw new KmsEtcdError(
      "permission-denied",
      `${file} cannot be read (${(thrown as NodeJS.ErrnoException).code ?? "unknown"})`,
      { cause: thrown, remedy: "run as the user that owns it" },
    );
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function missing(key: LocalKeyReference, file: string): KmsEtcdError {
  return new KmsEtcdError("not-found", `${file}, the file of the key ${key.keyId}, is not there`, {
    remedy: "put it back from a backup",
  });
}

function otherKey(file: string, found: string, wanted: string): KmsEtcdError {
  return new KmsEtcdError("conflict", `${file} holds the key ${found}, not ${wanted}`, {
    remedy: "find out who put it there, and move it away",
  });
}
