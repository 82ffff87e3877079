/** The declared versions of the key, from flags and from the configuration file. */
import { type InputViolation, wholeNumberViolations } from "../../core/input-rules";
import { canonicalKey } from "../../core/key-reference";
import { type PluginInstance, pluginInstance } from "../../core/plugin-instance";
import { readKeyBlock } from "./key-blocks";
import { isRecord } from "./records";
import type { Place } from "./usage-error";

export interface DeclaredKey {
  readonly version: number;
  readonly plugin: PluginInstance;
}

/** One entry of `keys`, or one --key, as it was given. */
export interface GivenKey {
  readonly entry: unknown;
  readonly place: Place;
}

/** `VERSION=FILE`. Undefined for another form. */
export function keyFromFlag(text: string): GivenKey | undefined {
  const [, version, file] = /^(\d+)=(.+)$/s.exec(text) ?? [];
  if (version === undefined) return undefined;
  const entry = { version: Number(version), local: { file } };
  return { entry, place: { path: `--key ${version}`, base: process.cwd() } };
}

/** What is wrong goes to `violations`; the keys that are right are returned, so that all of it is told at once. */
export async function readDeclaredKeys(
  given: readonly GivenKey[],
  violations: InputViolation[],
): Promise<readonly DeclaredKey[]> {
  const keys: DeclaredKey[] = [];
  const versions = new Set<unknown>();
  for (const { entry, place } of given) {
    const { path } = place;
    if (!isRecord(entry)) {
      violations.push({ path, reason: "is no object; write version: 1 and the key" });
      continue;
    }
    const { version, ...blocks } = entry;
    const wrong = wholeNumberViolations(`${path}.version`, version, false);
    violations.push(...wrong);
    if (wrong.length === 0 && versions.has(version)) {
      violations.push({ path, reason: `repeats version ${String(version)}; declare each version once` });
    }
    versions.add(version);
    const reading = await readKeyBlock(blocks, typeof version === "number" ? version : 0, place);
    if ("violations" in reading) {
      violations.push(...reading.violations);
      continue;
    }
    const same = keys.find(({ plugin }) => canonicalKey(plugin.key) === canonicalKey(reading.value));
    if (same !== undefined) {
      violations.push({ path, reason: `is the same key as version ${same.version}; a version needs a key of its own` });
    }
    keys.push({ version: Number(version), plugin: pluginInstance(reading.value) });
  }
  return keys;
}
