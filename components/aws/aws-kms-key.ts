/** The keys of all declared versions in AWS KMS, with who may use them. */
import * as pulumi from "@pulumi/pulumi";
import { awsKmsBlockInputs, retiredViolations } from "../../core/aws-kms-block";
import { declaredVersions, type InputViolation, keyVersionRange } from "../../core/input-rules";
import { keyResourceHead } from "../../core/key-resource-inputs";
import { typeTokens } from "../../core/type-tokens";
import { inputError } from "../input-error";
import { AwsKeyAccess } from "./aws-key-access";
import { AwsKeyAlarm } from "./aws-key-alarm";
import { creationDates, keyArnsOf } from "./aws-keys";
import { awsKmsViolations } from "./aws-kms-check";
import { AwsKmsEndpoint } from "./aws-kms-endpoint";
import type { AwsKmsSourceArgs } from "./aws-kms-source";

/** The inputs of an AwsKmsKey. */
export interface AwsKmsKeyArgs {
  /** Which keys, how they are made, and who may use them. */
  readonly source: AwsKmsSourceArgs;
  /**
   * The newest version that has a key.
   * @integer
   */
  readonly newestKeyVersion: number;
  /**
   * The oldest version that has a key. Keys of older versions are let go of, never deleted.
   * @default 1
   * @integer
   */
  readonly oldestKeyVersion?: number;
  /**
   * Versions whose keys are disabled. With a list, even an empty one, every key that was made here is enabled or disabled by it; without
   * one keys are left as they are. Nothing may need a disabled key any more, backups included.
   */
  readonly retireKeyVersions?: number[];
  /**
   * Keep Pulumi from deleting the keys, and from taking the roles' leave to use them away by mistake. False lets `pulumi destroy` schedule
   * the deletion of the keys: what they have encrypted is lost when their deletion window ends.
   * @default true
   */
  readonly protectKeys?: boolean;
  /**
   * Learn when the keys were made that were not made here, for a limit on their age. It takes kms:DescribeKey.
   * @default false
   */
  readonly trackKeyAge?: boolean;
}

const inputNames = [
  "source",
  "newestKeyVersion",
  "oldestKeyVersion",
  "retireKeyVersions",
  "protectKeys",
  "trackKeyAge",
];

/** A key in AWS KMS for each version, its alias, and the roles' leave to use it. */
export class AwsKmsKey extends pulumi.ComponentResource {
  /** ARNs of the versions' keys, by version. */
  readonly keyArns: pulumi.Output<Record<string, string>>;
  /** When the versions' keys were made (ISO 8601), by version; empty without `trackKeyAge`. */
  readonly createdAt: pulumi.Output<Record<string, string>>;

  constructor(name: string, args: AwsKmsKeyArgs, opts?: pulumi.ComponentResourceOptions) {
    const violations = violationsOf(args as unknown as Readonly<Record<string, unknown>>);
    if (violations.length > 0) throw inputError("AwsKmsKey", violations);
    super(typeTokens.awsKmsKey, name, args, opts);
    const { source, retireKeyVersions: retired, protectKeys: protect = true } = args;
    const arns = keyArnsOf(name, source, { versions: versionsOf(args), retired, protect, parent: this });
    const keyArns = Object.values(arns);
    if (source.instanceRoles !== undefined) {
      const { encryptionContext } = source;
      new AwsKeyAccess(
        name,
        {
          keyArns,
          roles: source.instanceRoles,
          ...(encryptionContext === undefined ? {} : { encryptionContext }),
          protectGrants: protect,
        },
        { parent: this },
      );
    }
    if (source.endpoint !== undefined) {
      new AwsKmsEndpoint(name, { settings: source.endpoint, keyArns, ...tagsOf(source) }, { parent: this });
    }
    if (source.alarm !== undefined) {
      new AwsKeyAlarm(name, { settings: source.alarm, keyArns: arns, ...tagsOf(source) }, { parent: this });
    }
    // Not gated by the grants: an ARN that is known stays known in a preview that changes them. Dependents wait for the component.
    this.keyArns = pulumi.output(arns);
    this.createdAt = pulumi.output(args.trackKeyAge === true ? creationDates(arns, this) : {});
    this.registerOutputs({ keyArns: this.keyArns, createdAt: this.createdAt });
  }
}

function tagsOf({ tags }: AwsKmsSourceArgs): Pick<AwsKmsSourceArgs, "tags"> {
  return tags === undefined ? {} : { tags };
}

function versionsOf(args: AwsKmsKeyArgs): readonly number[] {
  return declaredVersions(keyVersionRange({ ...args, keyVersion: args.newestKeyVersion }));
}

function violationsOf(inputs: Readonly<Record<string, unknown>>): readonly InputViolation[] {
  const head = keyResourceHead(inputs, inputNames, awsKmsBlockInputs);
  if (head.violations !== undefined) return head.violations;
  const { source, declared } = head;
  return [
    ...awsKmsViolations("source", source, declared),
    ...retiredViolations(inputs["retireKeyVersions"], declared, source["keyArns"]),
  ];
}
