/** The flags of Azure/kubernetes-kms v0.11: same names, forms and defaults, so that its manifests work unchanged. */
import type { OperationConfig } from "./plugin-config";

export interface AzurePluginConfig {
  readonly kind: "azure";
  readonly operation: OperationConfig;
  /** As given, without blanks and double quotes around it (the peer trims them too). */
  readonly vaultName: string;
  readonly keyName: string;
  readonly keyVersion: string;
  readonly managedHsm: boolean;
  /** azure.json: cloud, tenant and the way of authenticating. */
  readonly credentialsFile: string;
  /** Set by `--proxy-mode`: Key Vault and Entra are asked through `http://<address>:<port>/`. */
  readonly proxy: { readonly address: string; readonly port: number } | undefined;
}
