/** The inputs of an EncryptionRollout about what is kept and what goes: snapshots, retired keys, policy, etcd's own history. */
import { isAbsolute } from "node:path";
import { pluginInstance } from "../../core/plugin-instance";
import {
  type KeptKey,
  policyInputViolations,
  policyViolations,
  retirementViolations,
} from "../../core/rotation-policy";
import type { RetiringKey } from "../../rotation/retire-keys";
import { hasUnknown, isList, isObject, type Properties, type PropertyValue, unknown } from "../property-values";
import type { CheckProblem } from "../resource";
import type { DeclaredKey } from "./declared-key";
import { reportSigningProblems } from "./report-signing";

export const upkeepInputNames = [
  ...["etcdSnapshot", "compactAfterPrune", "withoutLease", "retireKeyVersions", "policy"],
  "reportSigning",
];

/** What these inputs mean for the engine. */
export interface Upkeep {
  readonly etcdSnapshot?: { readonly directory: string };
  /** A run that has to go on from one that did not end does it in any case: nobody knows whether that one has. */
  readonly compact?: "afterPrune";
  readonly withoutLease?: boolean;
  /** Where snapshots of etcd were kept before, also by a program that has since left `etcdSnapshot` out. */
  readonly snapshotDirectories?: readonly string[];
  /** Versions whose keys shall be retired once nothing needs them. */
  readonly retire?: readonly RetiringKey[];
  /** The names of their plugins. */
  readonly retired?: readonly string[];
}

export function upkeep(inputs: Properties, declared: readonly DeclaredKey[]): Upkeep {
  const { compactAfterPrune, withoutLease } = inputs;
  const directory = snapshotDirectory(inputs);
  const versions = retiredVersions(inputs);
  const before = texts(inputs[earlierSnapshots]);
  const retire = declared
    .filter(({ version }) => versions.includes(version))
    .map(({ version, key }) => ({ version, plugin: pluginInstance(key) }));
  return {
    ...(directory !== undefined && { etcdSnapshot: { directory } }),
    ...(before.length > 0 && { snapshotDirectories: before }),
    ...(compactAfterPrune === true && { compact: "afterPrune" as const }),
    ...(withoutLease === true && { withoutLease: true }),
    ...(retire.length > 0 && { retire, retired: retire.map(({ plugin }) => plugin.name) }),
  };
}

/** Kept with the inputs in the state, not given by anybody: a snapshot stays where it is when the input that named it goes. */
const earlierSnapshots = "earlierSnapshotDirectories";

/** `news` with the directories of snapshots that `olds`, the inputs in the state, know and `news` does not name. */
export function withEarlierSnapshots(news: Properties, olds: Properties | undefined): Properties {
  const present = snapshotDirectory(news);
  const known = [...texts(olds?.[earlierSnapshots]), ...texts([snapshotDirectory(olds ?? {}) ?? null])];
  const earlier = [...new Set(known)].filter((directory) => directory !== present);
  return earlier.length === 0 ? news : { ...news, [earlierSnapshots]: earlier };
}

/** Everywhere that the engine looks for snapshots. */
export function knownSnapshotDirectories(inputs: Properties): readonly string[] {
  return texts([...texts(inputs[earlierSnapshots]), snapshotDirectory(inputs) ?? null]);
}

function snapshotDirectory({ etcdSnapshot }: Properties): string | undefined {
  const directory = isObject(etcdSnapshot) ? etcdSnapshot["directory"] : undefined;
  return typeof directory === "string" ? directory : undefined;
}

function texts(value: PropertyValue | undefined): readonly string[] {
  return isList(value) ? value.filter((entry): entry is string => typeof entry === "string") : [];
}

