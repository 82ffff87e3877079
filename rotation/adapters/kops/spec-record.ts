/**
 * That this engine has changed a cluster's spec or secret last, as long as that was not seen on every machine. With it a run goes on with what a killed
 * one has left, where it would take it for somebody else's otherwise, and puts a plugin's text or a secret of before back where machines
 * don't come up with another. It stands with the secrets that were replaced, for its owner alone: manifests may hold what is nobody else's business.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { KmsEtcdError } from "../../../core/errors";
import { writeWholeFile } from "../whole-file";
import type { ClusterSpec, FileAsset } from "./cluster-spec";

export interface SpecRecord {
  /** Of the spec as it is with the change, and of what else decides what machines get: see `specMark`. */
  readonly mark: string;
  /** File assets of plugins in use that the change has given another text, as machines have run them before. */
  readonly before: readonly FileAsset[];
  /** The secret that was put last on the way forward, and the one that every machine ran then: the texts are kept by these hashes. */
  readonly secret?: { readonly hash: string; readonly replaced: string };
}

/** Holds one record or none. Methods throw KmsEtcdError. */
export interface SpecRecords {
  /** Undefined where there is none that can be understood. */
  read(): Promise<SpecRecord | undefined>;
  write(record: SpecRecord): Promise<void>;
  remove(): Promise<void>;
}

/**
 * Two specs with the same mark give machines the same, whatever order their fields have. `groups` is kops' own text of the instance groups
 * and `program` kops' version: where either is another one, an update may have more to change.
 */
export function specMark(spec: ClusterSpec, groups: string | undefined, program: string | undefined): string {
  const text = JSON.stringify([spec, groups ?? null, program ?? null], (_name, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  return createHash("sha256").update(text).digest("hex");
}

export function createSpecRecords(directory: string): SpecRecords {
  const file = join(directory, "spec-change.json");
  return {
    async read() {
      try {
        return understood(JSON.parse(await readFile(file, "utf8")));
      } catch (thrown) {
        const { code } = thrown as NodeJS.ErrnoException;
        if (code === undefined || code === "ENOENT") return undefined;
        throw failure("read", file, thrown);
      }
    },
    async write(record) {
      const unfinished = join(directory, `.spec-change.${randomBytes(6).toString("hex")}`);
      try {
        await mkdir(directory, { recursive: true, mode: 0o700 });
        await writeWholeFile(file, unfinished, JSON.stringify(record));
      } catch (thrown) {
        await rm(unfinished, { force: true }).catch(() => undefined);
        throw failure("written", file, thrown);
      }
    },
    async remove() {
      await rm(file, { force: true }).catch((thrown: unknown) => {
        throw failure("removed", file, thrown);
      });
    },
  };
}

/** For who keeps none: it lasts as long as the run. */
export function specRecordsInMemory(): SpecRecords {
  let kept: SpecRecord | undefined;
  return {
    read: async () => kept,
    write: async (record) => void (kept = record),
    remove: async () => void (kept = undefined),
  };
}

function understood(value: unknown): SpecRecord | undefined {
  const { mark, before, secret } = (typeof value === "object" && value !== null ? value : {}) as Partial<SpecRecord>;
  const isAsset = ({ name, content }: Partial<FileAsset>) => typeof name === "string" && typeof content === "string";
  if (typeof mark !== "string" || !Array.isArray(before) || !before.every(isAsset)) return undefined;
  const isKnown = typeof secret?.hash === "string" && typeof secret.replaced === "string";
  return { mark, before, ...(isKnown && { secret: { hash: secret.hash, replaced: secret.replaced } }) };
}

function failure(what: string, file: string, cause: unknown): KmsEtcdError {
  const { code = "" } = cause as NodeJS.ErrnoException;
  return new KmsEtcdError("permission-denied", `${file} can't be ${what} (${code})`, {
    cause,
    remedy: "make the folder writable: without the record nobody can tell this change from somebody else's",
  });
}
