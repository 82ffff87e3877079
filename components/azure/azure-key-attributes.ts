/** What can be changed of one version of a key in Key Vault. The provider does it, because ARM ignores changes to a key. */
import * as pulumi from "@pulumi/pulumi";
import { typeTokens } from "../../core/type-tokens";

/** The inputs of an AzureKeyAttributes. */
export interface AzureKeyAttributesArgs {
  /** The version's identifier: `https://VAULT.vault.azure.net/keys/NAME/VERSION`. Another one later is another version. */
  readonly keyId: pulumi.Input<string>;
  /**
   * Whether the version can be used. False makes everything unreadable that only this version can decrypt: Secrets that are stored under
   * it, and backups. Can be changed at any time. Leaving it out leaves it as it is.
   */
  readonly enabled?: pulumi.Input<boolean>;
  /**
   * When the version expires (ISO 8601, for example `2028-01-31T00:00:00Z`). Extend it before it is over: an expired key encrypts nothing.
   * Leaving it out leaves the expiry as it is.
   */
  readonly expiresOn?: pulumi.Input<string>;
}

/**
 * Whether a version of a key is enabled, and when it expires. Deleting the resource leaves the version as it is. It goes to the vault's own
 * endpoint with the credentials of azure-native (ARM_* variables) or of the Azure SDKs (AZURE_* variables, workload identity, managed
 * identity, Azure CLI), which need the key permissions get and update, or the role Key Vault Crypto Officer.
 */
export class AzureKeyAttributes extends pulumi.CustomResource {
  /** The version's identifier. */
  declare readonly keyId: pulumi.Output<string>;
  /** Whether the version can be used. */
  declare readonly enabled: pulumi.Output<boolean>;
  /** When the version expires; absent when it does not. */
  declare readonly expiresOn: pulumi.Output<string | undefined>;
  /** When the version was made (ISO 8601). */
  declare readonly createdAt: pulumi.Output<string | undefined>;

  constructor(name: string, args: AzureKeyAttributesArgs, opts?: pulumi.CustomResourceOptions) {
    super(
      typeTokens.azureKeyAttributes,
      name,
      { enabled: undefined, expiresOn: undefined, createdAt: undefined, ...args },
      opts,
    );
  }
}
