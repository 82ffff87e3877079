/** How AKS encrypts what it stores in etcd. Stands in users' programs and state: never change a value. */
export const AksEncryptionMode = {
  /** The KMS plugin of AKS with one version of a key in Key Vault. This package rotates it, writes Secrets again and proves it. */
  KmsPlugin: "KmsPlugin",
  /**
   * KMS data encryption with a key of yours (Kubernetes 1.33 or newer): AKS follows the key's newest version and writes Secrets again by
   * itself. A cluster can never leave it for the KMS plugin or for plaintext.
   */
  CustomerManagedKey: "CustomerManagedKey",
  /** KMS data encryption with a key of the platform's (Kubernetes 1.33 or newer). A cluster can never leave it either. */
  PlatformManagedKey: "PlatformManagedKey",
} as const;
export type AksEncryptionMode = (typeof AksEncryptionMode)[keyof typeof AksEncryptionMode];
