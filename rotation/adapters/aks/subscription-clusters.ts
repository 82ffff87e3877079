/** All clusters of AKS in a subscription, and how each encrypts its etcd. Nothing but ARM is asked, and nothing is changed. */
import { AksEncryptionMode } from "../../../core/aks-encryption-mode";
import type { ArmBody, ArmClient } from "../azure/arm-client";
import { dataEncryptionApiVersion, type KmsSettings, kmsSettingsOf, type VaultNetwork } from "./kms-settings";
import { kubernetesVersionOf } from "./kubernetes-version";

export interface ClusterEncryption {
  readonly name: string;
  readonly resourceGroup: string;
  readonly id: string;
  readonly location: string;
  readonly kubernetesVersion: string;
  /** ARM's word: Succeeded, Failed, or what AKS is at work on. */
  readonly provisioningState: string;
  readonly mode: AksEncryptionMode | "Off";
  readonly keyId?: string;
  readonly vaultNetworkAccess?: VaultNetwork;
}

const modes: Readonly<Record<KmsSettings["mode"], ClusterEncryption["mode"]>> = {
  off: "Off",
  legacy: AksEncryptionMode.KmsPlugin,
  cmk: AksEncryptionMode.CustomerManagedKey,
  pmk: AksEncryptionMode.PlatformManagedKey,
};

/** By resource group, then by name. Throws `not-found` for a subscription that is not there. */
export async function subscriptionClusters(
  client: Pick<ArmClient, "list">,
  subscriptionId: string,
  signal: AbortSignal,
): Promise<readonly ClusterEncryption[]> {
  const path = `/subscriptions/${subscriptionId}/providers/Microsoft.ContainerService/managedClusters`;
  const found = await client.list(path, dataEncryptionApiVersion, signal);
  const order = ({ resourceGroup, name }: ClusterEncryption) => `${resourceGroup}/${name}`.toLowerCase();
  return found.map(encryptionOf).sort((one, other) => order(one).localeCompare(order(other)));
}

function encryptionOf(cluster: ArmBody): ClusterEncryption {
  const id = textIn(cluster, "id");
  const properties = cluster["properties"] as ArmBody | undefined;
  const kms = kmsSettingsOf(cluster);
  return {
    name: textIn(cluster, "name"),
    resourceGroup: /\/resourceGroups\/([^/]+)\//i.exec(id)?.[1] ?? "",
    id,
    location: textIn(cluster, "location"),
    kubernetesVersion: kubernetesVersionOf({ body: cluster }),
    provisioningState: textIn(properties ?? {}, "provisioningState"),
    mode: modes[kms.mode],
    ...(kms.mode === "legacy" || kms.mode === "cmk" ? { keyId: kms.keyId, vaultNetworkAccess: kms.networkAccess } : {}),
  };
}

function textIn(body: ArmBody, name: string): string {
  const value = body[name];
  return typeof value === "string" ? value : "";
}
