/**
 * What `kms-etcd` is to work on: a cluster, its keys, and what to encrypt. From flags, or from a YAML file whose inputs are
 * those of an EncryptionRollout, so that what a Pulumi program says can be said here on the day Pulumi is not at hand.
 */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parseDocument } from "yaml";
import type { InputViolation } from "../../core/input-rules";
import { resourceNameViolations } from "../../core/input-rules";
import { thisMachineViolations } from "../../core/key-inputs";
import { RewriteMethod, rewriteMethods } from "../../core/rewrite-method";
import { defaultLimits, type Limits } from "../goal";
import { type DeclaredKey, type GivenKey, keyFromFlag, readDeclaredKeys } from "./declared-keys";
import { type Platform, type PlatformReader, platformReaders } from "./platform-blocks";
import { isRecord, unknownNames } from "./records";
import { type Place, UsageError } from "./usage-error";

export interface Settings {
  readonly platform: Platform;
  /** By version, oldest first. */
  readonly keys: readonly DeclaredKey[];
  /** Undefined where nothing was said: `secrets`, or whatever the servers' configurations name. */
  readonly resources: readonly string[] | undefined;
  readonly allowPlaintextReads: boolean;
  readonly rewriteBy: RewriteMethod;
  /** Where snapshots of etcd are kept, and the records of what they need. */
  readonly etcdSnapshot: { readonly directory: string } | undefined;
  readonly limits: Limits;
}

/** As commander gives them. */
export interface SettingsFlags {
  readonly config?: string;
  readonly controlPlane?: string;
  /** `VERSION=FILE`, one for each --key. */
  readonly key?: readonly string[];
  readonly resource?: readonly string[];
  readonly allowPlaintextReads?: boolean;
  readonly rewriteBy?: string;
  readonly etcdSnapshot?: string;
}

const limitInputs: ReadonlyMap<string, keyof Limits> = new Map([
  ["reloadSeconds", "reload"],
  ["restartSeconds", "restart"],
  ["pluginSeconds", "plugin"],
  ["readySeconds", "ready"],
]);

/** Throws UsageError with everything that is wrong. Looks at files of this machine only. */
export async function readSettings(
  flags: SettingsFlags,
  platforms: ReadonlyMap<string, PlatformReader> = platformReaders,
): Promise<Settings> {
  const violations: InputViolation[] = [];
  const file = await readConfigFile(flags.config, violations);
  violations.push(
    ...unknownNames(
      file.inputs,
      ["keys", "resources", "allowPlaintextReads", "rewriteBy", "etcdSnapshot", "limits", ...platforms.keys()],
      "",
    ),
    ...givenTwice(flags, file.inputs),
  );
  const platform = readPlatform(flags, file, platforms, violations);
  const keys = await readKeys(flags, file, violations);
  const resources = flags.resource ?? file.inputs["resources"];
  if (resources !== undefined) {
    const path = flags.resource === undefined ? "resources" : "--resource";
    if (!Array.isArray(resources)) violations.push({ path, reason: 'is not a list; write ["secrets"]' });
    else violations.push(...resourceNameViolations(path, resources));
  }
  const allowPlaintextReads = flags.allowPlaintextReads ?? file.inputs["allowPlaintextReads"] ?? false;
  if (typeof allowPlaintextReads !== "boolean") {
    violations.push({ path: "allowPlaintextReads", reason: "is neither true nor false" });
  }
  const rewriteBy = rewriteMethods.find(
    (method) => method === (flags.rewriteBy ?? file.inputs["rewriteBy"] ?? RewriteMethod.Patch),
  );
  if (rewriteBy === undefined) {
    const path = flags.rewriteBy === undefined ? "rewriteBy" : "--rewrite-by";
    violations.push({ path, reason: `is none of ${rewriteMethods.join(", ")}` });
  }
  const etcdSnapshot = readSnapshotDirectory(flags, file, violations);
  const limits = readLimits(file.inputs["limits"], violations);
  if (violations.length > 0 || platform === undefined) throw new UsageError(violations);
  return {
    platform,
    keys: [...keys].sort((a, b) => a.version - b.version),
    resources: resources as readonly string[] | undefined,
    allowPlaintextReads: allowPlaintextReads === true,
    rewriteBy: rewriteBy ?? RewriteMethod.Patch,
    etcdSnapshot,
    limits,
  };
}

interface ConfigFile {
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly base: string;
}

async function readConfigFile(path: string | undefined, violations: InputViolation[]): Promise<ConfigFile> {
  if (path === undefined) return { inputs: {}, base: process.cwd() };
  const base = dirname(resolve(path));
  const nothing: ConfigFile = { inputs: {}, base };
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? "unknown";
    violations.push({ path: "--config", reason: `names ${path}, which cannot be read (${code})` });
    return nothing;
  }
  const document = parseDocument(text, { prettyErrors: false });
  for (const error of document.errors) {
    const line = text.slice(0, error.pos[0]).split("\n").length;
    violations.push({ path: `${path} line ${line}`, reason: `is not YAML (${error.code})` });
  }
  if (document.errors.length > 0) return nothing;
  const inputs: unknown = document.toJS() ?? {};
  if (isRecord(inputs)) return { inputs, base };
  violations.push({ path, reason: "is no object; write local: and keys: at the top" });
  return nothing;
}

