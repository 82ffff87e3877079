/** The KMS settings of a cluster of AKS. The provider does the work: no resource of azure-native can change one field of a cluster. */
import * as pulumi from "@pulumi/pulumi";
import type { AksEncryptionMode } from "../../core/aks-encryption-mode";
import { typeTokens } from "../../core/type-tokens";
import type { EncryptionEvidence } from "../encryption-evidence";
import { type ReportSigningArgs, withSigningSecret } from "../report-signing";
import { rolloutOutputs } from "../rollout-outputs";
import { type AksKubernetesArgs, type AksLimitsArgs, withKubeconfigSecret } from "./aks-platform";
import type { VaultAuthorization, VaultNetworkAccess } from "./vault-choices";

/** The inputs of an AksKmsSettings. */
export interface AksKmsSettingsArgs {
  /** Resource id of the cluster. Another one later leaves the earlier cluster's settings as they are. */
  readonly clusterId: pulumi.Input<string>;
  /**
   * How AKS encrypts. KMS data encryption can never be left again.
   * @default "KmsPlugin"
   */
  readonly mode?: pulumi.Input<AksEncryptionMode>;
  /**
   * Whether the KMS plugin encrypts. False writes every Secret again in plaintext; the keys stay, and the cluster still needs them.
   * @default true
   */
  readonly enabled?: pulumi.Input<boolean>;
  /**
   * Identifier of the key: with its version for the KMS plugin; KMS data encryption follows the newest version, whichever is named. Another
   * one later rotates. Platform-managed keys take none.
   */
  readonly keyId?: pulumi.Input<string>;
  /**
   * What previews, rows and `activeKeyVersion` call the key.
   * @integer
   */
  readonly keyVersion?: pulumi.Input<number>;
  /**
   * How AKS reaches the vault. For the vault that the cluster uses, a change turns encryption off on the way, and on again.
   * @default "Public"
   */
  readonly vaultNetworkAccess?: pulumi.Input<VaultNetworkAccess>;
  /** Resource id of the vault. Needed for a private one; for others it lets previews look at the vault, the key and the grants. */
  readonly vaultId?: pulumi.Input<string>;
  /**
   * Whether the vault's public network access is brought to `vaultNetworkAccess` here, between off and on. Then nobody else may set it.
   * @default false
   */
  readonly ownsVaultNetwork?: pulumi.Input<boolean>;
  /**
   * Resource id of the user-assigned identity that the cluster is to run as. With it a preview refuses to turn encryption on in the update that
   * gives the cluster another identity: for hours AKS would still use tokens of the earlier one.
   */
  readonly identityId?: pulumi.Input<string>;
  /** How the vault is to grant access, where this program decides it: a preview refuses to change that under a cluster that uses the vault. */
  readonly authorization?: pulumi.Input<VaultAuthorization>;
  /** How the API servers are talked to. */
  readonly kubernetes?: pulumi.Input<AksKubernetesArgs>;
  /** How long is waited for AKS. */
  readonly limits?: pulumi.Input<AksLimitsArgs>;
  /**
   * Signs the report of each run, which is the output `report`: an envelope in DSSE form that `kms-etcd verify-report` checks.
   * @default not signed, and the report says so
   */
  readonly reportSigning?: pulumi.Input<ReportSigningArgs>;
}

/** The KMS settings that a cluster has. */
export interface AksKmsState {
  /** `KmsPlugin`, `CustomerManagedKey`, `PlatformManagedKey`, or `Off`. */
  readonly mode: string;
  /** Identifier of the key. */
  readonly keyId?: string;
  /** `Public` or `Private`. */
  readonly vaultNetworkAccess?: string;
  /** Resource id of the vault, where AKS has it. */
  readonly vaultId?: string;
}

/**
 * Brings a cluster of AKS to its inputs, whatever lies between: enabling, a rotation, the vault's other network access, turning off. It rewrites
 * Secrets after each step and before the next one, because AKS keeps two keys and no more. It keeps no step: after a kill or a failure the next
 * `pulumi up` goes on from where the cluster is. Deleting it leaves the cluster's settings as they are.
 */
export class AksKmsSettings extends pulumi.CustomResource {
  /** Resource id of the cluster. */
  declare readonly clusterId: pulumi.Output<string>;
  /** What the cluster has; absent while it can't be seen. */
  declare readonly settings: pulumi.Output<AksKmsState | undefined>;
  /**
   * The version that the cluster encrypts with; 0 for plaintext; absent for another key, and where the platform rotates.
   * @integer
   */
  declare readonly activeKeyVersion: pulumi.Output<number | undefined>;
  /**
   * The second key that AKS holds, besides the one in `settings`, as far as updates of this resource have left it: keep it enabled and
   * unexpired until the next rotation is proven.
   */
  declare readonly previousKeyId: pulumi.Output<string | undefined>;
  /** The settings with which AKS was well before, where it is not well with those in `settings`: a failed change goes back to them. */
  declare readonly lastGoodSettings: pulumi.Output<AksKmsState | undefined>;
  /**
   * The cluster's ETag of when `evidence` was had. Once it is another one somebody has changed the cluster, and the next update writes
   * every Secret again.
   */
  declare readonly provenETag: pulumi.Output<string | undefined>;
  /** Whether the cluster is where the inputs want it: false after a failure, and when a preview finds drift. */
  declare readonly atGoal: pulumi.Output<boolean>;
  /** The steps of the last change that had any, one line each. */
  declare readonly plan: pulumi.Output<string[]>;
  /** What is stored, and what of it can't be seen on AKS. */
  declare readonly evidence: pulumi.Output<EncryptionEvidence>;
  /**
   * What the last run has done and proven, for an auditor: a DSSE envelope, as text, with counts and key ids and no object's name.
   * Signed with `reportSigning`; without a key it says `"unsigned": true`. Absent after a run whose end nobody could see.
   */
  declare readonly report: pulumi.Output<string | undefined>;

  constructor(name: string, args: AksKmsSettingsArgs, opts?: pulumi.CustomResourceOptions) {
    const outputs = {
      ...rolloutOutputs,
      settings: undefined,
      previousKeyId: undefined,
      lastGoodSettings: undefined,
      provenETag: undefined,
    };
    const { reportSigning } = args;
    const signing = reportSigning === undefined ? {} : { reportSigning: withSigningSecret(reportSigning) };
    super(typeTokens.aksKmsSettings, name, { ...outputs, ...args, ...withKubeconfigSecret(args), ...signing }, opts);
  }
}
