/** What is wrong with the inputs that say which keys in AWS KMS to use. Values may be anything, because programs in JavaScript pass anything. */
import { keyArnProblem } from "./aws-key-arn";
import { principalArnProblem } from "./aws-principal-arn";
import { type InputViolation, unknownInputViolations } from "./input-rules";
import { below, isBlock } from "./input-values";
import { eachViolation } from "./key-arn-list";

type Inputs = Readonly<Record<string, unknown>>;

/** Names of the block's inputs. */
export const awsKmsBlockInputs = [
  ...["keyArns", "aliasName", "keyUserArns", "keyAdministratorArns", "instanceRoles", "encryptionContext"],
  ...["deletionWindowInDays", "multiRegion", "rotateKeyMaterial", "rotationPeriodInDays", "endpoint", "alarm", "tags"],
];
const endpointInputs = ["vpcId", "subnetIds", "clientSecurityGroupIds", "privateDns", "onlyTheseKeys"];
const alarmInputs = ["cloudTrailLogGroupName", "alarmActions", "periodSeconds"];
const longestPeriod = 604_800;

export interface AwsKmsBlockContext {
  /** The declared versions. */
  readonly versions: readonly number[];
  /** Whether a value becomes known only later. */
  readonly isLater: (value: unknown) => boolean;
}

/** Everything that is wrong with the block `given`, by paths inside it. */
export function awsKmsBlockViolations(
  given: Inputs,
  { versions, isLater }: AwsKmsBlockContext,
): readonly InputViolation[] {
  return [
    ...unknownInputViolations(given, awsKmsBlockInputs),
    ...keyArnViolations(given["keyArns"], versions, isLater),
    ...aliasViolations(given["aliasName"], isLater),
    ...principalViolations("keyUserArns", given["keyUserArns"], isLater),
    ...principalViolations("keyAdministratorArns", given["keyAdministratorArns"], isLater),
    ...wholeNumber("deletionWindowInDays", given["deletionWindowInDays"], 7, 30, "days"),
    ...wholeNumber("rotationPeriodInDays", given["rotationPeriodInDays"], 90, 2560, "days"),
    ...(given["rotationPeriodInDays"] !== undefined && given["rotateKeyMaterial"] !== true
      ? [{ path: "rotationPeriodInDays", reason: "is for rotateKeyMaterial: true; set that too, or leave this out" }]
      : []),
    ...contextViolations(given["encryptionContext"], isLater),
    ...partViolations("endpoint", given["endpoint"], endpointInputs, ["vpcId", "subnetIds", "clientSecurityGroupIds"]),
    ...partViolations("alarm", given["alarm"], alarmInputs, ["cloudTrailLogGroupName"]),
    ...(isBlock(given["alarm"]) ? periodViolations("alarm.periodSeconds", given["alarm"]["periodSeconds"]) : []),
  ];
}

/** Those whom the keys' policies name, at `path`. */
export function principalViolations(
  path: string,
  arns: unknown,
  isLater: (value: unknown) => boolean,
): readonly InputViolation[] {
  if (arns === undefined || isLater(arns)) return [];
  if (!Array.isArray(arns)) return [{ path, reason: 'is no list; write ["arn:aws:iam::ACCOUNT:role/NAME"]' }];
  return eachViolation(path, arns, isLater, principalArnProblem);
}

/** CloudWatch counts what it finds in logs by the minute: its periods of 10, 20 and 30 seconds are for metrics of another kind. */
export function periodViolations(path: string, seconds: unknown): readonly InputViolation[] {
  if (seconds === undefined) return [];
  if (typeof seconds === "number" && seconds >= 60 && seconds <= longestPeriod && seconds % 60 === 0) return [];
  const reason = `is ${JSON.stringify(seconds)}; write 60 or a multiple of it, at most ${longestPeriod}, which is a week`;
  return [{ path, reason }];
}

