/** Pulumi names that stand in users' state: never change one without an alias. */
export const packageName = "kms-etcd";

export const typeTokens = {
  kmsEtcdEncryption: "kms-etcd:index:KmsEtcdEncryption",
  aksKmsSettings: "kms-etcd:index:AksKmsSettings",
  awsKeyAccess: "kms-etcd:index:AwsKeyAccess",
  awsKeyAlarm: "kms-etcd:index:AwsKeyAlarm",
  awsKmsEndpoint: "kms-etcd:index:AwsKmsEndpoint",
  awsKmsKey: "kms-etcd:index:AwsKmsKey",
  azureKeyAttributes: "kms-etcd:index:AzureKeyAttributes",
  azureKeyIdentity: "kms-etcd:index:AzureKeyIdentity",
  azureKeyMonitoring: "kms-etcd:index:AzureKeyMonitoring",
  azureKeyVaultKey: "kms-etcd:index:AzureKeyVaultKey",
  azurePrincipal: "kms-etcd:index:AzurePrincipal",
  azureVaultAccess: "kms-etcd:index:AzureVaultAccess",
  controlPlaneBootstrap: "kms-etcd:index:ControlPlaneBootstrap",
  encryptionRollout: "kms-etcd:index:EncryptionRollout",
  keyAccess: "kms-etcd:index:KeyAccess",
  kmsPluginStaticPod: "kms-etcd:index:KmsPluginStaticPod",
  kopsKmsSettings: "kms-etcd:index:KopsKmsSettings",
  kopsKeypairRotation: "kms-etcd:index:KopsKeypairRotation",
  kopsSecretRotation: "kms-etcd:index:KopsSecretRotation",
  localKey: "kms-etcd:index:LocalKey",
  pluginImage: "kms-etcd:index:PluginImage",
  vaultPrivateEndpoint: "kms-etcd:index:VaultPrivateEndpoint",
  /** A view, published while a rollout runs: one row a stage. */
  rotationPhase: "kms-etcd:index:RotationPhase",
} as const;
