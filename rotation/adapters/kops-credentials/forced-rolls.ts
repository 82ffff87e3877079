/**
 * Machines that must be replaced although kOps takes them for current: written down before the change that makes them old, so that a
 * killed run is gone on with. In a file of this machine's, because kOps refuses to delete a cluster whose store has files that it
 * does not know. It holds ids of machines and nothing secret.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { KmsEtcdError } from "../../../core/errors";

export interface ForcedRolls {
  read(): Promise<readonly string[]>;
  /** Replaces what is there, durably. */
  write(machines: readonly string[]): Promise<void>;
}

export function createForcedRolls(file: string): ForcedRolls {
  return {
    async read() {
      try {
        const parsed: unknown = JSON.parse(await readFile(file, "utf8"));
        if (Array.isArray(parsed) && parsed.every((id): id is string => typeof id === "string")) return parsed;
        throw new KmsEtcdError("corrupt", `${file} is no list of machines`, {
          remedy:
            "remove it; a roll that it stood for is then yours to finish: kops rolling-update cluster --force --yes",
        });
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return [];
        if (thrown instanceof KmsEtcdError) throw thrown;
        throw unusable(file, thrown);
      }
    },
    async write(machines) {
      const unfinished = `${file}.${randomBytes(6).toString("hex")}`;
      try {
        await mkdir(dirname(file), { recursive: true, mode: 0o700 });
        const handle = await open(unfinished, "wx", 0o600);
        try {
          await handle.writeFile(JSON.stringify(machines));
          await handle.sync();
        } finally {
          await handle.close();
        }
        await rename(unfinished, file);
      } catch (thrown) {
        await rm(unfinished, { force: true }).catch(() => undefined);
        throw unusable(file, thrown);
      }
    },
  };
}

function unusable(file: string, thrown: unknown): KmsEtcdError {
  const { code, message } = thrown as NodeJS.ErrnoException;
  return new KmsEtcdError("permission-denied", `${file} can't be used (${code ?? message})`, {
    cause: thrown,
    remedy: "make its folder readable and writable: it says which machines a killed run has still to replace",
  });
}
