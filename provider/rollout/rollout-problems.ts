/** What is wrong with the inputs of an EncryptionRollout. The program sees each problem at its property. */
import {
  platformBlocks as allPlatformBlocks,
  oneBlockViolations,
  resourceNameViolations,
  unknownInputViolations,
  wholeNumberViolations,
} from "../../core/input-rules";
import { keyViolations, thisMachineViolations } from "../../core/key-inputs";
import { rewriteMethods } from "../../core/rewrite-method";
import { rotationStages } from "../../core/rotation-stage";
import { hasUnknown, isList, isObject, type Properties, type PropertyValue, unknown } from "../property-values";
import type { CheckProblem } from "../resource";
import { platformProblems } from "./platform-inputs";
import { limitNames } from "./rollout-inputs";
import { upkeepInputNames, upkeepProblems } from "./upkeep-inputs";

/** The resource types that carry out a rollout: kOps' own is a type of its own, because it replaces machines. */
export type RolloutType = "EncryptionRollout" | "KopsKmsSettings";

const platformBlocks: Readonly<Record<RolloutType, readonly string[]>> = {
  EncryptionRollout: allPlatformBlocks.filter((name) => name !== "kops"),
  KopsKmsSettings: ["kops"],
};

const commonInputs = ["keyVersion", "keys", "resources", "enabled", "allowPlaintextReads", "rewriteBy", "advanceTo"];
const hostsInputs = ["limits", "etcdSnapshot", "compactAfterPrune"];
const inputNames: Readonly<Record<RolloutType, readonly string[]>> = {
  EncryptionRollout: [...commonInputs, "limits", ...upkeepInputNames, ...platformBlocks.EncryptionRollout],
  KopsKmsSettings: [...commonInputs, ...upkeepInputNames.filter((name) => !hostsInputs.includes(name)), "kops"],
};

/** Everything that is wrong with `inputs`. What is not known yet is taken to be right; the update checks it again. */
export function rolloutProblems(inputs: Properties, type: RolloutType = "EncryptionRollout"): readonly CheckProblem[] {
  const { known, others } = otherTypesInputs(inputs, type);
  return [
    ...others,
    ...unknownInputViolations(known, inputNames[type]),
    ...(inputs["keyVersion"] === unknown ? [] : wholeNumberViolations("keyVersion", inputs["keyVersion"], false)),
    ...(others.some(({ path }) => path === "kops") ? [] : oneBlockViolations(inputs, platformBlocks[type], "cluster")),
    ...platformProblems(known),
    ...keysProblems(inputs["keys"], inputs["keyVersion"]),
    ...unreachableKeyProblems(inputs),
    ...resourcesProblems(inputs["resources"]),
    ...typeProblems("enabled", inputs["enabled"], "boolean", "true or false"),
    ...typeProblems("allowPlaintextReads", inputs["allowPlaintextReads"], "boolean", "true or false"),
    ...choiceProblems("rewriteBy", inputs["rewriteBy"], rewriteMethods),
    ...choiceProblems("advanceTo", inputs["advanceTo"], rotationStages),
    ...limitsProblems(inputs["limits"]),
    ...upkeepProblems(inputs, Date.now()),
  ];
}

function keysProblems(keys: PropertyValue | undefined, keyVersion: PropertyValue | undefined): readonly CheckProblem[] {
  if (keys === unknown) return [];
  if (!Array.isArray(keys) || keys.length === 0) {
    return [{ path: "keys", reason: "is missing or empty; declare the key of every version that data may need" }];
  }
  const versions = keys.map((entry: PropertyValue) => (isObject(entry) ? entry["version"] : undefined));
  const problems = keys.flatMap((entry: PropertyValue, index): CheckProblem[] => {
    if (entry === unknown) return [];
    const path = `keys[${index}]`;
    const version = versions[index];
    if (version === unknown) return [];
    const wrong = wholeNumberViolations(`${path}.version`, version, false);
    if (wrong.length > 0) return [...wrong];
    if (versions.indexOf(version) < index) {
      return [{ path: `${path}.version`, reason: `repeats ${JSON.stringify(version)}; declare each version once` }];
    }
    return [...keyViolations(path, entry)];
  });
  if (problems.length > 0 || keys.includes(unknown) || versions.includes(unknown)) return problems;
  if (typeof keyVersion === "number" && !versions.includes(keyVersion)) {
    const declared = versions.map((version) => JSON.stringify(version)).join(", ");
    return [
      {
        path: "keyVersion",
        reason: `is ${keyVersion}, but keys declares ${declared}; declare version ${keyVersion} too`,
      },
    ];
  }
  return [];
}

