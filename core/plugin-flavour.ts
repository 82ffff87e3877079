/** Which program a KMS plugin's image holds: this package's own, or one of the two that it is a drop-in for. */
export const PluginFlavour = {
  /** This package's plugin, for every kind of key. */
  KmsEtcd: "KmsEtcd",
  /** Azure/kubernetes-kms, for keys in Azure Key Vault. */
  AzureKubernetesKms: "AzureKubernetesKms",
  /** kubernetes-sigs/aws-encryption-provider, for keys in AWS KMS. */
  AwsEncryptionProvider: "AwsEncryptionProvider",
} as const;
export type PluginFlavour = (typeof PluginFlavour)[keyof typeof PluginFlavour];

export const pluginFlavours: readonly PluginFlavour[] = Object.values(PluginFlavour);
