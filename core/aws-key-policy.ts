/**
 * Who may do what with a KMS key, as policies say it. Two kinds: the key's own policy, which decides alone who can use the key at all,
 * and statements for the role that uses it.
 */

/** A statement of a policy, in AWS' own words. */
export interface AwsStatement {
  readonly Sid: string;
  readonly Effect: "Allow" | "Deny";
  readonly Principal?: { readonly AWS: readonly string[] };
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

export interface AwsPolicy {
  readonly Version: "2012-10-17";
  readonly Statement: readonly AwsStatement[];
}

/** What the plugin calls, and DescribeKey, by which an operator on the host sees why a call is refused. */
const useActions = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt"];

/**
 * Everything but using the key: seeing, changing, disabling, deleting. A policy that names no principal for PutKeyPolicy would leave
 * nobody to change it, and AWS refuses it. So an administrator can let anybody in by another policy, or by the policy of a replica;
 * nothing else here leads to use. CreateGrant is not here: whoever has it may grant what he may not do himself, Decrypt to himself
 * for one, and kOps gives it to control-plane roles for every key of the account. Grants that others made can be seen and revoked.
 */
const administerActions = [
  "kms:CancelKeyDeletion",
  "kms:CreateAlias",
  "kms:DeleteAlias",
  "kms:DescribeKey",
  "kms:DisableKey",
  "kms:DisableKeyRotation",
  "kms:EnableKey",
  "kms:EnableKeyRotation",
  "kms:GetKeyPolicy",
  "kms:GetKeyRotationStatus",
  "kms:ListAliases",
  "kms:ListGrants",
  "kms:ListKeyPolicies",
  "kms:ListKeyRotations",
  "kms:ListResourceTags",
  "kms:PutKeyPolicy",
  "kms:ReplicateKey",
  "kms:RevokeGrant",
  "kms:RotateKeyOnDemand",
  "kms:ScheduleKeyDeletion",
  "kms:TagResource",
  "kms:UntagResource",
  "kms:UpdateAlias",
  "kms:UpdateKeyDescription",
  "kms:UpdatePrimaryRegion",
];

/** The context that must be in every call; none where it is empty. */
type Context = Readonly<Record<string, string>> | undefined;

/** For the policy of a role: these keys and no others, each with its context, if one is bound to its ciphertexts. */
export function useStatements(keyArns: readonly string[], context: Context): readonly AwsStatement[] {
  if (keyArns.length === 0) return [];
  const arns = [...keyArns].sort();
  if (!hasEntries(context)) {
    return [{ Sid: "KmsEtcdUseKeys", Effect: "Allow", Action: useActions, Resource: arns }];
  }
  // DescribeKey has no context: the condition would deny it.
  return [
    { Sid: "KmsEtcdUseKeys", Effect: "Allow", Action: cryptographic, Resource: arns, Condition: conditionOf(context) },
    { Sid: "KmsEtcdDescribeKeys", Effect: "Allow", Action: ["kms:DescribeKey"], Resource: arns },
  ];
}

export interface KeyPolicyInput {
  /** `aws`, `aws-cn`, `aws-us-gov`. */
  readonly partition: string;
  readonly account: string;
  /** ARNs of roles that encrypt and decrypt; empty: whom the account's own IAM policies let in. */
  readonly users: readonly string[];
  /** ARNs of those who administer the key; empty: whom the account's own IAM policies let in. */
  readonly administrators: readonly string[];
  readonly context: Context;
}

/**
 * The key's own policy. Without users it is AWS' default: IAM policies decide. With users, leave to use every key of an account, as
 * kOps' control-plane roles have it, does not reach this one. IAM policies still say who administers it, unless administrators are
 * named: whoever may write the key's policy can let himself in.
 */
export function keyPolicy({ partition, account, users, administrators, context }: KeyPolicyInput): AwsPolicy {
  const root = `arn:${partition}:iam::${account}:root`;
  const allow = (Sid: string, AWS: readonly string[], Action: readonly string[]): AwsStatement => ({
    Sid,
    Effect: "Allow",
    Principal: { AWS: [...AWS].sort() },
    Action,
    Resource: ["*"],
  });
  if (users.length === 0 && administrators.length === 0) {
    return { Version: "2012-10-17", Statement: [allow("KmsEtcdAccount", [root], ["kms:*"])] };
  }
  const administer = allow(
    "KmsEtcdAdministerKey",
    administrators.length === 0 ? [root] : administrators,
    administerActions,
  );
  if (users.length === 0) {
    const use = allow("KmsEtcdUseKey", [root], useActions);
    return { Version: "2012-10-17", Statement: [administer, use] };
  }
  const use = hasEntries(context)
    ? [
        { ...allow("KmsEtcdUseKey", users, cryptographic), Condition: conditionOf(context) },
        allow("KmsEtcdDescribeKey", users, ["kms:DescribeKey"]),
      ]
    : [allow("KmsEtcdUseKey", users, useActions)];
  return { Version: "2012-10-17", Statement: [administer, ...use] };
}

const cryptographic = useActions.filter((action) => action !== "kms:DescribeKey");

function conditionOf(context: Readonly<Record<string, string>>): NonNullable<AwsStatement["Condition"]> {
  const pairs = Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1));
  return { StringEquals: Object.fromEntries(pairs.map(([name, value]) => [`kms:EncryptionContext:${name}`, value])) };
}

function hasEntries(context: Context): context is Readonly<Record<string, string>> {
  return context !== undefined && Object.keys(context).length > 0;
}
