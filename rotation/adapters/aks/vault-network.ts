/** From where a vault is reached, read and set through ARM, which works for a private vault from anywhere. */
import { KmsEtcdError } from "../../../core/errors";
import type { ArmBody, ArmClient } from "../azure/arm-client";
import type { VaultNetwork } from "./kms-settings";

/** Versions before this one are switched off on 2027-02-27. */
export const vaultApiVersion = "2026-02-01";

export interface VaultNetworkAccess {
  observe(signal: AbortSignal): Promise<VaultNetwork>;
  /** Idempotent. Private is what components/azure/azure-vault.ts makes of a private vault: no public endpoint, and trusted services let in. */
  set(network: VaultNetwork, signal: AbortSignal, onProgress: (message: string) => void): Promise<void>;
}

export function vaultNetworkAccess(client: ArmClient, vaultId: string): VaultNetworkAccess {
  return {
    async observe(signal) {
      const vault = await client.get(vaultId, vaultApiVersion, signal);
      if (vault !== undefined) return networkOf(vault);
      throw new KmsEtcdError("not-found", `there is no vault ${vaultId}`, {
        remedy: "have it back if it was deleted: az keyvault recover --name NAME",
      });
    },
    async set(network, signal, onProgress) {
      await client.update(vaultId, vaultApiVersion, (vault) => withNetwork(vault, network), signal, onProgress);
    },
  };
}

function networkOf(vault: ArmBody): VaultNetwork {
  const { publicNetworkAccess } = propertiesOf(vault);
  return String(publicNetworkAccess).toLowerCase() === "disabled" ? "Private" : "Public";
}

function withNetwork(vault: ArmBody, network: VaultNetwork): ArmBody {
  if (networkOf(vault) === network) return vault;
  const isPrivate = network === "Private";
  const properties = propertiesOf(vault);
  const before = properties["networkAcls"];
  return {
    ...vault,
    properties: {
      ...properties,
      publicNetworkAccess: isPrivate ? "Disabled" : "Enabled",
      networkAcls: {
        ...(typeof before === "object" ? before : {}),
        bypass: "AzureServices",
        defaultAction: isPrivate ? "Deny" : "Allow",
      },
    },
  };
}

function propertiesOf(vault: ArmBody): ArmBody {
  const { properties } = vault;
  return typeof properties === "object" && properties !== null ? (properties as ArmBody) : {};
}
