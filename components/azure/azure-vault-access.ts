/** Waits until the one who runs Pulumi may work with the keys of a vault. */
import * as pulumi from "@pulumi/pulumi";
import { typeTokens } from "../../core/type-tokens";

/** The inputs of an AzureVaultAccess. */
export interface AzureVaultAccessArgs {
  /** The vault's address: `https://VAULT.vault.azure.net/`. Another one later is waited for again. */
  readonly vaultUri: pulumi.Input<string>;
  /**
   * How long a grant may take to arrive at the vault, in seconds. Azure says minutes. Holds from the next wait on.
   * @default 600
   */
  readonly timeoutSeconds?: pulumi.Input<number>;
}

/**
 * Asks the vault for its keys until it answers: no other sign says that a role assignment has arrived there. Depend on it with what needs
 * the keys. It makes nothing and deletes nothing.
 */
export class AzureVaultAccess extends pulumi.CustomResource {
  /** The vault's address, once the vault has answered. */
  declare readonly vaultUri: pulumi.Output<string>;

  constructor(name: string, args: AzureVaultAccessArgs, opts?: pulumi.CustomResourceOptions) {
    super(typeTokens.azureVaultAccess, name, { ...args }, opts);
  }
}
