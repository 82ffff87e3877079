/** Identifiers of keys in Azure Key Vault, and the vault that they name. */
import { KmsEtcdError } from "./errors";

/** What a key's identifier says. */
export interface AzureKeyId {
  readonly vaultName: string;
  /** The vault's domain, which differs from cloud to cloud: `vault.azure.net`, `managedhsm.azure.net`. */
  readonly domain: string;
  readonly keyName: string;
  /** 32 hex digits; absent from an identifier that means whichever version is the newest. */
  readonly keyVersion?: string;
}

/** `https://<vault>.<domain>/keys/<name>[/<version>]`, as Key Vault writes it. A trailing slash is no part of it. */
const keyIdForm = /^https:\/\/([a-z0-9-]{3,24})\.([a-z0-9.-]+)\/keys\/([0-9a-z-]{1,127})(?:\/([0-9a-f]{32}))?$/i;
/** Domains of vaults, cloud by cloud. The last one is for a private cloud, whose operator chooses the rest of the name. */
export const vaultDomains = ["vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net"] as const;
export const managedHsmDomains = [
  "managedhsm.azure.net",
  "managedhsm.azure.cn",
  "managedhsm.usgovcloudapi.net",
] as const;

/** The parts of a key's identifier; undefined for any other text. Any domain is taken: private clouds have their own. */
export function parseAzureKeyId(text: string): AzureKeyId | undefined {
  const [, vaultName, domain, keyName, keyVersion] = keyIdForm.exec(text) ?? [];
  if (vaultName === undefined || domain === undefined || keyName === undefined) return undefined;
  return { vaultName, domain: domain.toLowerCase(), keyName, ...(keyVersion === undefined ? {} : { keyVersion }) };
}

/** As `parseAzureKeyId`, for an identifier that names one version. Throws `invalid-input` for anything else. */
export function versionedAzureKeyId(text: string): Required<AzureKeyId> {
  const parsed = parseAzureKeyId(text);
  if (parsed?.keyVersion !== undefined) return { ...parsed, keyVersion: parsed.keyVersion };
  throw new KmsEtcdError("invalid-input", `${JSON.stringify(text)} does not identify one version of a key`, {
    remedy:
      "write https://VAULT.vault.azure.net/keys/NAME/VERSION, as `az keyvault key show --query key.kid` prints it",
  });
}

/** Where a vault stands, by its ARM resource id. */
export interface VaultId {
  readonly subscriptionId: string;
  readonly resourceGroupName: string;
  readonly vaultName: string;
}

const vaultIdForm =
  /^\/subscriptions\/([0-9a-f-]{36})\/resourceGroups\/([^/]+)\/providers\/Microsoft\.KeyVault\/vaults\/([^/]+)$/i;

/** The parts of a vault's ARM resource id; undefined for any other text. */
export function parseVaultId(text: string): VaultId | undefined {
  const [, subscriptionId, resourceGroupName, vaultName] = vaultIdForm.exec(text) ?? [];
  if (subscriptionId === undefined || resourceGroupName === undefined || vaultName === undefined) return undefined;
  return { subscriptionId, resourceGroupName, vaultName };
}
