/** The resource that moves a cluster from the write key it has to the write key it should have. The provider does the work. */
import * as pulumi from "@pulumi/pulumi";
import type { RewriteMethod } from "../core/rewrite-method";
import type { RotationStage } from "../core/rotation-stage";
import { typeTokens } from "../core/type-tokens";
import type { EncryptionEvidence } from "./encryption-evidence";
import type { EtcdSnapshotArgs } from "./etcd-snapshot";
import { isKnownLater } from "./known-later";
import type { LocalPlatformArgs } from "./local-platform";
import { type ReportSigningArgs, withSigningSecret } from "./report-signing";
import { rolloutOutputs } from "./rollout-outputs";
import type { RotationLimitsArgs } from "./rotation-limits";
import type { RotationPolicyArgs } from "./rotation-policy";
import { type SelfManagedPlatformArgs, withSecrets } from "./self-managed-platform";

/** A key in a file, as a LocalKey makes it. */
export interface LocalKeyReferenceArgs {
  /** Absolute path of the key file. */
  readonly file: pulumi.Input<string>;
  /** The key_id of the key in the file. */
  readonly keyId: pulumi.Input<string>;
}

/** One version of a key in Azure Key Vault or a managed HSM. Every key is bound to one version for its life. */
export interface AzureKeyReferenceArgs {
  /** Name of the vault, or of the managed HSM, without its domain. */
  readonly vaultName: pulumi.Input<string>;
  /** Name of the key in the vault. */
  readonly keyName: pulumi.Input<string>;
  /** The version's id, 32 hex digits. */
  readonly keyVersion: pulumi.Input<string>;
  /**
   * Whether `vaultName` is a managed HSM.
   * @default false
   */
  readonly managedHsm?: pulumi.Input<boolean>;
}

/** A key in AWS KMS. */
export interface AwsKeyReferenceArgs {
  /** ARN of the key. An alias can't stand here: moving it would change the key without a trace. */
  readonly keyArn: pulumi.Input<string>;
  /**
   * Region whose endpoint is asked.
   * @default the region in the ARN
   */
  readonly region?: pulumi.Input<string>;
  /** Bound to every ciphertext. The same key with another context is another key to the engine. */
  readonly encryptionContext?: pulumi.Input<Record<string, pulumi.Input<string>>>;
}

/** One version of the write key, and the key behind it: exactly one of the blocks. */
export interface DeclaredKeyArgs {
  /**
   * The version: a whole number, 1 or greater, once in the list.
   * @integer
   */
  readonly version: pulumi.Input<number>;
  /** When the key was made (ISO 8601); `policy.maximumKeyAgeDays` counts from it. */
  readonly createdAt?: pulumi.Input<string>;
  /** A key in a file on the control-plane hosts: development only. */
  readonly local?: pulumi.Input<LocalKeyReferenceArgs>;
  /** A key version in Azure Key Vault or a managed HSM. */
  readonly azure?: pulumi.Input<AzureKeyReferenceArgs>;
  /** A key in AWS KMS. */
  readonly aws?: pulumi.Input<AwsKeyReferenceArgs>;
}

