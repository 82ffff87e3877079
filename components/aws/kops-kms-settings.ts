/** The resource that moves a kOps cluster from the write key it has to the write key it should have. The provider does the work. */
import * as pulumi from "@pulumi/pulumi";
import type { RewriteMethod } from "../../core/rewrite-method";
import type { RotationStage } from "../../core/rotation-stage";
import { typeTokens } from "../../core/type-tokens";
import type { EncryptionEvidence } from "../encryption-evidence";
import type { DeclaredKeyArgs } from "../encryption-rollout";
import { isKnownLater } from "../known-later";
import { type ReportSigningArgs, withSigningSecret } from "../report-signing";
import { rolloutOutputs } from "../rollout-outputs";
import type { RotationPolicyArgs } from "../rotation-policy";
import { type KopsPlatformArgs, withKopsSecrets } from "./kops-platform";

/** The inputs of a KopsKmsSettings. */
export interface KopsKmsSettingsArgs {
  /**
   * The version that encrypts: one of `keys`. Changing it rotates, in either direction.
   * @integer
   */
  readonly keyVersion: pulumi.Input<number>;
  /** Every version that stored data may need, each a key in AWS KMS. Leaving out one that data still needs is refused at preview. */
  readonly keys: pulumi.Input<pulumi.Input<DeclaredKeyArgs>[]>;
  /** The cluster. Another one later leaves the earlier one as it is. */
  readonly kops: pulumi.Input<KopsPlatformArgs>;
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
  /**
   * Work although the Lease that keeps a second engine out cannot be had. See to it that no other engine is at work then.
   * @default false
   */
  readonly withoutLease?: pulumi.Input<boolean>;
  /**
   * Versions whose keys are made unusable at the end of a rollout. They stay declared, nothing of them is deleted, and taking a
   * version out of the list makes its key usable again. Refused while a stored object or a machine's configuration needs the key, and until
   * `kops.etcdBackupsWithoutKeyVersions` has the version.
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
 * Carries out whatever lies between a kOps cluster as it is found and these inputs: enabling, a rotation, a rollback, disabling. It
 * changes the cluster's spec and its encryptionconfig secret, runs `kops update cluster` and `kops rolling-update cluster` for the groups with
 * API servers, three rolls a rotation, and writes the stored objects again. It keeps no step: after a kill or a failure the next
 * `pulumi up` goes on from where the cluster is. Deleting it abandons the cluster's settings as they are: nothing is decrypted, nothing deleted.
 */
export class KopsKmsSettings extends pulumi.CustomResource {
  /**
   * The version that every API server encrypts with; 0 for plaintext; absent while machines differ or use another key.
   * @integer
   */
  declare readonly activeKeyVersion: pulumi.Output<number | undefined>;
  /** Whether the cluster is where the inputs want it: false after a failure, and when a preview finds drift. */
  declare readonly atGoal: pulumi.Output<boolean>;
  /** The stages of the last rollout that had something to do, one line each. */
  declare readonly plan: pulumi.Output<string[]>;
  /** What is stored, under which keys, and what each machine's API server has loaded. */
  declare readonly evidence: pulumi.Output<EncryptionEvidence>;
  /**
   * What the last run has done and proven, for an auditor: a DSSE envelope, as text, with counts and hashes and no object's name.
   * Signed with `reportSigning`; without a key it says `"unsigned": true`.
   */
  declare readonly report: pulumi.Output<string | undefined>;

  constructor(name: string, args: KopsKmsSettingsArgs, opts?: pulumi.CustomResourceOptions) {
    const { kops, reportSigning } = args;
    const marked = isKnownLater(kops) || (kops as unknown) === undefined ? {} : { kops: withKopsSecrets(kops) };
    const signing = reportSigning === undefined ? {} : { reportSigning: withSigningSecret(reportSigning) };
    super(typeTokens.kopsKmsSettings, name, { ...rolloutOutputs, ...args, ...marked, ...signing }, opts);
  }
}
