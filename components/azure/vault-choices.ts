/** The choices that a vault of Azure offers, as Pulumi programs in every language see them. */

/** How a vault grants access. Changing it later takes every grant of the other kind away at once. */
export const VaultAuthorization = {
  /** By roles of Azure RBAC. */
  Rbac: "Rbac",
  /** By the vault's own list of access policies. */
  AccessPolicies: "AccessPolicies",
} as const;
export type VaultAuthorization = (typeof VaultAuthorization)[keyof typeof VaultAuthorization];

/** From where a vault can be reached. */
export const VaultNetworkAccess = {
  /** From every network; who may use the keys is decided by grants alone. */
  Public: "Public",
  /** Through private endpoints only. */
  Private: "Private",
} as const;
export type VaultNetworkAccess = (typeof VaultNetworkAccess)[keyof typeof VaultNetworkAccess];

/** What protects the keys in a vault. */
export const VaultSku = {
  /** Software. */
  Standard: "standard",
  /** Hardware security modules, for keys of type RSA-HSM. */
  Premium: "premium",
} as const;
export type VaultSku = (typeof VaultSku)[keyof typeof VaultSku];

/** Types of keys that KMS plugins can use. */
export const AzureKeyType = {
  /** RSA, kept by software. */
  Rsa: "RSA",
  /** RSA, kept in a hardware security module. Needs a premium vault. */
  RsaHsm: "RSA-HSM",
} as const;
export type AzureKeyType = (typeof AzureKeyType)[keyof typeof AzureKeyType];
