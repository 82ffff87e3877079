/** The private key that reports are signed with, in a file that is its owner's alone: whoever can read it can sign in our name. */
import { readFile, stat } from "node:fs/promises";
import { KmsEtcdError } from "../../core/errors";
import { readSigningKey, type SigningKey } from "./envelope";

/** Throws `permission-denied`, `not-found` or `invalid-input`, with nothing of the key in it. */
export async function readSigningKeyFile(file: string): Promise<SigningKey> {
  try {
    const { mode } = await stat(file);
    // Windows has no such modes: Node makes one up that everybody may read.
    if (process.platform !== "win32" && (mode & 0o077) !== 0) {
      throw new KmsEtcdError(
        "permission-denied",
        `${file} has mode 0${(mode & 0o777).toString(8)}, so others than its owner can use the key`,
        { remedy: `run chmod 600 ${file}, and make a new key if somebody may have read it` },
      );
    }
    return readSigningKey(await readFile(file, "utf8"), file);
  } catch (thrown) {
    if (thrown instanceof KmsEtcdError) throw thrown;
    const code = (thrown as NodeJS.ErrnoException).code ?? "unknown";
    throw new KmsEtcdError("not-found", `${file} cannot be read (${code})`, { cause: thrown });
  }
}
