/** One KMS key a version: made, or given. */
import * as pulumi from "@pulumi/pulumi";
import { keyArnProblem, retiredKeyTag } from "../../core/aws-key-arn";
import { keyPolicy } from "../../core/aws-key-policy";
import { principalViolations } from "../../core/aws-kms-block";
import { inputError } from "../input-error";
import type { AwsKmsSourceArgs } from "./aws-kms-source";
import { loadAws } from "./aws-modules";

export interface AwsKeysOptions {
  readonly versions: readonly number[];
  /** Versions to disable; undefined leaves all as they are. */
  readonly retired: readonly number[] | undefined;
  /** Whether Pulumi is kept from deleting keys. */
  readonly protect: boolean;
  readonly parent: pulumi.Resource;
}

/** ARNs of the keys, by version. */
export function keyArnsOf(
  name: string,
  source: AwsKmsSourceArgs,
  options: AwsKeysOptions,
): Record<string, pulumi.Output<string>> {
  const makes = options.versions.some((version) => source.keyArns?.[String(version)] === undefined);
  const policy = makes ? keyPolicyText(source, options.parent) : pulumi.output("");
  return Object.fromEntries(
    options.versions.map((version) => {
      const given = source.keyArns?.[String(version)];
      const arn = given === undefined ? madeKey(name, version, source, policy, options) : provenArn(given, version);
      return [String(version), arn];
    }),
  );
}

/** When AWS says that the keys were made: their resources in Pulumi do not know. */
export function creationDates(
  arns: Readonly<Record<string, pulumi.Output<string>>>,
  parent: pulumi.Resource,
): Record<string, pulumi.Output<string>> {
  const { getKeyOutput } = loadAws();
  return Object.fromEntries(
    Object.entries(arns).map(([version, keyId]) => [version, getKeyOutput({ keyId }, { parent }).creationDate]),
  );
}

/** How a component's keys are named where no name is given: unique as long as projects and stacks are. */
export function defaultAliasName(name: string): string {
  return `alias/${[pulumi.getProject(), pulumi.getStack(), name].join("-").replace(/[^\w/-]/g, "-")}`;
}

function madeKey(
  name: string,
  version: number,
  source: AwsKmsSourceArgs,
  policy: pulumi.Output<string>,
  { retired, protect, parent }: AwsKeysOptions,
): pulumi.Output<string> {
  const { Alias, Key } = loadAws();
  const childName = `${name}-key-v${version}`;
  const key = new Key(
    childName,
    {
      description: `etcd encryption ${name}, version ${version}`,
      policy,
      deletionWindowInDays: source.deletionWindowInDays ?? 30,
      enableKeyRotation: source.rotateKeyMaterial ?? false,
      ...(source.rotateKeyMaterial === true ? { rotationPeriodInDays: source.rotationPeriodInDays ?? 365 } : {}),
      multiRegion: source.multiRegion ?? false,
      ...(retired === undefined ? {} : { isEnabled: !retired.includes(version) }),
      ...(source.tags === undefined ? {} : { tags: source.tags }),
    },
    {
      parent,
      // A key that data or a backup may need is never deleted with its resource.
      retainOnDelete: protect,
      // Whoever has disabled a key has a reason: a person, or a rollout that retires its version. Only a list given here says otherwise.
      ...(retired === undefined ? { ignoreChanges: ["isEnabled", `tags["${retiredKeyTag}"]`] } : {}),
    },
  );
  const alias = pulumi.output(source.aliasName).apply((given) => `${given ?? defaultAliasName(name)}-v${version}`);
  // An alias can be made again, a key can't: so it goes with its resource, and leaves the name free for the next stack.
  new Alias(childName, { name: alias, targetKeyId: key.keyId }, { parent });
  return key.arn;
}

/** The policy of every key that is made; fails when a name in it becomes known and is no principal. */
export function keyPolicyText(source: AwsKmsSourceArgs, parent: pulumi.Resource): pulumi.Output<string> {
  const { getCallerIdentity, getPartition } = loadAws();
  return pulumi
    .all([
      pulumi.output(getCallerIdentity({}, { parent })).accountId,
      pulumi.output(getPartition({}, { parent })).partition,
      pulumi.output(source.keyUserArns ?? []),
      pulumi.output(source.keyAdministratorArns ?? []),
      pulumi.output(source.encryptionContext ?? {}),
    ])
    .apply(([account, partition, users, administrators, context]) => {
      const violations = [
        ...principalViolations("keyUserArns", users, () => false),
        ...principalViolations("keyAdministratorArns", administrators, () => false),
      ];
      if (violations.length > 0) throw inputError("AwsKmsKey", violations);
      return JSON.stringify(keyPolicy({ account, partition, users, administrators, context }));
    });
}

function provenArn(arn: pulumi.Input<string>, version: number): pulumi.Output<string> {
  return pulumi.output(arn).apply((known) => {
    const reason = keyArnProblem(known);
    if (reason === undefined) return known;
    throw new pulumi.InputPropertyError({ propertyPath: `keyArns.${version}`, reason });
  });
}
