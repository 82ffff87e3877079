/**
 * What is wrong with the inputs that say which vault and which keys to use: their form, and the rules of azure-rules/ as far as the values
 * are known. Values may be anything, because programs in JavaScript pass anything.
 */
import { versionedAzureKeyId } from "./azure-key-id";
import { azureRules } from "./azure-rules/azure-rules";
import {
  checkRules,
  type FactPaths,
  type Findings,
  type GivenFacts,
  notYetKnown,
  violationOf,
} from "./azure-rules/rule";
import { describeError } from "./errors";
import { type InputViolation, unknownInputViolations } from "./input-rules";
import { isBlock } from "./input-values";

type Inputs = Readonly<Record<string, unknown>>;

/** What the inputs are for. */
export interface KeyVaultBlockContext {
  /** The declared versions. */
  readonly versions: readonly number[];
  /** What a vault's name is made of where none is given. */
  readonly nameStem: string;
  /** Whether a value becomes known only later. */
  readonly isLater: (value: unknown) => boolean;
  /** The time, ISO 8601. */
  readonly now: string;
}

export interface KeyVaultBlockCheck {
  readonly violations: readonly InputViolation[];
  readonly warnings: Findings["warnings"];
  readonly skipped: Findings["skipped"];
}

const forNewVault = ["resourceGroupName", "location", "vaultName", "sku", "softDeleteRetentionInDays"];
/** Names of the block's inputs. */
export const keyVaultBlockInputs = [
  "vaultId",
  ...forNewVault,
  ...["authorization", "vaultNetworkAccess", "privateEndpoint", "keyName", "key", "keyIds", "keyExpiry"],
  ...["keyUsers", "keyAdministrators", "monitoring"],
];
const choices: Readonly<Record<string, readonly string[]>> = {
  authorization: ["Rbac", "AccessPolicies"],
  vaultNetworkAccess: ["Public", "Private"],
  sku: ["standard", "premium"],
};
/** A version's number and a hyphen come behind it, and the whole may have 127 characters. */
const keyNameForm = /^[0-9a-z-]{1,110}$/i;

/** Everything that is wrong with the block `given`, by paths inside it. */
export function keyVaultBlockCheck(given: Inputs, context: KeyVaultBlockContext): KeyVaultBlockCheck {
  const { errors, warnings, skipped } = checkRules(azureRules, factsOf(given, context), factPaths);
  return {
    violations: [
      ...unknownInputViolations(given, keyVaultBlockInputs),
      ...vaultViolations(given, context),
      ...choiceViolations(given),
      ...keyNameViolations(given["keyName"]),
      ...byVersionViolations("keyIds", given, context, keyIdProblem),
      ...byVersionViolations("keyExpiry", given, context, dateProblem),
      ...keyUserViolations("keyUsers", given["keyUsers"]),
      ...keyUserViolations("keyAdministrators", given["keyAdministrators"]),
      ...errors.map(violationOf),
    ],
    warnings,
    skipped,
  };
}

/** Whether a key has to be made for some version. */
export function makesKeys(given: Inputs, versions: readonly number[]): boolean {
  const existing = isBlock(given["keyIds"]) ? given["keyIds"] : {};
  return versions.some((version) => existing[String(version)] === undefined);
}

/** Exactly one way to name each user, and no client id. `users` is the map of users at `path`. */
export function keyUserViolations(path: string, users: unknown): readonly InputViolation[] {
  if (users === undefined) return [];
  if (!isBlock(users)) return [{ path, reason: 'is not an object; write { "a-name": { identityId } }' }];
  return Object.entries(users).flatMap(([name, user]): readonly InputViolation[] => {
    const at = `${path}.${name}`;
    if (!/^[0-9a-z-]{1,40}$/i.test(name)) return [{ path: at, reason: "is no name; use letters, digits and hyphens" }];
    const inputs = isBlock(user) ? user : {};
    const names = Object.keys(inputs).filter((input) => inputs[input] !== undefined);
    const clientId = names.find((input) => /^(client|app|application)id$/i.test(input));
    if (clientId !== undefined) {
      return [
        {
          path: `${at}.${clientId}`,
          reason: `names a principal by its client id, and access is granted to object ids; write servicePrincipalObjectId with what \`az ad sp show --id ${idIn(inputs[clientId])} --query id --output tsv\` prints`,
        },
      ];
    }
    const unknownNames = names.filter((input) => !userInputs.includes(input));
    if (unknownNames.length > 0) {
      return unknownNames.map((input) => ({
        path: `${at}.${input}`,
        reason: `is not an input; the inputs are ${userInputs.join(", ")}`,
      }));
    }
    if (names.length !== 1) {
      return [{ path: at, reason: `names ${names.length} principals; give exactly one of ${userInputs.join(", ")}` }];
    }
    return [];
  });
}

const userInputs = ["identityId", "virtualMachineId", "servicePrincipalObjectId", "userObjectId", "groupObjectId"];