/** What is not known yet is taken to be right. `now` is the time that keys' ages count to. */
export function upkeepProblems(inputs: Properties, now: number): readonly CheckProblem[] {
  const { keys, keyVersion, retireKeyVersions } = inputs;
  const policy = knownPolicy(inputs["policy"]);
  const list = isList(keys) ? keys : [];
  const versions = list.map((entry) => (isObject(entry) ? entry["version"] : entry));
  const declared = isList(keys) && !versions.includes(unknown) ? versions : undefined;
  const own = [
    ...snapshotProblems(inputs["etcdSnapshot"]),
    ...["compactAfterPrune", "withoutLease"].flatMap((path) => flagProblems(path, inputs[path])),
    ...(hasUnknown(retireKeyVersions)
      ? []
      : retirementViolations("retireKeyVersions", retireKeyVersions, keyVersion, declared)),
    ...backupStatementProblems(inputs),
    ...policyProblems(policy),
    ...reportSigningProblems(inputs["reportSigning"]),
  ];
  if (own.length > 0 || !isObject(policy) || declared === undefined) return own;
  const kept = list.flatMap((entry) => keptKey(entry) ?? []);
  const { enabled } = inputs;
  const isOff = enabled === false || enabled === unknown;
  const active = isOff || typeof keyVersion !== "number" ? undefined : keyVersion;
  return policyViolations("policy", policy, kept, retiredVersions(inputs), active, now);
}

function keptKey(entry: PropertyValue): KeptKey | undefined {
  if (!isObject(entry) || typeof entry["version"] !== "number") return undefined;
  const { version, createdAt } = entry;
  if (createdAt === unknown) return { version, createdAt: "unknown" };
  return { version, createdAt: typeof createdAt === "string" ? createdAt : undefined };
}

function retiredVersions({ retireKeyVersions }: Properties): readonly number[] {
  return isList(retireKeyVersions)
    ? retireKeyVersions.filter((version): version is number => typeof version === "number")
    : [];
}

/** What is said of a version's backups is over when its key is in use again: it must not be there when it is retired the next time. */
function backupStatementProblems({ kops, retireKeyVersions }: Properties): readonly CheckProblem[] {
  const said = isObject(kops) ? kops["etcdBackupsWithoutKeyVersions"] : undefined;
  if (!isList(said) || hasUnknown(said) || hasUnknown(retireKeyVersions)) return [];
  const retired = retiredVersions({ retireKeyVersions: retireKeyVersions ?? null });
  return said.flatMap((version, index) => {
    if (typeof version !== "number" || retired.includes(version)) return [];
    const reason = `is ${version}, which is not in retireKeyVersions; say it when you retire that version, and take it out with it`;
    return [{ path: `kops.etcdBackupsWithoutKeyVersions[${index}]`, reason }];
  });
}

function snapshotProblems(value: PropertyValue | undefined): readonly CheckProblem[] {
  if (value === undefined || value === null || value === unknown) return [];
  const path = "etcdSnapshot.directory";
  if (!isObject(value)) return [{ path: "etcdSnapshot", reason: "is not an object; write { directory: ... }" }];
  const others = Object.keys(value).filter((name) => name !== "directory");
  if (others.length > 0) return others.map((name) => ({ path: `etcdSnapshot.${name}`, reason: "is not an input" }));
  const { directory } = value;
  if (directory === unknown || (typeof directory === "string" && isAbsolute(directory))) return [];
  return [{ path, reason: "is no absolute path; name the directory on this machine that keeps the snapshots" }];
}

/** Each of its values for itself: what is known of it is judged, whatever is not. */
function knownPolicy(policy: PropertyValue | undefined): PropertyValue | undefined {
  if (policy === unknown) return undefined;
  if (!isObject(policy)) return policy;
  return Object.fromEntries(Object.entries(policy).filter(([, value]) => !hasUnknown(value)));
}

function policyProblems(value: PropertyValue | undefined): readonly CheckProblem[] {
  if (value === undefined || value === null) return [];
  return isObject(value) ? policyInputViolations("policy", value) : [{ path: "policy", reason: "is not an object" }];
}

function flagProblems(path: string, value: PropertyValue | undefined): readonly CheckProblem[] {
  if (value === undefined || value === null || value === unknown || typeof value === "boolean") return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write true or false` }];
}
