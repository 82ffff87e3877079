/** The public door of the package: everything a Pulumi program imports, and nothing else. */

export { AksCredential } from "../core/aks-credential";
export { AksEncryptionMode } from "../core/aks-encryption-mode";
export { AksReach } from "../core/aks-reach";
export { KubeadmApiVersion } from "../core/bootstrap";
export { KeypairStage } from "../core/keypair-stage";
export { KopsMachineAddress } from "../core/kops-cluster";
export { PluginFlavour } from "../core/plugin-flavour";
export { ReplaceableSecret } from "../core/replaceable-secret";
export { RewriteMethod } from "../core/rewrite-method";
export { RotationStage } from "../core/rotation-stage";
export type { AwsKeyAccessArgs } from "./aws/aws-key-access";
export { AwsKeyAccess } from "./aws/aws-key-access";
export type { AwsKeyAlarmArgs, AwsKeyAlarmSettingsArgs } from "./aws/aws-key-alarm";
export { AwsKeyAlarm } from "./aws/aws-key-alarm";
export type { AwsKmsEndpointArgs, AwsKmsEndpointSettingsArgs } from "./aws/aws-kms-endpoint";
export { AwsKmsEndpoint } from "./aws/aws-kms-endpoint";
export type { AwsKmsKeyArgs } from "./aws/aws-kms-key";
export { AwsKmsKey } from "./aws/aws-kms-key";
export type { AwsKmsSourceArgs } from "./aws/aws-kms-source";
export type { KopsCredentialClusterArgs } from "./aws/kops-credential-cluster";
export type { KopsKeypairRotationArgs, KopsKeyset } from "./aws/kops-keypair-rotation";
export { KopsKeypairRotation } from "./aws/kops-keypair-rotation";
export type { KopsKmsSettingsArgs } from "./aws/kops-kms-settings";
export { KopsKmsSettings } from "./aws/kops-kms-settings";
export type { KopsJumpHostArgs, KopsPlatformArgs, KopsPluginArgs, KopsRollingArgs } from "./aws/kops-platform";
export type { KopsSecretRotationArgs } from "./aws/kops-secret-rotation";
export { KopsSecretRotation } from "./aws/kops-secret-rotation";
export type { KopsSpecArgs, KopsSpecKey } from "./aws/kops-spec";
export { kopsSpecWithKmsSettings } from "./aws/kops-spec";
export type { AksKmsSettingsArgs, AksKmsState } from "./azure/aks-kms-settings";
export { AksKmsSettings } from "./azure/aks-kms-settings";
export type { AksKubernetesArgs, AksLimitsArgs, AksPlatformArgs } from "./azure/aks-platform";
export type { AzureKeyAttributesArgs } from "./azure/azure-key-attributes";
export { AzureKeyAttributes } from "./azure/azure-key-attributes";
export type { AzureKeyIdentityArgs } from "./azure/azure-key-identity";
export { AzureKeyIdentity } from "./azure/azure-key-identity";
export type { AzureKeyMonitoringArgs, AzureKeyMonitoringSettingsArgs } from "./azure/azure-key-monitoring";
export { AzureKeyMonitoring } from "./azure/azure-key-monitoring";
export type { AzureKeyUserArgs } from "./azure/azure-key-user";
export type { AzureKeyVaultKeyArgs } from "./azure/azure-key-vault-key";
export { AzureKeyVaultKey } from "./azure/azure-key-vault-key";
export type { AzureKeySettingsArgs, AzureKeyVaultSourceArgs } from "./azure/azure-key-vault-source";
export type { AzurePrincipalArgs } from "./azure/azure-principal";
export { AzurePrincipal, AzurePrincipalKind } from "./azure/azure-principal";
export type { AzureVaultAccessArgs } from "./azure/azure-vault-access";
export { AzureVaultAccess } from "./azure/azure-vault-access";
export type { KeyAccessArgs } from "./azure/key-access";
export { KeyAccess } from "./azure/key-access";
export { AzureKeyType, VaultAuthorization, VaultNetworkAccess, VaultSku } from "./azure/vault-choices";
export type { PrivateEndpointSettingsArgs, VaultPrivateEndpointArgs } from "./azure/vault-private-endpoint";
export { VaultPrivateEndpoint } from "./azure/vault-private-endpoint";
export type { ControlPlaneBootstrapArgs } from "./control-plane-bootstrap";
export { ControlPlaneBootstrap } from "./control-plane-bootstrap";
export type {
  EncryptionEvidence,
  KeyEvidence,
  ResourceEvidence,
  ServerEvidence,
} from "./encryption-evidence";
export type {
  AwsKeyReferenceArgs,
  AzureKeyReferenceArgs,
  DeclaredKeyArgs,
  EncryptionRolloutArgs,
  LocalKeyReferenceArgs,
} from "./encryption-rollout";
export { EncryptionRollout } from "./encryption-rollout";
export type { EtcdSnapshotArgs } from "./etcd-snapshot";
export type { KmsEtcdEncryptionArgs } from "./kms-etcd-encryption";
export { KmsEtcdEncryption } from "./kms-etcd-encryption";
export type { KmsPluginStaticPodArgs } from "./kms-plugin-static-pod";
export { KmsPluginStaticPod } from "./kms-plugin-static-pod";
export type { LocalKeyArgs } from "./local-key";
export { LocalKey } from "./local-key";
export type { LocalKeySourceArgs } from "./local-key-source";
export type { LocalPlatformArgs } from "./local-platform";
export type { PluginImageArgs, PluginImageBuildArgs, RegistryLoginArgs } from "./plugin-image";
export { ImagePlatform, PluginImage } from "./plugin-image";
export type { ReportSigningArgs } from "./report-signing";
export type { RotationLimitsArgs } from "./rotation-limits";
export type { RotationPolicyArgs } from "./rotation-policy";
export type {
  SelfManagedHostArgs,
  SelfManagedKubernetesArgs,
  SelfManagedLayoutArgs,
  SelfManagedPlatformArgs,
  SelfManagedPluginArgs,
  SshArgs,
  SshJumpHostArgs,
} from "./self-managed-platform";
