/** The LocalKey resource. A key file is never overwritten and never deleted: stored data and backups may need it. */
import { isAbsolute } from "node:path";
import { describeError, KmsEtcdError } from "../../core/errors";
import { changedProperties } from "../property-diff";
import { type Properties, type PropertyValue, unknown } from "../property-values";
import type { CheckProblem, Resource } from "../resource";
import { ensureKeyFile, type KeyFile, readKeyFile } from "./key-file";

export function createLocalKeyResource(): Resource {
  return {
    async check(_olds, news) {
      return { inputs: { file: news["file"] ?? null }, problems: problemsOf(news) };
    },

    async diff(state, news) {
      const inputs = changedProperties(state.inputs, news);
      // It must not fail, because a refresh asks too: what is wrong with the file is for `update` to say.
      return { inputs, outputs: (await problemWithFile(news["file"], state.outputs["keyId"])) ? ["keyId"] : [] };
    },

    async create(inputs, preview, operation) {
      const file = inputs["file"];
      if (typeof file !== "string") return { id: "", outputs: { file: unknown, keyId: unknown, createdAt: unknown } };
      const present = await readKeyFile(file);
      if (preview) return { id: "", outputs: { file, ...outputsOf(present) } };
      if (present === undefined) {
        await operation.warn(`${file} is a key for development: who can read the file can decrypt what it encrypts`);
      }
      const key = await ensureKeyFile(file);
      return { id: key.keyId, outputs: { file, ...outputsOf(key) } };
    },

    async read(state, operation) {
      const problem = await problemWithFile(state.outputs["file"], state.outputs["keyId"]);
      if (problem !== undefined) {
        await operation.warn(describeError(problem));
        return state;
      }
      // A state from before the output was known gets it here.
      const file = state.outputs["file"];
      const key = typeof file === "string" ? await readKeyFile(file) : undefined;
      return key === undefined ? state : { ...state, outputs: { ...state.outputs, createdAt: key.createdAt } };
    },

    async update(state, inputs) {
      const file = inputs["file"];
      const problem = await problemWithFile(file, state.outputs["keyId"]);
      if (problem !== undefined) throw problem;
      const key = typeof file === "string" ? await readKeyFile(file) : undefined;
      return { file: file ?? unknown, ...outputsOf(key), keyId: state.outputs["keyId"] ?? unknown };
    },

    async delete(state, operation) {
      await operation.warn(
        `${JSON.stringify(state.outputs["file"])} stays where it is: stored objects or backups may need the key`,
      );
    },
  };
}

/** A key that is yet to be made is not known yet. */
function outputsOf(key: KeyFile | undefined): Properties {
  return { keyId: key?.keyId ?? unknown, createdAt: key?.createdAt ?? unknown };
}

function problemsOf(inputs: Properties): readonly CheckProblem[] {
  const others = Object.keys(inputs)
    .filter((name) => name !== "file")
    .map((path) => ({ path, reason: "is not an input; the only input is file" }));
  const file = inputs["file"];
  if (file === unknown || (typeof file === "string" && isAbsolute(file))) return others;
  const shown = typeof file === "string" ? `is ${JSON.stringify(file)}` : "is missing";
  return [...others, { path: "file", reason: `${shown}; write the absolute path of the key file` }];
}

/** The version's key is what data is stored under: the file must hold that key, wherever it stands now. */
async function problemWithFile(
  file: PropertyValue | undefined,
  keyId: PropertyValue | undefined,
): Promise<Error | undefined> {
  if (typeof file !== "string" || typeof keyId !== "string") return undefined;
  let found: string | undefined;
  try {
    found = (await readKeyFile(file))?.keyId;
  } catch (thrown) {
    return thrown instanceof Error ? thrown : new Error(describeError(thrown));
  }
  if (found === keyId) return undefined;
  const problem = found === undefined ? "is gone" : `holds the key ${found}`;
  return new KmsEtcdError("not-found", `${file} ${problem}, but data may be stored under the key ${keyId}`, {
    remedy:
      "put the file with that key there again, from where it was or from a backup; another key needs another version",
  });
}
