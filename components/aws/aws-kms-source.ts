/** The block that keeps keys in AWS KMS: one KMS key a version, made here or existing. */
import type * as pulumi from "@pulumi/pulumi";
import type { AwsKeyAlarmSettingsArgs } from "./aws-key-alarm";
import type { AwsKmsEndpointSettingsArgs } from "./aws-kms-endpoint";

/**
 * Keys in AWS KMS. Every version is a KMS key of its own, made in the account and region of the AWS provider, or one of `keyArns`. Plugins
 * get ARNs only; the aliases are for people.
 */
export interface AwsKmsSourceArgs {
  /**
   * Versions whose key exists already, by version: `{ "1": "arn:aws:kms:REGION:ACCOUNT:key/ID" }`. An alias is refused. Policy, alias and
   * state of such a key stay as they are. Another ARN for a version later is refused while stored data needs the key.
   */
  readonly keyArns?: Record<string, pulumi.Input<string>>;
  /**
   * What the aliases of the keys that are made begin with: `alias/NAME`; a version's alias is `alias/NAME-v<version>`. It must be free in the
   * account and region. Can be changed in place.
   * @default alias/ with the names of project, stack and component
   */
  readonly aliasName?: pulumi.Input<string>;
  /**
   * ARNs of the roles that encrypt and decrypt: those of the control plane's instances. Leave to use every key of the account, as kOps'
   * control-plane roles have it, then does not reach the keys, because their own policies name these roles alone. Whoever may write the
   * keys' policies can let himself in: see `keyAdministratorArns`.
   * @default IAM policies decide
   */
  readonly keyUserArns?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * ARNs of those who may change, disable and delete the keys, and write their policies. AWS refuses a list that would leave the one who
   * runs Pulumi outside.
   * @default IAM policies decide
   */
  readonly keyAdministratorArns?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * Names of IAM roles that get leave to use exactly these keys, by names of your own. On kOps: `{ controlPlane: "masters.CLUSTER" }`.
   */
  readonly instanceRoles?: Record<string, pulumi.Input<string>>;
  /**
   * Bound to every ciphertext, and demanded by the policies. A version's data can be read only with the context that it was written
   * with: another context later makes it another key, and is refused while stored data needs the one before.
   */
  readonly encryptionContext?: Record<string, pulumi.Input<string>>;
  /**
   * For how many days a key that somebody deletes can be had back: 7 to 30. Nothing here deletes a key.
   * @default 30
   * @integer
   */
  readonly deletionWindowInDays?: number;
  /**
   * Whether new keys can be replicated to other regions, for a restore there. AWS can't change it later: a version that was made keeps
   * what it was made with only as long as this stays.
   * @default false
   */
  readonly multiRegion?: boolean;
  /**
   * Whether AWS replaces the key material behind each key from time to time. That is no rotation of `keyVersion`: the key's ARN stays,
   * nothing is written again, and the material of before stays in use for what it has encrypted. Can be changed in place.
   * @default false
   */
  readonly rotateKeyMaterial?: boolean;
  /**
   * Days between two replacements of the key material: 90 to 2560.
   * @default 365
   * @integer
   */
  readonly rotationPeriodInDays?: number;
  /** A VPC endpoint through which the control plane reaches KMS without leaving its network. */
  readonly endpoint?: AwsKmsEndpointSettingsArgs;
  /** Alarms on denied use of the keys, and on calls that KMS throttles in the account. */
  readonly alarm?: AwsKeyAlarmSettingsArgs;
  /** Tags of everything that is made and can have some. */
  readonly tags?: pulumi.Input<Record<string, pulumi.Input<string>>>;
}
