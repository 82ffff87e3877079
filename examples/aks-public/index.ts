/** A cluster of AKS and a public vault, from the resource group on: the cluster's Secrets are encrypted with a key in the vault. */

import { getClientConfigOutput } from "@pulumi/azure-native/authorization/getClientConfig";
import { RoleAssignment } from "@pulumi/azure-native/authorization/roleAssignment";
import { ManagedCluster } from "@pulumi/azure-native/containerservice/managedCluster";
import { Subnet } from "@pulumi/azure-native/network/subnet";
import { VirtualNetwork } from "@pulumi/azure-native/network/virtualNetwork";
import { Workspace } from "@pulumi/azure-native/operationalinsights/workspace";
import { ResourceGroup } from "@pulumi/azure-native/resources/resourceGroup";
import * as pulumi from "@pulumi/pulumi";
import { AzureKeyIdentity, KmsEtcdEncryption } from "../../components";

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
const nodes = new Subnet("nodes", {
  resourceGroupName,
  virtualNetworkName: network.name,
  addressPrefix: "10.0.0.0/22",
});

// The vault has to know the cluster before KMS is turned on, so the cluster's identity is there before the cluster.
const identity = new AzureKeyIdentity("aks", { resourceGroupName, location, protectIdentity: protect });
const networkContributor = new RoleAssignment("aks-nodes", {
  scope: nodes.id,
  principalId: identity.objectId,
  principalType: "ServicePrincipal",
  roleDefinitionId: pulumi.interpolate`/subscriptions/${getClientConfigOutput().subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/4d97b98b-1d4f-4787-a291-c67834d212e7`,
});

const cluster = new ManagedCluster(
  "aks",
  {
    resourceGroupName,
    location,
    dnsPrefix: "kms-aks",
    identity: { type: "UserAssigned", userAssignedIdentities: [identity.identityId] },
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
  { dependsOn: [networkContributor], ignoreChanges: ["securityProfile"] },
);

// The vault's audit log, the API servers' log and alerts on keys, if they are asked for.
const logs =
  config.getBoolean("monitoring") === true
    ? new Workspace("logs", { resourceGroupName, location, retentionInDays: 30, sku: { name: "PerGB2018" } })
    : undefined;

const encryption = new KmsEtcdEncryption("etcd", {
  keyVersion: config.requireNumber("keyVersion"), // the version that encrypts: raise it to rotate
  ...(newestKeyVersion === undefined ? {} : { newestKeyVersion }), // names the newer key while rolling back
  enabled: config.getBoolean("enabled") ?? true,
  protectKeys: protect,
  azureKeyVault: {
    resourceGroupName,
    location,
    ...(logs === undefined
      ? {}
      : { monitoring: { workspaceId: logs.id, resourceGroupName, location, clusterId: cluster.id } }),
  },
  aks: { clusterId: cluster.id, identityId: identity.identityId },
});

export const clusterName = cluster.name;
export const groupName = resourceGroupName;
export const activeKeyVersion = encryption.activeKeyVersion;
export const evidence = encryption.evidence;
