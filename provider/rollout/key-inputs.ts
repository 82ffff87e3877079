/** The key blocks of a declared version: what is wrong with one, and the key that it means. Another kind of key is another entry. */
import type { KeyReference } from "../../core/key-reference";
import { isObject, type Properties, type PropertyValue, unknown } from "../property-values";
import type { CheckProblem } from "../resource";

interface KeyBlock {
  /** Inputs that must be texts, each with what to write. */
  readonly texts: Readonly<Record<string, string>>;
  /** Further problems, of a block whose texts are right. */
  problems?(block: Properties, path: string): readonly CheckProblem[];
  /** `text` gives an input, or one that no key can have where it is not known yet. */
  read(block: Properties, text: (name: string) => string): KeyReference;
}

const keyArn = /^arn:[\w-]+:kms:([\w-]+):\d{12}:key\/[\w-]+$/;

const blocks: Readonly<Record<string, KeyBlock>> = {
  local: {
    texts: { file: "take it from a LocalKey", keyId: "take it from a LocalKey" },
    read: (_block, text) => ({ kind: "local", file: text("file"), keyId: text("keyId") }),
  },
  azure: {
    texts: {
      vaultName: "name the vault that has the key",
      keyName: "name the key in the vault",
      keyVersion: "give the id of one version, 32 hex digits: the newest one would change without a trace",
    },
    read: (block, text) => ({
      kind: "azure",
      vaultName: text("vaultName"),
      keyName: text("keyName"),
      keyVersion: text("keyVersion"),
      ...(block["managedHsm"] === true && { managedHsm: true }),
    }),
  },
  aws: {
    texts: { keyArn: "give the key's ARN" },
    problems: (block, path) => {
      const arn = block["keyArn"];
      if (typeof arn !== "string" || keyArn.test(arn)) return [];
      const reason = arn.includes("alias/")
        ? "is an alias: moving it changes the key without a trace; give the ARN of the key behind it"
        : "is no ARN of a key; write arn:aws:kms:REGION:ACCOUNT:key/ID";
      return [{ path: `${path}.keyArn`, reason }];
    },
    read: (block, text) => {
      const arn = text("keyArn");
      const region = block["region"] ?? keyArn.exec(arn)?.[1];
      const context = block["encryptionContext"];
      return {
        kind: "aws",
        keyArn: arn,
        region: typeof region === "string" ? region : "(to be made)",
        ...(isObject(context) && { encryptionContext: context as Readonly<Record<string, string>> }),
      };
    },
  },
};

/** What is wrong with the key of `entry`, one of `keys`, at `path`. What is not known yet is taken to be right. */
export function keyProblems(path: string, entry: PropertyValue): readonly CheckProblem[] {
  const names = Object.keys(blocks);
  const given = isObject(entry) ? names.filter((name) => isGiven(entry[name])) : [];
  const [name = ""] = given;
  const block = blocks[name];
  if (block === undefined) return [{ path, reason: `names no key; give one of ${names.join(", ")}` }];
  if (given.length > 1) return [{ path, reason: `names ${given.length} keys (${given.join(", ")}); keep exactly one` }];
  const value = isObject(entry) ? entry[name] : undefined;
  if (value === unknown) return [];
  const at = `${path}.${name}`;
  if (!isObject(value)) return [{ path: at, reason: "is not an object" }];
  const missing = Object.entries(block.texts)
    .filter(([input]) => value[input] !== unknown && (typeof value[input] !== "string" || value[input] === ""))
    .map(([input, remedy]) => ({ path: `${at}.${input}`, reason: `is missing; ${remedy}` }));
  return missing.length > 0 ? missing : (block.problems?.(value, at) ?? []);
}

/** The key of an entry without problems. A key that is yet to be made has ids that no key can have, so that a plan can be made. */
export function declaredKeyReference(entry: Properties, version: number): KeyReference | undefined {
  const name = Object.keys(blocks).find((candidate) => isGiven(entry[candidate]));
  if (name === undefined) return undefined;
  const value = isObject(entry[name]) ? entry[name] : {};
  return blocks[name]?.read(value, (input) => {
    const text = value[input];
    return typeof text === "string" ? text : `(version ${version}, to be made)`;
  });
}

function isGiven(value: PropertyValue | undefined): boolean {
  return value !== undefined && value !== null;
}