/** Versions to retire: declared ones, whose keys were made here. `given` is the block's keyArns. */
export function retiredViolations(
  retired: unknown,
  versions: readonly number[],
  given: unknown,
): readonly InputViolation[] {
  if (retired === undefined) return [];
  if (!Array.isArray(retired)) return [{ path: "retireKeyVersions", reason: "is not a list of versions" }];
  return retired.flatMap((version: unknown, index): InputViolation[] => {
    const path = `retireKeyVersions[${index}]`;
    if (typeof version !== "number" || !versions.includes(version)) {
      const reason = `is ${JSON.stringify(version)}, which is no declared version; declared are ${versions.join(", ")}`;
      return [{ path, reason }];
    }
    if (!isBlock(given) || given[String(version)] === undefined) return [];
    const reason = `is ${version}, whose key was not made here; disable it where it was made: aws kms disable-key --key-id ARN`;
    return [{ path, reason }];
  });
}

function keyArnViolations(
  arns: unknown,
  versions: readonly number[],
  isLater: (value: unknown) => boolean,
): readonly InputViolation[] {
  if (arns === undefined) return [];
  if (!isBlock(arns))
    return [{ path: "keyArns", reason: 'is no map; write { "1": "arn:aws:kms:REGION:ACCOUNT:key/ID" }' }];
  const seen = new Map<unknown, string>();
  return Object.entries(arns).flatMap(([version, arn]): InputViolation[] => {
    const path = `keyArns.${version}`;
    if (!versions.map(String).includes(version)) {
      return [{ path, reason: `is for a version that is not declared; declared are ${versions.join(", ")}` }];
    }
    if (isLater(arn)) return [];
    const reason = keyArnProblem(arn);
    if (reason !== undefined) return [{ path, reason }];
    const other = seen.get(arn);
    seen.set(arn, version);
    return other === undefined
      ? []
      : [{ path, reason: `is the key of version ${other} too; give each version a key of its own` }];
  });
}

/** AWS keeps names that begin with alias/aws/ for itself; a version's number and a hyphen come behind. */
function aliasViolations(alias: unknown, isLater: (value: unknown) => boolean): readonly InputViolation[] {
  if (alias === undefined || isLater(alias)) return [];
  if (typeof alias === "string" && /^alias\/(?!aws\/)[\w/-]{1,240}$/.test(alias)) return [];
  const reason = `is ${JSON.stringify(alias)}; write alias/NAME with letters, digits, "/", "_" and "-", not alias/aws/...`;
  return [{ path: "aliasName", reason }];
}

/** Of an encryption context. The plugin's flag can't express commas, nor an equals sign in a name. */
export function contextViolations(context: unknown, isLater: (value: unknown) => boolean): readonly InputViolation[] {
  if (context === undefined) return [];
  if (!isBlock(context)) return [{ path: "encryptionContext", reason: "is no map of texts" }];
  return Object.entries(context).flatMap(([name, value]): InputViolation[] => {
    const path = `encryptionContext.${name}`;
    if (name === "" || /[,=]/.test(name)) {
      return [{ path, reason: "has a name that is empty or has a comma or an equals sign in it; choose another" }];
    }
    if (isLater(value) || (typeof value === "string" && !value.includes(","))) return [];
    return [{ path, reason: "is no text, or has a comma in it; choose another value" }];
  });
}

function wholeNumber(
  path: string,
  value: unknown,
  least: number,
  most: number,
  unit: string,
): readonly InputViolation[] {
  if (value === undefined) return [];
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write a whole number of ${unit} from ${least} to ${most}` }];
}

function partViolations(
  path: string,
  part: unknown,
  known: readonly string[],
  required: readonly string[],
): readonly InputViolation[] {
  if (part === undefined) return [];
  if (!isBlock(part)) return [{ path, reason: `is no object; its inputs are ${known.join(", ")}` }];
  return [
    ...below(path, unknownInputViolations(part, known)),
    ...required
      .filter((name) => part[name] === undefined)
      .map((name) => ({ path: `${path}.${name}`, reason: "is missing; it can't do without" })),
  ];
}