/** An input in the file and on the command line: which one is meant is not for us to say. */
function givenTwice(flags: SettingsFlags, inputs: Readonly<Record<string, unknown>>): readonly InputViolation[] {
  const pairs: readonly (readonly [string, unknown, string])[] = [
    ["--control-plane", flags.controlPlane, "local"],
    ["--key", flags.key, "keys"],
    ["--resource", flags.resource, "resources"],
    ["--allow-plaintext-reads", flags.allowPlaintextReads, "allowPlaintextReads"],
    ["--rewrite-by", flags.rewriteBy, "rewriteBy"],
    ["--etcd-snapshot", flags.etcdSnapshot, "etcdSnapshot"],
  ];
  return pairs
    .filter(([, given, input]) => given !== undefined && inputs[input] !== undefined)
    .map(([path, , input]) => ({ path, reason: `is given, and ${input} in the configuration file; keep one` }));
}

function readSnapshotDirectory(
  flags: SettingsFlags,
  { inputs, base }: ConfigFile,
  violations: InputViolation[],
): Settings["etcdSnapshot"] {
  if (flags.etcdSnapshot !== undefined) return { directory: resolve(flags.etcdSnapshot) };
  const given = inputs["etcdSnapshot"];
  if (given === undefined) return undefined;
  const directory = isRecord(given) ? given["directory"] : undefined;
  if (isRecord(given)) violations.push(...unknownNames(given, ["directory"], "etcdSnapshot"));
  if (typeof directory === "string" && directory !== "") return { directory: resolve(base, directory) };
  violations.push({
    path: "etcdSnapshot.directory",
    reason: "is missing; name the directory that keeps the snapshots",
  });
  return undefined;
}

function readPlatform(
  { controlPlane }: SettingsFlags,
  { inputs, base }: ConfigFile,
  readers: ReadonlyMap<string, PlatformReader>,
  violations: InputViolation[],
): Platform | undefined {
  const given = [...readers.keys()].filter((name) => inputs[name] !== undefined);
  const blocks: readonly { name: string; value: unknown; place: Place }[] = [
    ...given.map((name) => ({ name, value: inputs[name], place: { path: name, base } })),
    ...(controlPlane === undefined || given.includes("local")
      ? []
      : [{ name: "local", value: { controlPlaneFile: controlPlane }, place: fromFlag("--control-plane") }]),
  ];
  const names = [...readers.keys()].join(", ");
  if (blocks.length === 0) {
    violations.push({
      path: names,
      reason: "is missing: no cluster is named; give --control-plane FILE or --config FILE",
    });
  }
  if (blocks.length > 1) {
    const reason = `is one of ${blocks.length} blocks that name a cluster; keep exactly one of ${names}`;
    violations.push(...blocks.map(({ place }) => ({ path: place.path, reason })));
  }
  const readings = blocks.flatMap(({ name, value, place }) => readers.get(name)?.(value, place) ?? []);
  for (const reading of readings) if ("violations" in reading) violations.push(...reading.violations);
  return readings.flatMap((reading) => ("value" in reading ? [reading.value] : []))[0];
}

async function readKeys(
  flags: SettingsFlags,
  { inputs, base }: ConfigFile,
  violations: InputViolation[],
): Promise<readonly DeclaredKey[]> {
  const inFile = inputs["keys"] ?? [];
  if (!Array.isArray(inFile)) {
    violations.push({ path: "keys", reason: "is not a list; write - version: 1 and the key below it" });
    return [];
  }
  const given: GivenKey[] = inFile.map((entry: unknown, index) => ({ entry, place: { path: `keys[${index}]`, base } }));
  for (const text of flags.key ?? []) {
    const key = keyFromFlag(text);
    if (key !== undefined) given.push(key);
    else
      violations.push({
        path: "--key",
        reason: `is ${JSON.stringify(text)}; write VERSION=FILE, for example 1=v1.key`,
      });
  }
  const keys = await readDeclaredKeys(given, violations);
  if (inputs["selfManaged"] === undefined) return keys;
  violations.push(...given.flatMap(({ entry, place }) => thisMachineViolations(place.path, entry)));
  return keys;
}

function readLimits(given: unknown, violations: InputViolation[]): Limits {
  if (given === undefined) return defaultLimits;
  if (!isRecord(given)) {
    violations.push({ path: "limits", reason: "is no object; write { reloadSeconds: 150 }" });
    return defaultLimits;
  }
  violations.push(...unknownNames(given, [...limitInputs.keys()], "limits"));
  const set = [...limitInputs].flatMap(([input, limit]) => {
    const value = given[input];
    if (value === undefined) return [];
    if (typeof value === "number" && value > 0) return [[limit, value * 1_000] as const];
    violations.push({ path: `limits.${input}`, reason: "is no number of seconds greater than 0" });
    return [];
  });
  return { ...defaultLimits, ...Object.fromEntries(set) };
}

function fromFlag(path: string): Place {
  return { path, base: process.cwd() };
}
