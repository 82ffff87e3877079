/** The component that most programs need: one cluster, one key source, and the version of the key that encrypts. */
import * as pulumi from "@pulumi/pulumi";
import {
  declaredVersions,
  type InputViolation,
  keyBlocks,
  keyVersionRange,
  keyVersionViolations,
  oneBlockViolations,
  platformBlocks,
  unknownInputViolations,
} from "../core/input-rules";
import type { RewriteMethod } from "../core/rewrite-method";
import type { RotationStage } from "../core/rotation-stage";
import { typeTokens } from "../core/type-tokens";
import { awsKmsViolations } from "./aws/aws-kms-check";
import type { AwsKmsSourceArgs } from "./aws/aws-kms-source";
import { type KopsPlatformArgs, withKopsSecrets } from "./aws/kops-platform";
import { aksEncryption, aksEncryptionViolations } from "./azure/aks-encryption";
import { type AksPlatformArgs, withKubeconfigSecret } from "./azure/aks-platform";
import { azureKeyVaultCheck } from "./azure/azure-key-vault-check";
import type { AzureKeyVaultSourceArgs } from "./azure/azure-key-vault-source";
import { declaredKeys } from "./declared-keys";
import type { EncryptionEvidence } from "./encryption-evidence";
import type { EncryptionRollout } from "./encryption-rollout";
import type { EtcdSnapshotArgs } from "./etcd-snapshot";
import { inputError } from "./input-error";
import type { LocalKeySourceArgs } from "./local-key-source";
import type { LocalPlatformArgs } from "./local-platform";
import { type ReportSigningArgs, withSigningSecret } from "./report-signing";
import { rolloutOf } from "./rollout-of";
import type { RotationLimitsArgs } from "./rotation-limits";
import type { RotationPolicyArgs } from "./rotation-policy";
import { type SelfManagedPlatformArgs, withSecrets } from "./self-managed-platform";

/**
 * The inputs of KmsEtcdEncryption: one block that says where the key lives (`azureKeyVault`, `awsKms`, `localKey`), one that says whose etcd it is
 * (`aks`, `kops`, `selfManaged`, `local`), and the version of the key that encrypts.
 */
export interface KmsEtcdEncryptionArgs {
  /**
   * The version of the key that encrypts: a whole number, 1 or greater. Raising it by one makes a new key and rotates to it;
   * lowering it rolls back, as long as `newestKeyVersion` still names the newer key. Needed, save where AKS rotates the key itself.
   * @integer
   */
  readonly keyVersion?: number;
  /**
   * The oldest version that is declared. Raise it to let go of keys that nothing needs any more; preview refuses while stored
   * objects need them. The keys themselves are never deleted.
   * @default 1
   * @integer
   */
  readonly oldestKeyVersion?: number;
  /**
   * The newest version that is declared. Name the newer version here to roll back to an older one.
   * @default the value of keyVersion
   * @integer
   */
  readonly newestKeyVersion?: number;
  /**
   * Whether resources are encrypted. False writes every object back in plaintext; the keys stay.
   * @default true
   */
  readonly enabled?: boolean;
  /**
   * Resources to encrypt, as EncryptionConfiguration names them. Adding one encrypts it.
   * @default ["secrets"]
   */
  readonly resources?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * Keep `identity` as the last reader, so that objects that reach etcd in plaintext by other means stay readable.
   * Can be changed in place.
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
   * The last stage to carry out: stop at `Write`, look, then go on by raising it.
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
  /**
   * Keep Pulumi from deleting vaults, identities and grants by mistake. Keys that are not protected either are scheduled for deletion in
   * AWS when their resource goes; in Azure they stay in any case.
   * @default true
   */
  readonly protectKeys?: boolean;
  /** Keys in Azure Key Vault, a key for each version. */
  readonly azureKeyVault?: AzureKeyVaultSourceArgs;
  /** Keys in AWS KMS, a key for each version. */
  readonly awsKms?: AwsKmsSourceArgs;
  /** Keys in files on this machine: development only. */
  readonly localKey?: LocalKeySourceArgs;
  /** A cluster of AKS: its API servers and its etcd are in Azure's hands. Its keys are in Azure Key Vault: `azureKeyVault`. */
  readonly aks?: AksPlatformArgs;
  /** A cluster made by kOps on AWS. Its keys are in AWS KMS: `awsKms`. */
  readonly kops?: KopsPlatformArgs;
  /** A cluster whose control-plane hosts are reached over SSH. Keys in files on this machine are of no use there. */
  readonly selfManaged?: SelfManagedPlatformArgs;
  /** A control plane on this machine. */
  readonly local?: LocalPlatformArgs;
}

const inputNames = [
  ...["keyVersion", "oldestKeyVersion", "newestKeyVersion", "enabled", "resources", "allowPlaintextReads", "rewriteBy"],
  ...["advanceTo", "limits", ...keyBlocks, ...platformBlocks],
  ...["etcdSnapshot", "compactAfterPrune", "withoutLease", "retireKeyVersions", "policy", "reportSigning"],
  "protectKeys",
];

/**
 * Encrypts a cluster's Secrets in etcd with a key of a key management service, and rotates the key when `keyVersion`
 * changes. Removing it abandons the cluster's settings as they are: nothing is decrypted, nothing is deleted.
 */
