/** How AKS encrypts a cluster's etcd, as it stands in the cluster's ARM body; and a body with other settings and nothing else changed. */
import { parseAzureKeyId } from "../../../core/azure-key-id";
import type { ArmBody } from "../azure/arm-client";

/** The vault is reached from all networks, or through a private endpoint that AKS makes. */
export type VaultNetwork = "Public" | "Private";

interface KeyInVault {
  readonly keyId: string;
  readonly networkAccess: VaultNetwork;
  /** Resource id of the vault, where AKS wants to know it. */
  readonly vaultId?: string;
}

export type KmsSettings =
  | { readonly mode: "off" }
  /** The KMS plugin with one version of a key, which we rotate. */
  | ({ readonly mode: "legacy" } & KeyInVault)
  /** KMS data encryption with a key of the customer's: AKS follows its newest version, and rewrites what is stored. */
  | ({ readonly mode: "cmk" } & KeyInVault)
  /** KMS data encryption with a key of the platform's. */
  | { readonly mode: "pmk" };

/** An API version that every setting but KMS data encryption is stable in, and one that shows that too. */
export const stableApiVersion = "2025-09-01";
export const dataEncryptionApiVersion = "2026-05-02-preview";

/** The version to GET and PUT with, so that nothing is lost between the two. */
export function apiVersionFor(...settings: readonly KmsSettings[]): string {
  const isNew = settings.some(({ mode }) => mode === "cmk" || mode === "pmk");
  return isNew ? dataEncryptionApiVersion : stableApiVersion;
}

/** `cluster` was got with `dataEncryptionApiVersion`: other versions do not show KMS data encryption. */
export function kmsSettingsOf(cluster: ArmBody): KmsSettings {
  const profile = objectAt(objectAt(cluster, "properties"), "securityProfile");
  const kms = objectAt(profile, "azureKeyVaultKms");
  const encryption = objectAt(profile, "kubernetesResourceObjectEncryptionProfile");
  const isNew = encryption["infrastructureEncryption"] === "Enabled";
  if (kms["enabled"] !== true) return { mode: isNew ? "pmk" : "off" };
  const vaultId = kms["keyVaultResourceId"];
  return {
    mode: isNew ? "cmk" : "legacy",
    keyId: textIn(kms["keyId"]),
    networkAccess: kms["keyVaultNetworkAccess"] === "Private" ? "Private" : "Public",
    ...(typeof vaultId === "string" && vaultId !== "" ? { vaultId } : {}),
  };
}

/** The same cluster with these settings. Turning encryption off has to be said: a block that is left out changes nothing. */
export function withKmsSettings(cluster: ArmBody, settings: KmsSettings): ArmBody {
  const properties = objectAt(cluster, "properties");
  const profile = objectAt(properties, "securityProfile");
  const isNew = settings.mode === "cmk" || settings.mode === "pmk";
  const encryption = objectAt(profile, "kubernetesResourceObjectEncryptionProfile");
  return {
    ...cluster,
    properties: {
      ...properties,
      securityProfile: {
        ...profile,
        azureKeyVaultKms: kmsBlock(settings),
        ...(isNew
          ? { kubernetesResourceObjectEncryptionProfile: { ...encryption, infrastructureEncryption: "Enabled" } }
          : {}),
      },
    },
  };
}

function kmsBlock(settings: KmsSettings): ArmBody {
  if (settings.mode === "off" || settings.mode === "pmk") return { enabled: false };
  const { keyId, networkAccess, vaultId } = settings;
  // AKS refuses a vault's id beside Public in the legacy mode, and takes it in the new one.
  const named = networkAccess === "Private" || settings.mode === "cmk" ? vaultId : undefined;
  return {
    enabled: true,
    keyId,
    keyVaultNetworkAccess: networkAccess,
    ...(named === undefined ? {} : { keyVaultResourceId: named }),
  };
}

/** Whether AKS would do the same with both. */
export function areSameSettings(one: KmsSettings, other: KmsSettings): boolean {
  if (one.mode === "off" || one.mode === "pmk" || other.mode === "off" || other.mode === "pmk") {
    return one.mode === other.mode;
  }
  const isSameVault = one.networkAccess === "Public" || isSameText(one.vaultId, other.vaultId);
  return (
    one.mode === other.mode &&
    isSameText(one.keyId, other.keyId) &&
    one.networkAccess === other.networkAccess &&
    isSameVault
  );
}

/** The vault's name, in lower case: no two vaults of a cloud share one. */
export function vaultOf(settings: KmsSettings): string | undefined {
  if (settings.mode === "off" || settings.mode === "pmk") return undefined;
  return parseAzureKeyId(settings.keyId)?.vaultName.toLowerCase();
}

function isSameText(one: string | undefined, other: string | undefined): boolean {
  return one?.toLowerCase() === other?.toLowerCase();
}

function objectAt(parent: ArmBody, name: string): ArmBody {
  const value = parent[name];
  return typeof value === "object" && value !== null ? (value as ArmBody) : {};
}

function textIn(value: unknown): string {
  return typeof value === "string" ? value : "";
}