/** Inputs that the other type has: each is said with its reason, and is not looked at further. */
function otherTypesInputs(inputs: Properties, type: RolloutType) {
  const given = (name: string) => inputs[name] !== undefined && inputs[name] !== null;
  const names = (type === "KopsKmsSettings" ? hostsInputs : ["kops"]).filter(given);
  const known = Object.fromEntries(Object.entries(inputs).filter(([name]) => !names.includes(name)));
  const others = names.map((path): CheckProblem => ({ path, reason: otherReasons[path] ?? "is not an input" }));
  return { known, others };
}

const otherReasons: Readonly<Record<string, string>> = {
  kops: "is for KopsKmsSettings, which KmsEtcdEncryption makes for it: its machines are replaced, not changed",
  limits: "is of no use on kOps, whose own limits count; set kops.rolling",
  etcdSnapshot: "needs a way to etcd, which kOps keeps to its machines; kOps itself backs etcd up into the state store",
  compactAfterPrune: "needs a way to etcd, which kOps keeps to its machines; leave it out",
};

/** A key in a file of this machine is in no file of another; and kOps' machines have an identity in AWS alone. */
function unreachableKeyProblems({ keys, selfManaged, kops }: Properties): readonly CheckProblem[] {
  if (kops !== undefined && kops !== null && isList(keys)) {
    return keys.flatMap((entry, index) => {
      const name = isObject(entry) ? ["local", "azure"].find((other) => entry[other] != null) : undefined;
      const reason = "is no key in AWS KMS, and kOps' machines have leave to use no other; use aws";
      return name === undefined ? [] : [{ path: `keys[${index}].${name}`, reason }];
    });
  }
  if (selfManaged === undefined || selfManaged === null || !isList(keys)) return [];
  return keys.flatMap((entry, index) => thisMachineViolations(`keys[${index}]`, entry));
}

function resourcesProblems(resources: PropertyValue | undefined): readonly CheckProblem[] {
  if (resources === undefined || resources === null || hasUnknown(resources)) return [];
  if (!Array.isArray(resources)) return [{ path: "resources", reason: 'is not a list; write ["secrets"]' }];
  return resourceNameViolations("resources", resources);
}

function typeProblems(
  path: string,
  value: PropertyValue | undefined,
  type: "boolean",
  remedy: string,
): readonly CheckProblem[] {
  if (value === undefined || value === null || value === unknown || typeof value === type) return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write ${remedy}` }];
}

function choiceProblems(
  path: string,
  value: PropertyValue | undefined,
  choices: readonly string[],
): readonly CheckProblem[] {
  if (value === undefined || value === null || value === unknown) return [];
  if (choices.some((known) => known === value)) return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write one of ${choices.join(", ")}` }];
}

function limitsProblems(limits: PropertyValue | undefined): readonly CheckProblem[] {
  if (limits === undefined || limits === null || limits === unknown) return [];
  if (!isObject(limits)) return [{ path: "limits", reason: "is not an object" }];
  return Object.entries(limits).flatMap(([name, value]): CheckProblem[] => {
    const path = `limits.${name}`;
    if (!limitNames.has(name)) {
      return [{ path, reason: `is not an input; the limits are ${[...limitNames.keys()].join(", ")}` }];
    }
    if (value === unknown || value === null || (typeof value === "number" && value > 0)) return [];
    return [{ path, reason: `is ${JSON.stringify(value)}; write a number of seconds greater than 0` }];
  });
}