function idIn(value: unknown): string {
  return typeof value === "string" && /^[0-9a-f-]{36}$/i.test(value) ? value : "CLIENT_ID";
}

function vaultViolations(given: Inputs, { versions }: KeyVaultBlockContext): readonly InputViolation[] {
  if (given["vaultId"] !== undefined) {
    return forNewVault
      .filter((name) => given[name] !== undefined)
      .map((path) => ({
        path,
        reason: "is for a vault that is made, but vaultId names one that exists; keep one of the two",
      }));
  }
  const forVault = [...forNewVault, "keyUsers", "keyAdministrators", "privateEndpoint", "monitoring"];
  const used = forVault.filter((name) => given[name] !== undefined);
  if (!makesKeys(given, versions) && used.length === 0) return [];
  return ["resourceGroupName", "location"]
    .filter((name) => given[name] === undefined)
    .map((path) => ({
      path,
      reason: "is missing: a vault has to be made; name it, or give vaultId of a vault that exists",
    }));
}

function choiceViolations(given: Inputs): readonly InputViolation[] {
  const key = isBlock(given["key"]) ? given["key"] : {};
  const unknownKeyInputs = unknownInputViolations(key, ["type", "size"]);
  return [
    ...Object.entries(choices).flatMap(([path, values]) => {
      const value = given[path];
      if (value === undefined || values.some((choice) => choice === value)) return [];
      return [{ path, reason: `is ${JSON.stringify(value)}; write ${values.join(" or ")}` }];
    }),
    ...unknownKeyInputs.map((violation) => ({ ...violation, path: `key.${violation.path}` })),
  ];
}

function keyNameViolations(keyName: unknown): readonly InputViolation[] {
  if (keyName === undefined || (typeof keyName === "string" && keyNameForm.test(keyName))) return [];
  return [{ path: "keyName", reason: `is ${JSON.stringify(keyName)}; write 1 to 110 letters, digits and hyphens` }];
}

function byVersionViolations(
  input: string,
  given: Inputs,
  { versions, isLater }: KeyVaultBlockContext,
  problemWith: (value: unknown) => string | undefined,
): readonly InputViolation[] {
  const values = given[input];
  if (values === undefined) return [];
  if (!isBlock(values)) return [{ path: input, reason: 'is not an object; write { "1": ... }, by version' }];
  return Object.entries(values).flatMap(([version, value]): readonly InputViolation[] => {
    const path = `${input}.${version}`;
    if (!versions.includes(Number(version))) {
      return [{ path, reason: `is for no declared version; declared are ${versions.join(", ")}` }];
    }
    const problem = isLater(value) ? undefined : problemWith(value);
    return problem === undefined ? [] : [{ path, reason: problem }];
  });
}

/** What is wrong with the identifier of a key's version. */
export function keyIdProblem(value: unknown): string | undefined {
  try {
    versionedAzureKeyId(typeof value === "string" ? value : "");
    return undefined;
  } catch (thrown) {
    return describeError(thrown);
  }
}

/** @azure/keyvault-keys 4.10.2 counts seconds in 32 bits: a date behind this one would come to the vault as one in the past. */
const latestExpiry = "2038-01-19T03:14:07Z";

/** What is wrong with the date on which a key expires. */
export function dateProblem(value: unknown): string | undefined {
  const form = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;
  if (typeof value !== "string" || !form.test(value) || Number.isNaN(Date.parse(value))) {
    return `is ${JSON.stringify(value)}; write a date and time with its zone, 2028-01-31T00:00:00Z`;
  }
  if (Date.parse(value) <= Date.parse(latestExpiry)) return undefined;
  return `is ${value}, which the Azure SDK would send as a date in the past; write ${latestExpiry} at the latest`;
}

/** Where facts stand in the block. */
const factPaths: FactPaths = {
  keyVaultResourceId: "vaultId",
  keyType: "key.type",
  keySize: "key.size",
  vaultSku: "sku",
};

function factsOf(given: Inputs, { nameStem, versions, isLater, now }: KeyVaultBlockContext): GivenFacts {
  const key = isBlock(given["key"]) ? given["key"] : {};
  const text = (value: unknown) => (isLater(value) ? notYetKnown : typeof value === "string" ? value : undefined);
  const number = (value: unknown) => (typeof value === "number" ? value : undefined);
  const makesVault = given["vaultId"] === undefined && makesKeys(given, versions);
  const facts = {
    vaultName: text(given["vaultName"]),
    keyVaultResourceId: text(given["vaultId"]),
    keyType: text(key["type"]),
    keySize: number(key["size"]),
    // Without a sku, keys of type RSA-HSM get a premium vault.
    vaultSku: text(given["sku"]),
    softDeleteRetentionInDays: number(given["softDeleteRetentionInDays"]),
    ...(makesVault ? { vaultNameStem: nameStem, vaultIsNew: true, purgeProtection: true } : {}),
    now,
  };
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined));
}