export class KmsEtcdEncryption extends pulumi.ComponentResource {
  /**
   * The version that every API server encrypts with; 0 for plaintext; absent while servers differ or use another key.
   * @integer
   */
  readonly activeKeyVersion: pulumi.Output<number | undefined>;
  /** Whether the cluster is where the inputs want it. */
  readonly atGoal: pulumi.Output<boolean>;
  /** What is stored, under which keys, what each server has loaded, and since when that is so. */
  readonly evidence: pulumi.Output<EncryptionEvidence>;
  /**
   * What the last run has done and proven, for an auditor: a DSSE envelope, as text, with counts and hashes and no object's name.
   * Signed with `reportSigning`; without a key it says `"unsigned": true`.
   */
  readonly report: pulumi.Output<string | undefined>;

  constructor(name: string, args: KmsEtcdEncryptionArgs, opts?: pulumi.ComponentResourceOptions) {
    refuseViolations(name, args);
    super(typeTokens.kmsEtcdEncryption, name, withSecretBlocks(args), opts);
    const rollout = encryptionOf(name, args, this);
    this.activeKeyVersion = rollout.activeKeyVersion;
    this.atGoal = rollout.atGoal;
    this.evidence = rollout.evidence;
    this.report = rollout.report;
    this.registerOutputs({
      activeKeyVersion: this.activeKeyVersion,
      atGoal: this.atGoal,
      evidence: this.evidence,
      report: this.report,
    });
  }
}

/** Keys and whatever moves the cluster to them, for the platform that is given. */
function encryptionOf(
  name: string,
  args: KmsEtcdEncryptionArgs,
  parent: pulumi.Resource,
): Pick<EncryptionRollout, "activeKeyVersion" | "atGoal" | "evidence" | "report"> {
  if (args.aks !== undefined) return aksEncryption(name, { ...args, aks: args.aks }, parent);
  const { keys, dependsOn } = declaredKeys(args, {
    name,
    parent,
    range: keyVersionRange({ ...args, keyVersion: args.keyVersion }),
    protect: args.protectKeys ?? true,
    trackAge: args.policy !== undefined,
  });
  return rolloutOf(name, args, keys, { parent, dependsOn });
}

/** What the state keeps of the component's inputs must not hold a private key in clear. */
function withSecretBlocks(args: KmsEtcdEncryptionArgs): KmsEtcdEncryptionArgs {
  const { aks, kops, selfManaged, reportSigning } = args;
  return {
    ...args,
    ...(reportSigning === undefined ? {} : { reportSigning: withSigningSecret(reportSigning) }),
    ...(aks === undefined ? {} : { aks: { ...aks, ...withKubeconfigSecret(aks) } }),
    ...(kops === undefined ? {} : { kops: withKopsSecrets(kops) }),
    ...(selfManaged === undefined ? {} : { selfManaged: withSecrets(selfManaged) }),
  };
}

/** kOps' machines have an identity in AWS and leave to use keys there. */
function kopsKeyViolations({
  kops,
  awsKms,
  azureKeyVault,
  localKey,
}: Readonly<Record<string, unknown>>): readonly InputViolation[] {
  const other = azureKeyVault === undefined ? (localKey === undefined ? undefined : "localKey") : "azureKeyVault";
  // Who names keys in AWS too is told to keep one of the blocks.
  if (kops === undefined || awsKms !== undefined || other === undefined) return [];
  return [{ path: other, reason: "names keys that the machines of kops have no leave to use; use awsKms" }];
}

/** The plugins on other machines cannot read this one's files. */
function localKeyViolations({ localKey, selfManaged }: Readonly<Record<string, unknown>>): readonly InputViolation[] {
  if (localKey === undefined || selfManaged === undefined) return [];
  return [
    {
      path: "localKey",
      reason:
        "keeps keys in files on this machine, which the hosts of selfManaged do not have; use azureKeyVault or awsKms",
    },
  ];
}

/** Throws one error that lists everything that is wrong with the inputs. */
function refuseViolations(name: string, args: Partial<KmsEtcdEncryptionArgs> | undefined): void {
  // From JavaScript anything may come, nothing among it.
  const inputs = (args ?? {}) as Readonly<Record<string, unknown>>;
  if (inputs["aks"] !== undefined && inputs["aks"] !== null) {
    const found = [
      ...unknownInputViolations(inputs, inputNames),
      ...oneBlockViolations(inputs, platformBlocks, "cluster"),
      ...aksEncryptionViolations(name, inputs),
    ];
    if (found.length > 0) throw inputError("KmsEtcdEncryption", found);
    return;
  }
  const violations = [
    ...unknownInputViolations(inputs, inputNames),
    ...keyVersionViolations({
      keyVersion: inputs["keyVersion"],
      oldestKeyVersion: inputs["oldestKeyVersion"],
      newestKeyVersion: inputs["newestKeyVersion"],
    }),
    ...oneBlockViolations(inputs, keyBlocks, "key"),
    ...oneBlockViolations(inputs, platformBlocks, "cluster"),
    ...localKeyViolations(inputs),
    ...kopsKeyViolations(inputs),
  ];
  const { azureKeyVault, awsKms } = inputs;
  if (violations.length === 0 && typeof awsKms === "object" && awsKms !== null) {
    const versions = declaredVersions(keyVersionRange({ ...args, keyVersion: args?.keyVersion }));
    violations.push(...awsKmsViolations("awsKms", awsKms as Readonly<Record<string, unknown>>, versions));
  }
  if (violations.length === 0 && typeof azureKeyVault === "object" && azureKeyVault !== null) {
    const block = azureKeyVault as Readonly<Record<string, unknown>>;
    const versions = declaredVersions(keyVersionRange({ ...args, keyVersion: args?.keyVersion }));
    violations.push(...azureKeyVaultCheck("azureKeyVault", block, name, versions).violations);
  }
  if (violations.length > 0) throw inputError("KmsEtcdEncryption", violations);
}
