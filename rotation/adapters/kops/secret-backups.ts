/**
 * Secrets that were replaced, each in a file named by its hash: kOps keeps none. They may hold key material, so their folder and files
 * are the owner's alone. Not in the state store: kOps refuses to delete a cluster with files that it does not know.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { KmsEtcdError } from "../../../core/errors";
import { writeWholeFile } from "../whole-file";
import { secretHash } from "./secret-text";

export interface SecretBackups {
  /** Keeps `text`, durably; one that is kept already is left as it is. */
  keep(text: string): Promise<void>;
  /** Every kept text, by its hash. Files that are not what their name says are passed over. */
  all(): Promise<ReadonlyMap<string, string>>;
}

/** `secret` is kOps' name of it. */
export function createSecretBackups(directory: string, secret = "encryptionconfig"): SecretBackups {
  const prefix = `${secret}-`;
  return {
    async keep(text) {
      const name = `${prefix}${secretHash(text).replace("sha256:", "")}`;
      const unfinished = join(directory, `.${name}.${randomBytes(6).toString("hex")}`);
      try {
        await mkdir(directory, { recursive: true, mode: 0o700 });
        await writeWholeFile(join(directory, name), unfinished, text);
      } catch (cause) {
        await rm(unfinished, { force: true }).catch(() => undefined);
        const reason = (cause as NodeJS.ErrnoException).code ?? "";
        throw new KmsEtcdError(
          "permission-denied",
          `the present ${secret} secret can't be kept in ${directory} (${reason})`,
          {
            cause,
            remedy: "make the folder writable: without a copy the secret is not replaced",
          },
        );
      }
    },
    async all() {
      const names = await readdir(directory).catch((cause: unknown) => {
        const { code } = cause as NodeJS.ErrnoException;
        if (code === "ENOENT") return [];
        throw new KmsEtcdError("permission-denied", `${directory} can't be read (${code ?? ""})`, { cause });
      });
      const kept = new Map<string, string>();
      for (const name of names.filter((candidate) => candidate.startsWith(prefix))) {
        const text = await readFile(join(directory, name), "utf8");
        const hash = secretHash(text);
        if (hash === `sha256:${name.slice(prefix.length)}`) kept.set(hash, text);
      }
      return kept;
    },
  };
}
