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
import type { DeclaredKey } from "./rollout-inputs";

export const upkeepInputNames = ["etcdSnapshot", "compactAfterPrune", "withoutLease", "retireKeyVersions", "policy"];

/** What these inputs mean for the engine. */
export interface Upkeep {
  readonly etcdSnapshot?: { readonly directory: string };
  /** A run that has to go on from one that did not end does it in any case: nobody knows whether that one has. */
  readonly compact?: "afterPrune";
  readonly withoutLease?: boolean;
  /** Versions whose keys shall be retired once nothing needs them. */
  readonly retire?: readonly RetiringKey[];
  /** The names of their plugins. */
  readonly retired?: readonly string[];
}

export function upkeep(inputs: Properties, declared: readonly DeclaredKey[]): Upkeep {
  const { etcdSnapshot, compactAfterPrune, withoutLease } = inputs;
  const directory = isObject(etcdSnapshot) ? etcdSnapshot["directory"] : undefined;
  const versions = retiredVersions(inputs);
  const retire = declared
    .filter(({ version }) => versions.includes(version))
    .map(({ version, key }) => ({ version, plugin: pluginInstance(key) }));
  return {
    ...(typeof directory === "string" && { etcdSnapshot: { directory } }),
    ...(compactAfterPrune === true && { compact: "afterPrune" as const }),
    ...(withoutLease === true && { withoutLease: true }),
    ...(retire.length > 0 && { retire, retired: retire.map(({ plugin }) => plugin.name) }),
  };
}

/** What is not known yet is taken to be right. `now` is the time that keys' ages count to. */
export function upkeepProblems(inputs: Properties, now: number): readonly CheckProblem[] {
  const { keys, keyVersion, retireKeyVersions, policy } = inputs;
  const list = isList(keys) ? keys : [];
  const versions = list.map((entry) => (isObject(entry) ? entry["version"] : undefined));
  const declared = isList(keys) && !versions.includes(unknown) ? versions : undefined;
  const own = [
    ...snapshotProblems(inputs["etcdSnapshot"]),
    ...["compactAfterPrune", "withoutLease"].flatMap((path) => flagProblems(path, inputs[path])),
    ...(hasUnknown(retireKeyVersions)
      ? []
      : retirementViolations("retireKeyVersions", retireKeyVersions, keyVersion, declared)),
    ...policyProblems(policy),
  ];
  if (own.length > 0 || !isObject(policy) || hasUnknown(policy) || declared === undefined) return own;
  const kept = list.flatMap((entry) => keptKey(entry) ?? []);
  const active = inputs["enabled"] === false || typeof keyVersion !== "number" ? undefined : keyVersion;
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

function policyProblems(value: PropertyValue | undefined): readonly CheckProblem[] {
  if (value === undefined || value === null || hasUnknown(value)) return [];
  return isObject(value) ? policyInputViolations("policy", value) : [{ path: "policy", reason: "is not an object" }];
}

function flagProblems(path: string, value: PropertyValue | undefined): readonly CheckProblem[] {
  if (value === undefined || value === null || value === unknown || typeof value === "boolean") return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write true or false` }];
}