/** The inputs of an EncryptionRollout. */
export interface EncryptionRolloutArgs {
  /**
   * The version that encrypts: one of `keys`. Changing it rotates, in either direction.
   * @integer
   */
  readonly keyVersion: pulumi.Input<number>;
  /** Every version that stored data may need. Leaving out one that data still needs is refused at preview. */
  readonly keys: pulumi.Input<pulumi.Input<DeclaredKeyArgs>[]>;
  /** The cluster: a control plane on this machine. Another cluster later leaves the earlier one as it is. */
  readonly local?: pulumi.Input<LocalPlatformArgs>;
  /** The cluster: control-plane hosts that are reached over SSH. */
  readonly selfManaged?: pulumi.Input<SelfManagedPlatformArgs>;
  /**
   * Resources to encrypt, as EncryptionConfiguration names them. Adding one encrypts it.
   * @default ["secrets"]
   */
  readonly resources?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * Whether resources are encrypted. False writes every object back in plaintext.
   * @default true
   */
  readonly enabled?: pulumi.Input<boolean>;
  /**
   * Keep `identity` as the last reader, so that objects that reach etcd in plaintext by other means stay readable.
   * @default false
   */
  readonly allowPlaintextReads?: pulumi.Input<boolean>;
  /**
   * Who writes the stored objects again: the engine (`Patch`), or the cluster's own controller (`InTreeMigration`), which needs
   * storagemigration.k8s.io served. What is stored is verified either way.
   * @default "Patch"
   */
  readonly rewriteBy?: pulumi.Input<RewriteMethod>;
  /**
   * The last stage to carry out. Raise it to go on from there.
   * @default "Prune"
   */
  readonly advanceTo?: pulumi.Input<RotationStage>;
  /** How long to wait for the cluster. The defaults suit a cluster at rest. */
  readonly limits?: pulumi.Input<RotationLimitsArgs>;
  /** Keep a snapshot of etcd before anything leaves a configuration. Needs a way to etcd. */
  readonly etcdSnapshot?: pulumi.Input<EtcdSnapshotArgs>;
  /**
   * After a rotation, have etcd forget what was overwritten, ciphertext of earlier keys among it, and defragment its members one
   * after the other. Watchers that are far behind have to list again. Needs a way to etcd.
   * @default false
   */
  readonly compactAfterPrune?: pulumi.Input<boolean>;
  /**
   * Work although the Lease that keeps a second engine out cannot be had. See to it that no other engine is at work then.
   * @default false
   */
  readonly withoutLease?: pulumi.Input<boolean>;
  /**
   * Versions whose keys are made unusable at the end of a rollout. They stay declared, nothing of them is deleted, and taking a
   * version out of the list makes its key usable again. Refused while a stored object, a server's configuration or a kept
   * snapshot needs the key.
   */
  readonly retireKeyVersions?: pulumi.Input<pulumi.Input<number>[]>;
  /** What keys have to fulfil; preview refuses what does not. */
  readonly policy?: pulumi.Input<RotationPolicyArgs>;
  /**
   * Signs the report of each run, which is the output `report`: an envelope in DSSE form that `kms-etcd verify-report` checks.
   * @default not signed, and the report says so
   */
  readonly reportSigning?: pulumi.Input<ReportSigningArgs>;
}

/**
 * Carries out whatever lies between the cluster as it is found and its inputs: enabling, a rotation, a rollback, disabling.
 * It keeps no step: after a kill or a failure the next `pulumi up` goes on from where the cluster is. Deleting it
 * abandons the cluster's settings as they are: nothing is decrypted, nothing is deleted.
 */
export class EncryptionRollout extends pulumi.CustomResource {
  /**
   * The version that every API server encrypts with; 0 for plaintext; absent while servers differ or use another key.
   * @integer
   */
  declare readonly activeKeyVersion: pulumi.Output<number | undefined>;
  /** Whether the cluster is where the inputs want it: false after a failure, and when a preview finds drift. */
  declare readonly atGoal: pulumi.Output<boolean>;
  /** The stages of the last rollout that had something to do, one line each. */
  declare readonly plan: pulumi.Output<string[]>;
  /** What is stored, under which keys, and what each server has loaded. */
  declare readonly evidence: pulumi.Output<EncryptionEvidence>;
  /**
   * What the last run has done and proven, for an auditor: a DSSE envelope, as text, with counts and hashes and no object's name.
   * Signed with `reportSigning`; without a key it says `"unsigned": true`.
   */
  declare readonly report: pulumi.Output<string | undefined>;

  constructor(name: string, args: EncryptionRolloutArgs, opts?: pulumi.CustomResourceOptions) {
    super(typeTokens.encryptionRollout, name, { ...rolloutOutputs, ...args, ...secretBlocks(args) }, opts);
  }
}

/** A private key must not stand in the state because somebody gave it as a plain text. */
function secretBlocks({
  selfManaged,
  reportSigning,
}: EncryptionRolloutArgs): Pick<EncryptionRolloutArgs, "selfManaged" | "reportSigning"> {
  return {
    ...(selfManaged === undefined || isKnownLater(selfManaged) ? {} : { selfManaged: withSecrets(selfManaged) }),
    ...(reportSigning === undefined ? {} : { reportSigning: withSigningSecret(reportSigning) }),
  };
}
