/** What the rules look at: inputs as they are given, and, where it could be asked, what exists in Azure. */

/**
 * How AKS encrypts: `legacy` is the KMS plugin with a key of the user's, rotated by us; `cmk` and `pmk` are KMS data encryption with a
 * customer-managed and a platform-managed key, which AKS rotates by itself. `off` is none of them.
 */
export type AksKmsMode = "legacy" | "cmk" | "pmk" | "off";

/** A rotation policy of a key, as Key Vault has it. Durations are ISO 8601: `P30D`. */
export interface RotationPolicy {
  readonly expiryTime?: string;
  readonly actions?: readonly {
    readonly type: string;
    readonly timeAfterCreate?: string;
    readonly timeBeforeExpiry?: string;
  }[];
}

/** The subnet of a cluster's API server. */
export interface ApiServerSubnet {
  /** Length of its address prefix: 28 for a /28. */
  readonly prefixLength: number;
  /** Services that it is delegated to. */
  readonly delegations: readonly string[];
  /** Whether nodes are in it too. */
  readonly sharedWithNodes: boolean;
}

export interface AzureFacts {
  readonly mode: AksKmsMode;
  /** What the cluster has now. */
  readonly modeBefore: AksKmsMode;
  /** Whether what the cluster has now is the first version of the KMS plugin, as before Kubernetes 1.27. */
  readonly kmsV1Before: boolean;
  readonly clusterExists: boolean;
  readonly clusterId: string;
  readonly location: string;
  readonly kubernetesVersion: string;
  readonly kubernetesVersionBefore: string;

  readonly keyId: string;
  readonly keyIdBefore: string;
  readonly keyVaultResourceId: string;
  readonly keyVaultResourceIdBefore: string;
  readonly vaultNetworkAccess: string;
  readonly vaultNetworkAccessBefore: string;
  /** `azureKeyVaultKms.enabled`; absent where the block is left out. */
  readonly kmsEnabled: boolean;

  readonly vaultName: string;
  /** The name that Pulumi makes a vault's name of, by adding eight characters. */
  readonly vaultNameStem: string;
  readonly vaultIsNew: boolean;
  /** Whether something encrypts with a key of the vault already. */
  readonly vaultInUse: boolean;
  readonly vaultTenantId: string;
  readonly clusterTenantId: string;
  readonly vaultSku: string;
  readonly vaultPublicNetworkAccess: string;
  readonly vaultDefaultAction: string;
  readonly vaultBypass: string;
  /** Rules for addresses and virtual networks in the vault's firewall. */
  readonly vaultNetworkRules: number;
  readonly wantsPrivateEndpoint: boolean;
  readonly purgeProtection: boolean;
  readonly softDeleteRetentionInDays: number;
  readonly softDeleteRetentionInDaysBefore: number;
  readonly rbacAuthorization: boolean;
  readonly rbacAuthorizationBefore: boolean;
  /** Entries in the vault's list of access policies. */
  readonly accessPolicies: number;
  /** Version of the Key Vault management API: a date. */
  readonly vaultApiVersion: string;

  readonly keyType: string;
  readonly keyOperations: readonly string[];
  readonly keySize: number;
  readonly keyEnabled: boolean;
  /** ISO 8601. */
  readonly keyNotBefore: string;
  /** ISO 8601. */
  readonly keyExpires: string;
  readonly keyRotationPolicy: RotationPolicy;
  /** Settings of a key that exists and that differ from what was asked for when it was made. */
  readonly changedKeySettings: readonly string[];
  /** The time to compare dates with: ISO 8601. */
  readonly now: string;

  readonly clusterIdentityType: string;
  readonly clusterIdentityTypeBefore: string;
  /** Resource ids of the cluster's user-assigned identities. */
  readonly clusterIdentityIds: readonly string[];
  readonly clusterIdentityIdsBefore: readonly string[];
  /** `servicePrincipalProfile.clientId`; `msi` for clusters with a managed identity. */
  readonly servicePrincipalClientId: string;
  /** Names of the roles that the cluster's identity has on the vault, granted in the vault's own way: roles or policies. */
  readonly identityRoles: readonly string[];
  /** Key permissions of the identity in the vault's access policies. */
  readonly identityKeyPermissions: readonly string[];
  /** Where a role for the identity is assigned, when not at the vault. */
  readonly roleScope: string;

  readonly vnetIntegration: boolean;
  readonly vnetIntegrationBefore: boolean;
  readonly ownVirtualNetwork: boolean;
  readonly apiServerSubnetId: string;
  readonly apiServerSubnet: ApiServerSubnet;
  readonly privateCluster: boolean;
  readonly disableRunCommand: boolean;
  /** Whether the network security group lets the API server reach the vault's private endpoint; absent without a group. */
  readonly securityGroupAllowsVault: boolean;
  /** Whether Secrets are rewritten from inside the cluster. */
  readonly rewritesInCluster: boolean;

  /** Version of the AKS management API: a date, with `-preview` behind it for a preview. */
  readonly aksApiVersion: string;
  /** Whether the feature KMSPMKPreview is registered in the subscription. */
  readonly kmsPreviewRegistered: boolean;
  /** Names of admission policies that may refuse updates of Secrets. */
  readonly secretBlockingPolicies: readonly string[];

  /** The key of the last rewrite that is proven to have reached every object. */
  readonly rewrittenWithKeyId: string;
  /** Keys that are to be disabled or removed. */
  readonly retiredKeyIds: readonly string[];
  /** The two keys that AKS holds, the current one first. */
  readonly heldKeyIds: readonly string[];
  /** What is to be deleted: keys, vaults, identities and role assignments, by resource id. */
  readonly deletedIds: readonly string[];
  /** Clusters that need what is to be deleted, or have needed it. */
  readonly dependentClusters: readonly string[];

  readonly loadBalancerSku: string;
  readonly loadBalancerSkuBefore: string;
  readonly migratesAvailabilitySet: boolean;
  /** Node pools whose autoscaler may go down to no nodes, of those that the cluster's own pods need. */
  readonly systemPoolsToZero: readonly string[];
}

export type FactName = keyof AzureFacts;
