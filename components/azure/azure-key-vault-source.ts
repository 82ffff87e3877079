/** The block that keeps keys in Azure Key Vault: one key a version, in a vault that is made or in one that exists. */
import type * as pulumi from "@pulumi/pulumi";
import type { AzureKeyMonitoringSettingsArgs } from "./azure-key-monitoring";
import type { AzureKeyUserArgs } from "./azure-key-user";
import type { AzureKeyType, VaultAuthorization, VaultNetworkAccess, VaultSku } from "./vault-choices";
import type { PrivateEndpointSettingsArgs } from "./vault-private-endpoint";

/** What a key is made like. A change holds for the versions that are made afterwards: Azure never changes a key. */
export interface AzureKeySettingsArgs {
  /**
   * The key's type.
   * @default "RSA"
   */
  readonly type?: AzureKeyType;
  /**
   * Bits: 2048, 3072 or 4096.
   * @default 2048
   * @integer
   */
  readonly size?: number;
}

/**
 * Keys in Azure Key Vault. Every version is a key of its own, `<keyName>-v1`, `<keyName>-v2` and so on, or one of `keyIds`. With `vaultId` the
 * vault is one that exists; without it a vault is made, with purge protection, and `resourceGroupName` and `location` say where.
 */
export interface AzureKeyVaultSourceArgs {
  /** Resource id of a vault that exists. It stays as it is; keys and grants are made in it. */
  readonly vaultId?: pulumi.Input<string>;
  /** Resource group of the vault that is made. Moving it later would make another vault. */
  readonly resourceGroupName?: pulumi.Input<string>;
  /** Azure region of the vault that is made. Can't be changed later. */
  readonly location?: pulumi.Input<string>;
  /**
   * Name of the vault that is made: 3 to 24 letters, digits and single hyphens, unique in all of Azure, and taken for 90 days after the
   * vault is deleted. Can't be changed later.
   * @default a name that Pulumi makes of the component's name
   */
  readonly vaultName?: pulumi.Input<string>;
  /**
   * What protects the keys in the vault that is made.
   * @default "standard", and "premium" for keys of type RSA-HSM
   */
  readonly sku?: VaultSku;
  /**
   * For how many days deleted keys of the vault that is made can be had back: 7 to 90. Can't be changed later.
   * @default 90
   * @integer
   */
  readonly softDeleteRetentionInDays?: number;
  /**
   * How the vault grants access. For a vault that exists it must be what the vault does. Can't be changed while a cluster uses the vault.
   * @default "Rbac"
   */
  readonly authorization?: VaultAuthorization;
  /**
   * From where the vault is reached. A cluster of AKS that uses the vault has to let go of it while this changes; the rollout does that.
   * @default "Public"
   */
  readonly vaultNetworkAccess?: VaultNetworkAccess;
  /** A private endpoint to the vault in a network of yours, with its DNS zone. AKS makes one of its own for a private vault. */
  readonly privateEndpoint?: PrivateEndpointSettingsArgs;
  /**
   * The keys' common name; a version's key is `<keyName>-v<version>`. Can't be changed while a version is declared that was made under it.
   * @default "etcd"
   */
  readonly keyName?: string;
  /** What new keys are like. */
  readonly key?: AzureKeySettingsArgs;
  /**
   * Versions whose key exists already, by version: `{ "1": "https://VAULT.vault.azure.net/keys/NAME/VERSION" }`. They may be in any vault; grants are
   * made in this block's vault only. Another identifier for a version later is refused while stored data needs the key.
   */
  readonly keyIds?: Record<string, pulumi.Input<string>>;
  /**
   * When versions expire, by version (ISO 8601): `{ "1": "2028-01-31T00:00:00Z" }`. Extend it here in time. Leaving a version out leaves its
   * expiry as it is; new keys have none.
   */
  readonly keyExpiry?: Record<string, pulumi.Input<string>>;
  /** Who encrypts and decrypts with the keys, by names of your own: the identities of the control plane's hosts. */
  readonly keyUsers?: Record<string, AzureKeyUserArgs>;
  /**
   * Who makes keys and changes their attributes, by names of your own. Without it, the one who first runs Pulumi may, in a vault that is made.
   * `{}` grants that to nobody.
   */
  readonly keyAdministrators?: Record<string, AzureKeyUserArgs>;
  /** Where the audit log of the vault goes, and whom alerts on it tell. */
  readonly monitoring?: AzureKeyMonitoringSettingsArgs;
}
