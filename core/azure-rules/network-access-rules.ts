/** B1 to B6 and F1 to F6: how AKS reaches the vault, and whether the vault lets it in. */
import { parseVaultId } from "../azure-key-id";
import { type AzureRule, rule } from "./rule";

const vaultIdForm =
  "/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/Microsoft.KeyVault/vaults/NAME, as `az keyvault show --query id` prints it";

function isDisabled(publicNetworkAccess: string | undefined): boolean {
  return publicNetworkAccess?.toLowerCase() === "disabled";
}

export const networkAccessRules: readonly AzureRule[] = [
  rule(
    "B1",
    "error",
    ["mode", "vaultNetworkAccess", "keyVaultResourceId"],
    ({ mode, vaultNetworkAccess, keyVaultResourceId }) => {
      if (mode === "off" || mode === "pmk") return undefined;
      if (vaultNetworkAccess !== "Private" || (keyVaultResourceId ?? "") !== "") return undefined;
      return {
        at: "keyVaultResourceId",
        reason: "is missing: AKS needs it to reach a vault whose network access is Private",
        remedy: `write ${vaultIdForm}`,
      };
    },
  ),
  rule(
    "B2",
    "error",
    ["mode", "vaultNetworkAccess", "keyVaultResourceId"],
    ({ mode, vaultNetworkAccess, keyVaultResourceId }) => {
      if (mode !== "legacy" || vaultNetworkAccess !== "Public" || (keyVaultResourceId ?? "") === "") return undefined;
      return {
        at: "keyVaultResourceId",
        reason: "is given, but AKS takes it only with network access Private",
        remedy: "leave it out, or make the network access Private",
      };
    },
  ),
  rule("B3", "error", ["keyVaultResourceId"], ({ keyVaultResourceId }) => {
    if ((keyVaultResourceId ?? "") === "" || parseVaultId(keyVaultResourceId ?? "") !== undefined) return undefined;
    return {
      at: "keyVaultResourceId",
      reason: `is ${JSON.stringify(keyVaultResourceId)}, which is no resource id of a vault`,
      remedy: `write ${vaultIdForm}`,
    };
  }),
  rule("B4", "error", ["vaultNetworkAccess"], ({ vaultNetworkAccess }) => {
    if (vaultNetworkAccess === undefined || ["Public", "Private"].includes(vaultNetworkAccess)) return undefined;
    return {
      at: "vaultNetworkAccess",
      reason: `is ${JSON.stringify(vaultNetworkAccess)}`,
      remedy: "write Public or Private, with a capital",
    };
  }),
  rule("B5", "warning", ["mode", "keyVaultResourceId", "clusterId"], ({ mode, keyVaultResourceId, clusterId }) => {
    const vault = parseVaultId(keyVaultResourceId ?? "")?.subscriptionId.toLowerCase();
    const cluster = /^\/subscriptions\/([^/]+)\//i.exec(clusterId ?? "")?.[1]?.toLowerCase();
    if (mode !== "legacy" || vault === undefined || cluster === undefined || vault === cluster) return undefined;
    return {
      at: "keyVaultResourceId",
      reason: "is in another subscription than the cluster",
      remedy: "see that the cluster's identity has its roles in the vault's subscription",
    };
  }),
  rule("B6", "error", ["vaultTenantId", "clusterTenantId"], ({ vaultTenantId, clusterTenantId }) => {
    if (vaultTenantId === undefined || clusterTenantId === undefined) return undefined;
    if (vaultTenantId.toLowerCase() === clusterTenantId.toLowerCase()) return undefined;
    return {
      at: "vaultTenantId",
      reason: `is ${vaultTenantId}, but the cluster's identity is in the tenant ${clusterTenantId}, and AKS takes no vault of another tenant`,
      remedy: "use a vault in the cluster's tenant",
    };
  }),
  rule(
    "F1",
    "error",
    ["vaultNetworkAccess", "vaultPublicNetworkAccess"],
    ({ vaultNetworkAccess, vaultPublicNetworkAccess }) => {
      if (vaultNetworkAccess !== "Public" || !isDisabled(vaultPublicNetworkAccess)) return undefined;
      return {
        at: "vaultNetworkAccess",
        reason: "is Public, but the vault refuses its public endpoint",
        remedy: "write Private, or enable the vault's public network access",
      };
    },
  ),
  rule(
    "F2",
    "error",
    ["mode", "vaultNetworkAccess", "vaultDefaultAction", "vaultNetworkRules"],
    ({ mode, vaultNetworkAccess, vaultDefaultAction, vaultNetworkRules }) => {
      if (mode !== "legacy" || vaultNetworkAccess !== "Public") return undefined;
      if (vaultDefaultAction !== "Deny" && (vaultNetworkRules ?? 0) === 0) return undefined;
      return {
        at: "vaultNetworkAccess",
        reason:
          "is Public, but the vault's firewall lets in selected networks only, and the KMS plugin of AKS is in none of them",
        remedy: "let all networks in (default action Allow, no rules), or write Private",
      };
    },
  ),
  rule("F3", "error", ["mode", "vaultNetworkAccess", "vaultBypass"], ({ mode, vaultNetworkAccess, vaultBypass }) => {
    if (mode !== "cmk" || vaultNetworkAccess !== "Private" || vaultBypass === "AzureServices") return undefined;
    return {
      at: "vaultBypass",
      reason: `is ${vaultBypass ?? "not set"}, but KMS data encryption reaches a private vault as a trusted service only`,
      remedy: "set the vault's networkAcls.bypass to AzureServices",
    };
  }),
  rule(
    "F4",
    "warning",
    ["mode", "vaultNetworkAccess", "vaultDefaultAction", "vaultPublicNetworkAccess"],
    ({ mode, vaultNetworkAccess, vaultDefaultAction, vaultPublicNetworkAccess }) => {
      if (mode !== "cmk" || vaultNetworkAccess !== "Private") return undefined;
      if (vaultDefaultAction === "Deny" || isDisabled(vaultPublicNetworkAccess)) return undefined;
      return {
        at: "vaultDefaultAction",
        reason: "lets every network in, although the network access is Private",
        remedy: "set the vault's networkAcls.defaultAction to Deny",
      };
    },
  ),
  rule("F5", "error", ["mode", "vaultPublicNetworkAccess"], ({ mode, vaultPublicNetworkAccess }) => {
    if (mode !== "cmk" || vaultPublicNetworkAccess?.toLowerCase() !== "securedbyperimeter") return undefined;
    return {
      at: "vaultPublicNetworkAccess",
      reason: "is SecuredByPerimeter, and a network security perimeter shuts out trusted services too",
      remedy: "take the vault out of the perimeter, or use another vault",
    };
  }),
  rule("F6", "warning", ["mode", "wantsPrivateEndpoint"], ({ mode, wantsPrivateEndpoint }) => {
    if (mode !== "cmk" || wantsPrivateEndpoint !== true) return undefined;
    return {
      at: "wantsPrivateEndpoint",
      reason: "makes a private endpoint, which KMS data encryption does not use",
      remedy: "keep it for clients of your own, or leave it out",
    };
  }),
];
