/**
 * The key of a declared version, as `keys` of an EncryptionRollout and the command line's configuration file have it: what is
 * wrong with one, and the key that it means. Another kind of key is another entry. A value that Pulumi does not know yet is a
 * symbol here, and is taken to be right.
 */
import { keyArnProblem, parseAwsKeyArn } from "./aws-key-arn";
import { contextViolations } from "./aws-kms-block";
import { type InputViolation, unknownInputViolations } from "./input-rules";
import { booleanViolations, type InputBlock, isAbsent, isBlock, isUnknown } from "./input-values";
import type { KeyReference } from "./key-reference";

interface KeyBlock {
  /** Inputs that must be texts, each with what to write. */
  readonly texts: Readonly<Record<string, string>>;
  /** Inputs that may be left out. */
  readonly optional?: readonly string[];
  /** Further problems of a block whose texts are there, by paths inside it. */
  violations?(block: InputBlock): readonly InputViolation[];
  /** `text` gives an input, or one that no key can have where it is not known yet. */
  read(block: InputBlock, text: (name: string) => string): KeyReference;
}

const vaultVersion = "give the id of one version, 32 hex digits: the newest one would change without a trace";

const blocks: Readonly<Record<string, KeyBlock>> = {
  local: {
    texts: { file: "take it from a LocalKey", keyId: "take it from a LocalKey" },
    read: (_block, text) => ({ kind: "local", file: text("file"), keyId: text("keyId") }),
  },
  azure: {
    texts: {
      vaultName: "name the vault that has the key",
      keyName: "name the key in the vault",
      keyVersion: vaultVersion,
    },
    optional: ["managedHsm"],
    violations: (block) => [
      ...formViolations(block, "vaultName", /^[a-z0-9-]{3,24}$/i, "write the vault's name alone, not its address"),
      ...formViolations(block, "keyName", /^[a-z0-9-]{1,127}$/i, "write the key's name alone, not its identifier"),
      ...formViolations(block, "keyVersion", /^[0-9a-f]{32}$/i, vaultVersion),
      ...booleanViolations(block["managedHsm"], "managedHsm"),
    ],
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
    optional: ["region", "encryptionContext"],
    violations: (block) => {
      const { keyArn, region, encryptionContext } = block;
      const arn = isUnknown(keyArn) ? undefined : keyArnProblem(keyArn);
      return [
        ...(arn === undefined ? [] : [{ path: "keyArn", reason: arn }]),
        ...(isAbsent(region) || isUnknown(region) || (typeof region === "string" && region !== "")
          ? []
          : [{ path: "region", reason: "is no text; leave it out: the ARN names the region" }]),
        ...(isAbsent(encryptionContext) || isUnknown(encryptionContext)
          ? []
          : contextViolations(encryptionContext, isUnknown)),
      ];
    },
    read: (block, text) => {
      const keyArn = text("keyArn");
      const { region = parseAwsKeyArn(keyArn)?.region, encryptionContext } = block;
      return {
        kind: "aws",
        keyArn,
        region: typeof region === "string" ? region : "(to be made)",
        ...(isBlock(encryptionContext) && { encryptionContext: encryptionContext as Readonly<Record<string, string>> }),
      };
    },
  },
};

/** The names of the blocks that say where a key is. */
export const keyReferenceBlocks: readonly string[] = Object.keys(blocks);

/** What is wrong with the key of `entry`, one of `keys`, at `path`. */
export function keyViolations(path: string, entry: unknown): readonly InputViolation[] {
  const given = givenBlocks(entry);
  const [name = ""] = given;
  const block = blocks[name];
  if (block === undefined) return [{ path, reason: `names no key; give one of ${keyReferenceBlocks.join(", ")}` }];
  if (given.length > 1) return [{ path, reason: `names ${given.length} keys (${given.join(", ")}); keep exactly one` }];
  const value = isBlock(entry) ? entry[name] : undefined;
  if (isUnknown(value)) return [];
  const at = `${path}.${name}`;
  if (!isBlock(value)) return [{ path: at, reason: "is not an object" }];
  const missing = Object.entries(block.texts)
    .filter(([input]) => !isUnknown(value[input]) && (typeof value[input] !== "string" || value[input] === ""))
    .map(([input, remedy]) => ({ path: input, reason: `is missing; ${remedy}` }));
  const wrong = missing.length > 0 ? missing : (block.violations?.(value) ?? []);
  const unknown = unknownInputViolations(value, [...Object.keys(block.texts), ...(block.optional ?? [])]);
  return [...unknown, ...wrong].map((violation) => ({ ...violation, path: `${at}.${violation.path}` }));
}

/** The key of an entry without violations. A key that is yet to be made has ids that no key can have, so that a plan can be made. */
export function keyReferenceOf(entry: InputBlock, version: number): KeyReference | undefined {
  const [name] = givenBlocks(entry);
  if (name === undefined) return undefined;
  const value = isBlock(entry[name]) ? entry[name] : {};
  return blocks[name]?.read(value, (input) => {
    const text = value[input];
    return typeof text === "string" ? text : `(version ${version}, to be made)`;
  });
}

/** A key in a file of this machine is in no file of another: what is wrong with `entry` where its hosts are reached over SSH. */
export function thisMachineViolations(path: string, entry: unknown): readonly InputViolation[] {
  if (!givenBlocks(entry).includes("local")) return [];
  const reason = "is a key in a file of this machine, which the hosts of selfManaged do not have; use azure or aws";
  return [{ path: `${path}.local`, reason }];
}

function givenBlocks(entry: unknown): readonly string[] {
  return isBlock(entry) ? keyReferenceBlocks.filter((name) => !isAbsent(entry[name])) : [];
}

function formViolations(block: InputBlock, name: string, form: RegExp, remedy: string): readonly InputViolation[] {
  const value = block[name];
  if (typeof value !== "string" || form.test(value)) return [];
  return [{ path: name, reason: `is ${JSON.stringify(value)}; ${remedy}` }];
}
