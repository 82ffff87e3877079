/** The block of a configuration file that says where one version of the key lives: the rules are those of a Pulumi program. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { describeError } from "../../core/errors";
import { keyReferenceBlocks, keyReferenceOf, keyViolations } from "../../core/key-inputs";
import type { KeyReference } from "../../core/key-reference";
import { localKeyId, parseLocalKeyFile, retiredKeyFile } from "../../core/local-key-file";
import { isRecord, unknownNames } from "./records";
import { type Place, type Reading, violation } from "./usage-error";

/** `blocks` is an entry of `keys` without its version. A key in a cloud is named; a local one's file is read where it is at hand. */
export async function readKeyBlock(
  blocks: Readonly<Record<string, unknown>>,
  version: number,
  place: Place,
): Promise<Reading<KeyReference>> {
  const { path } = place;
  const names = Object.keys(blocks);
  if (names.length !== 1 || names.some((name) => !keyReferenceBlocks.includes(name))) {
    return violation(path, `names ${names.join(", ") || "no key"}; name one of ${keyReferenceBlocks.join(", ")}`);
  }
  if ("local" in blocks) {
    return readLocalKey(blocks["local"], { ...place, path: path.startsWith("--") ? path : `${path}.local` });
  }
  const violations = keyViolations(path, blocks);
  const key = violations.length > 0 ? undefined : keyReferenceOf(blocks, version);
  return key === undefined ? { violations } : { value: key };
}

/**
 * `{ file, keyId }`. With the file at hand its key_id is computed, and a given one must be the same; where the file is on the
 * hosts only, `keyId` has to be given.
 */
async function readLocalKey(value: unknown, { path, base }: Place): Promise<Reading<KeyReference>> {
  if (!isRecord(value)) return violation(path, "is no object; write { file: ... }");
  const { file, keyId } = value;
  const unknown = unknownNames(value, ["file", "keyId"], path);
  if (unknown.length > 0) return { violations: unknown };
  if (typeof file !== "string" || file === "") return violation(`${path}.file`, "is missing; name the key file");
  if (keyId !== undefined && (typeof keyId !== "string" || keyId === "")) {
    return violation(`${path}.keyId`, "is no text; leave it out where the key file can be read");
  }
  const absolute = resolve(base, file);
  let content: string;
  try {
    content = await readKeyFile(absolute);
  } catch (thrown) {
    if (keyId !== undefined) return { value: { kind: "local", file: absolute, keyId } };
    const code = (thrown as NodeJS.ErrnoException).code ?? "unknown";
    return violation(
      `${path}.file`,
      `names ${absolute}, which cannot be read (${code}); name a key file, or give keyId`,
    );
  }
  try {
    const computed = localKeyId(parseLocalKeyFile(content, absolute));
    if (keyId === undefined || keyId === computed) return { value: { kind: "local", file: absolute, keyId: computed } };
    return violation(`${path}.keyId`, `is ${keyId}, but the key in ${absolute} is ${computed}; leave keyId out`);
  } catch (thrown) {
    return violation(`${path}.file`, `cannot be used: ${describeError(thrown)}`);
  }
}

/** A retired key has another file name, and is no less a declared one. */
async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    return readFile(retiredKeyFile(path), "utf8").catch(() => {
      throw thrown;
    });
  }
}
