/** D1r to D7r and M1 to M3: the cluster's network, and changes of the cluster that encryption does not survive. */
import { type AzureRule, rule } from "./rule";

const delegation = "Microsoft.ContainerService/managedClusters";
/** A /28 is the smallest subnet for an API server. */
const longestPrefix = 28;

export const clusterNetworkRules: readonly AzureRule[] = [
  rule(
    "D1r",
    "error",
    ["mode", "vaultNetworkAccess", "vnetIntegration"],
    ({ mode, vaultNetworkAccess, vnetIntegration }) => {
      if (mode !== "legacy" || vaultNetworkAccess !== "Private" || vnetIntegration === true) return undefined;
      return {
        at: "vnetIntegration",
        reason:
          "is off, and the KMS plugin reaches a private vault through API Server VNet Integration only (not through Konnectivity)",
        remedy: "set apiServerAccessProfile.enableVnetIntegration to true",
      };
    },
  ),
  rule(
    "D2r",
    "error",
    ["vnetIntegration", "ownVirtualNetwork", "apiServerSubnetId"],
    ({ vnetIntegration, ownVirtualNetwork, apiServerSubnetId }) => {
      if (vnetIntegration !== true || ownVirtualNetwork !== true || (apiServerSubnetId ?? "") !== "") return undefined;
      return {
        at: "apiServerSubnetId",
        reason: "is missing: in a virtual network of your own the API server needs a subnet of its own",
        remedy: `name a subnet of /${longestPrefix} or larger that is delegated to ${delegation}`,
      };
    },
  ),
  rule("D3r", "error", ["vnetIntegration", "apiServerSubnet"], ({ vnetIntegration, apiServerSubnet: subnet }) => {
    if (vnetIntegration !== true || subnet === undefined) return undefined;
    const wrong = [
      ...(subnet.prefixLength > longestPrefix ? [`is a /${subnet.prefixLength}`] : []),
      ...(subnet.delegations.includes(delegation) ? [] : [`is not delegated to ${delegation}`]),
      ...(subnet.sharedWithNodes ? ["has nodes in it"] : []),
    ];
    if (wrong.length === 0) return undefined;
    return {
      at: "apiServerSubnet",
      reason: wrong.join(" and "),
      remedy: `use a subnet of /${longestPrefix} or larger for the API server alone, delegated to ${delegation}`,
    };
  }),
  rule("D4r", "error", ["vnetIntegration", "vnetIntegrationBefore"], ({ vnetIntegration, vnetIntegrationBefore }) => {
    if (vnetIntegrationBefore !== true || vnetIntegration !== false) return undefined;
    return {
      at: "vnetIntegration",
      reason: "turns API Server VNet Integration off, which Azure can't do",
      remedy: "leave it on, or make another cluster",
    };
  }),
  rule(
    "D5r",
    "warning",
    ["clusterExists", "vnetIntegration", "vnetIntegrationBefore"],
    ({ clusterExists, vnetIntegration, vnetIntegrationBefore }) => {
      if (clusterExists !== true || vnetIntegration !== true || vnetIntegrationBefore !== false) return undefined;
      return {
        at: "vnetIntegration",
        reason:
          "is turned on for a cluster that exists: the API server's address changes, nodes get new images, and it works after a restart only",
        remedy: "stop and start the cluster right after this update",
      };
    },
  ),
  rule("D6r", "error", ["location", "vnetIntegration"], ({ location, vnetIntegration }) => {
    if (vnetIntegration !== true || location?.toLowerCase().replaceAll(/\s/g, "") !== "qatarcentral") return undefined;
    return {
      at: "vnetIntegration",
      reason: "is on, but Qatar Central has no API Server VNet Integration",
      remedy: "use another region, or a public vault",
    };
  }),
  rule(
    "D7r",
    "warning",
    ["mode", "privateCluster", "vaultNetworkAccess", "securityGroupAllowsVault"],
    ({ mode, privateCluster, vaultNetworkAccess, securityGroupAllowsVault }) => {
      if (mode !== "legacy" || privateCluster !== true || vaultNetworkAccess !== "Private") return undefined;
      if (securityGroupAllowsVault !== false) return undefined;
      return {
        at: "securityGroupAllowsVault",
        reason: "has no rule that lets the API server's subnet reach the vault's private endpoint",
        remedy: "allow TCP 443 from the API server's subnet to the private endpoint",
      };
    },
  ),
  rule(
    "M1",
    "warning",
    ["mode", "vaultNetworkAccess", "loadBalancerSku", "loadBalancerSkuBefore", "migratesAvailabilitySet"],
    ({ mode, vaultNetworkAccess, loadBalancerSku, loadBalancerSkuBefore, migratesAvailabilitySet }) => {
      if (mode !== "legacy" || vaultNetworkAccess !== "Private") return undefined;
      const balancer =
        loadBalancerSkuBefore?.toLowerCase() === "basic" && loadBalancerSku?.toLowerCase() === "standard";
      if (!balancer && migratesAvailabilitySet !== true) return undefined;
      return {
        at: balancer ? "loadBalancerSku" : "migratesAvailabilitySet",
        reason: "moves the cluster in a way that AKS refuses while it encrypts with a key in a private vault",
        remedy: "turn encryption off (enabled: false), move the cluster, then turn it on",
      };
    },
  ),
  rule("M2", "warning", ["mode", "systemPoolsToZero"], ({ mode, systemPoolsToZero = [] }) => {
    if (mode === undefined || mode === "off" || systemPoolsToZero.length === 0) return undefined;
    return {
      at: "systemPoolsToZero",
      reason: `lets ${systemPoolsToZero.join(", ")} go down to no nodes: an encrypted cluster without nodes does not come back`,
      remedy: "let system node pools have one node or more, and never scale their scale sets outside of AKS",
    };
  }),
  rule(
    "M3",
    "warning",
    ["privateCluster", "disableRunCommand", "rewritesInCluster"],
    ({ privateCluster, disableRunCommand, rewritesInCluster }) => {
      if (privateCluster !== true || disableRunCommand !== true || rewritesInCluster !== false) return undefined;
      return {
        at: "disableRunCommand",
        reason: "leaves no way to the API server of a private cluster, so Secrets can't be rewritten from here",
        remedy:
          "run Pulumi in the cluster's network, or set disableRunCommand to false and kubernetes.reach to RunCommand",
      };
    },
  ),
];
