/**
 * A private cluster of AKS with API Server VNet Integration and a private vault, from the resource group on. Neither the API server nor the
 * vault has a public endpoint.
 */

import { getClientConfigOutput } from "@pulumi/azure-native/authorization/getClientConfig";
import { RoleAssignment } from "@pulumi/azure-native/authorization/roleAssignment";
import { ManagedCluster } from "@pulumi/azure-native/containerservice/managedCluster";
import { Subnet } from "@pulumi/azure-native/network/subnet";
import { VirtualNetwork } from "@pulumi/azure-native/network/virtualNetwork";
import { ResourceGroup } from "@pulumi/azure-native/resources/resourceGroup";
import * as pulumi from "@pulumi/pulumi";
import { AksReach, AzureKeyIdentity, KmsEtcdEncryption, VaultNetworkAccess } from "../../components";

const config = new pulumi.Config();
const location = config.require("location");
const protect = config.getBoolean("protectKeys") ?? true;
const newestKeyVersion = config.getNumber("newestKeyVersion");

const { name: resourceGroupName } = new ResourceGroup("kms-aks", { location });
const network = new VirtualNetwork("network", {
  resourceGroupName,
  location,
  addressSpace: { addressPrefixes: ["10.0.0.0/16"] },
});
const inNetwork = { resourceGroupName, virtualNetworkName: network.name };
const nodes = new Subnet("nodes", { ...inNetwork, addressPrefix: "10.0.0.0/22" });
// Azure changes one subnet of a network at a time.
const apiServer = new Subnet(
  "api-server",
  {
    ...inNetwork,
    addressPrefix: "10.0.4.0/28",
    delegations: [{ name: "aks", serviceName: "Microsoft.ContainerService/managedClusters" }],
  },
  { dependsOn: [nodes] },
);
const endpoints = new Subnet("endpoints", { ...inNetwork, addressPrefix: "10.0.5.0/26" }, { dependsOn: [apiServer] });

// The vault has to know the cluster before KMS is turned on, so the cluster's identity is there before the cluster.
const identity = new AzureKeyIdentity("aks", { resourceGroupName, location, protectIdentity: protect });
const networkContributor = Object.entries({ nodes, "api-server": apiServer }).map(
  ([name, { id }]) =>
    new RoleAssignment(`aks-${name}`, {
      scope: id,
      principalId: identity.objectId,
      principalType: "ServicePrincipal",
      roleDefinitionId: pulumi.interpolate`/subscriptions/${getClientConfigOutput().subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/4d97b98b-1d4f-4787-a291-c67834d212e7`,
    }),
);

const cluster = new ManagedCluster(
  "aks",
  {
    resourceGroupName,
    location,
    dnsPrefix: "kms-aks",
    identity: { type: "UserAssigned", userAssignedIdentities: [identity.identityId] },
    // Without it AKS can't reach a private vault.
    apiServerAccessProfile: { enablePrivateCluster: true, enableVnetIntegration: true, subnetId: apiServer.id },
    agentPoolProfiles: [
      {
        name: "system",
        mode: "System",
        vmSize: config.get("nodeSize") ?? "Standard_D2s_v5",
        count: config.getNumber("nodeCount") ?? 2,
        vnetSubnetID: nodes.id,
      },
    ],
    networkProfile: { networkPlugin: "azure", networkPluginMode: "overlay" },
  },
  // KmsEtcdEncryption sets these, in the cluster itself.
  { dependsOn: networkContributor, ignoreChanges: ["securityProfile"] },
);

const encryption = new KmsEtcdEncryption("etcd", {
  keyVersion: config.requireNumber("keyVersion"), // the version that encrypts: raise it to rotate
  ...(newestKeyVersion === undefined ? {} : { newestKeyVersion }), // names the newer key while rolling back
  enabled: config.getBoolean("enabled") ?? true,
  protectKeys: protect,
  azureKeyVault: {
    resourceGroupName,
    location,
    // The rollout takes the cluster from one to the other: encryption off, Secrets rewritten, vault changed, encryption on.
    vaultNetworkAccess: config.get<VaultNetworkAccess>("vaultNetworkAccess") ?? VaultNetworkAccess.Private,
    // AKS makes an endpoint of its own. This one is for people and pipelines in the network.
    privateEndpoint: {
      resourceGroupName,
      location,
      subnetId: endpoints.id,
      virtualNetworkIds: { cluster: network.id },
    },
  },
  // The identity may also connect AKS to the vault: Key Vault Contributor.
  aks: {
    clusterId: cluster.id,
    identityId: identity.identityId,
    // Through Azure, because there is no way to the API servers from outside. In the network: leave it out.
    kubernetes: { reach: AksReach.RunCommand },
  },
});

export const clusterName = cluster.name;
export const groupName = resourceGroupName;
export const activeKeyVersion = encryption.activeKeyVersion;
export const evidence = encryption.evidence;
