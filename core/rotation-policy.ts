/**
 * What a program may demand of its keys, and which of them it may retire: checked at preview, before anything is made. Pure.
 */
import type { InputViolation } from "./input-rules";

/** A declared version as far as it is known. */
export interface KeptKey {
  readonly version: number;
  /** ISO 8601; `unknown` where the key is yet to be made, or a preview does not know it yet. Undefined: nobody has said. */
  readonly createdAt: string | undefined;
}

/** Null, as languages without `undefined` have it, is a rule that is not made. */
export interface RotationPolicy {
  readonly maximumKeyAgeDays?: number | null | undefined;
  readonly minimumKeptVersions?: number | null | undefined;
}

const day = 86_400_000;
export const policyInputs = ["maximumKeyAgeDays", "minimumKeptVersions"] as const;

/** Versions to retire: each declared, once, and not the one that encrypts. `declared` is undefined while it is not known. */
export function retirementViolations(
  path: string,
  retire: unknown,
  active: unknown,
  declared: readonly unknown[] | undefined,
): readonly InputViolation[] {
  if (retire === undefined || retire === null) return [];
  if (!Array.isArray(retire)) return [{ path, reason: "is not a list; write [1] to retire version 1" }];
  return retire.flatMap((version: unknown, index): InputViolation[] => {
    const at = `${path}[${index}]`;
    if (typeof version !== "number" || !Number.isSafeInteger(version) || version < 1) {
      return [{ path: at, reason: "is no key version; write a whole number, 1 or greater" }];
    }
    if (version === active) {
      return [{ path: at, reason: `is ${version}, the version that encrypts; rotate to another one first` }];
    }
    if (retire.indexOf(version) < index) return [{ path: at, reason: `repeats ${version}; name each version once` }];
    if (declared !== undefined && !declared.includes(version)) {
      return [{ path: at, reason: `is ${version}, which is not declared; a retired key stays declared` }];
    }
    return [];
  });
}

/** What is wrong with the policy itself, at `path`. */
export function policyInputViolations(
  path: string,
  policy: Readonly<Record<string, unknown>>,
): readonly InputViolation[] {
  return Object.entries(policy).flatMap(([name, value]): InputViolation[] => {
    if (value === undefined || value === null) return [];
    if (!(policyInputs as readonly string[]).includes(name)) {
      return [{ path: `${path}.${name}`, reason: `is not an input; the inputs are ${policyInputs.join(", ")}` }];
    }
    const whole = name === "minimumKeptVersions";
    if (typeof value === "number" && value > 0 && (!whole || Number.isSafeInteger(value))) return [];
    return [
      {
        path: `${path}.${name}`,
        reason: `is ${JSON.stringify(value)}; write a ${whole ? "whole " : ""}number greater than 0`,
      },
    ];
  });
}

/** What of `keys` breaks the policy. `active` is the version that encrypts; undefined while encryption is off. */
export function policyViolations(
  path: string,
  policy: RotationPolicy,
  keys: readonly KeptKey[],
  retired: readonly number[],
  active: number | undefined,
  now: number,
): readonly InputViolation[] {
  return [...ageViolations(path, policy, keys, active, now), ...keptViolations(path, policy, keys, retired)];
}

function ageViolations(
  path: string,
  { maximumKeyAgeDays }: RotationPolicy,
  keys: readonly KeptKey[],
  active: number | undefined,
  now: number,
): readonly InputViolation[] {
  const key = keys.find(({ version }) => version === active);
  if (maximumKeyAgeDays == null || key === undefined || key.createdAt === "unknown") return [];
  const createdAt = Date.parse(key.createdAt ?? "");
  if (Number.isNaN(createdAt)) {
    const reason =
      key.createdAt === undefined
        ? `cannot be kept: nobody has said when key version ${key.version} was made; give its createdAt`
        : `cannot be kept: createdAt of key version ${key.version} is ${JSON.stringify(key.createdAt)}; write an ISO 8601 time`;
    return [{ path: `${path}.maximumKeyAgeDays`, reason }];
  }
  const age = (now - createdAt) / day;
  if (age <= maximumKeyAgeDays) return [];
  const made = new Date(createdAt).toISOString().slice(0, 10);
  return [
    {
      path: "keyVersion",
      reason: `is ${key.version}, whose key was made on ${made}, ${Math.floor(age)} days ago, and ${path}.maximumKeyAgeDays is ${maximumKeyAgeDays}; rotate by raising keyVersion to ${Math.max(...keys.map(({ version }) => version)) + 1}, or allow more days`,
    },
  ];
}

/** Of fewer versions than the minimum, which a young cluster has, all must be kept. */
function keptViolations(
  path: string,
  { minimumKeptVersions }: RotationPolicy,
  keys: readonly KeptKey[],
  retired: readonly number[],
): readonly InputViolation[] {
  if (minimumKeptVersions == null) return [];
  const newest = Math.max(0, ...keys.map(({ version }) => version));
  const kept = keys.filter(({ version }) => !retired.includes(version)).length;
  const wanted = Math.min(minimumKeptVersions, newest);
  if (kept >= wanted) return [];
  const retiredToo = retired.length === 0 ? "" : ` (${retired.join(", ")} retired)`;
  return [
    {
      path: `${path}.minimumKeptVersions`,
      reason: `is ${minimumKeptVersions}, but only ${kept} of the versions up to ${newest} stay usable${retiredToo}; declare more of them (oldestKeyVersion), retire fewer, or ask for fewer`,
    },
  ];
}
