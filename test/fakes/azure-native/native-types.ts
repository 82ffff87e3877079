/**
 * The azure-native SDK's resource types that the stand-in has, at the API versions that @pulumi/azure-native 3.28.0 uses. A path
 * is ARM's, with the SDK's arguments in it; the last one is named by the provider when the program does not.
 */

import type { ArmType } from "../arm/arm-type";
import { armTypes } from "../arm/types/index";

export interface NativeType {
  readonly token: string;
  readonly arm: ArmType;
  readonly path: string;
  readonly apiVersion: string;
  /** Arguments have a `properties` object where outputs do not. */
  readonly nestedInput?: true;
  /** Beside the path's arguments and the location: what makes a new resource of it, as SDK paths. */
  readonly replaceOn?: readonly string[];
  /** ARM properties that a PUT keeps when the program does not set them, because other resources of the program are in them. */
  readonly keeps?: readonly string[];
  /** How a name is made. @default "suffix" */
  readonly naming?: "suffix" | "uuid" | "none";
  /** Deleted through Key Vault's data plane. */
  readonly deletedByKeyVault?: true;
}

const group = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}";

const rows: readonly (Omit<NativeType, "token" | "arm"> & { readonly token: string; readonly type: string })[] = [
  {
    token: "resources:ResourceGroup",
    type: "Microsoft.Resources/resourceGroups",
    path: group,
    apiVersion: "2024-03-01",
    replaceOn: ["managedBy"],
  },
  {
    token: "keyvault:Vault",
    type: "Microsoft.KeyVault/vaults",
    path: `${group}/providers/Microsoft.KeyVault/vaults/{vaultName}`,
    apiVersion: "2024-11-01",
    keeps: ["accessPolicies"],
  },
  {
    token: "keyvault:Key",
    type: "Microsoft.KeyVault/vaults/keys",
    path: `${group}/providers/Microsoft.KeyVault/vaults/{vaultName}/keys/{keyName}`,
    apiVersion: "2024-11-01",
    nestedInput: true,
    deletedByKeyVault: true,
  },
  {
    token: "managedidentity:UserAssignedIdentity",
    type: "Microsoft.ManagedIdentity/userAssignedIdentities",
    path: `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}`,
    apiVersion: "2023-01-31",
  },
  {
    token: "authorization:RoleAssignment",
    type: "Microsoft.Authorization/roleAssignments",
    path: "/{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}",
    apiVersion: "2022-04-01",
    replaceOn: ["principalId", "roleDefinitionId", "principalType"],
    naming: "uuid",
  },
  {
    token: "network:VirtualNetwork",
    type: "Microsoft.Network/virtualNetworks",
    path: `${group}/providers/Microsoft.Network/virtualNetworks/{virtualNetworkName}`,
    apiVersion: "2024-05-01",
    keeps: ["subnets"],
  },
  {
    token: "network:Subnet",
    type: "Microsoft.Network/virtualNetworks/subnets",
    path: `${group}/providers/Microsoft.Network/virtualNetworks/{virtualNetworkName}/subnets/{subnetName}`,
    apiVersion: "2024-05-01",
  },
  {
    token: "network:NetworkSecurityGroup",
    type: "Microsoft.Network/networkSecurityGroups",
    path: `${group}/providers/Microsoft.Network/networkSecurityGroups/{networkSecurityGroupName}`,
    apiVersion: "2024-05-01",
  },
  {
    token: "network:PrivateEndpoint",
    type: "Microsoft.Network/privateEndpoints",
    path: `${group}/providers/Microsoft.Network/privateEndpoints/{privateEndpointName}`,
    apiVersion: "2024-05-01",
    replaceOn: ["subnet"],
  },
  {
    token: "network:PrivateDnsZoneGroup",
    type: "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
    path: `${group}/providers/Microsoft.Network/privateEndpoints/{privateEndpointName}/privateDnsZoneGroups/{privateDnsZoneGroupName}`,
    apiVersion: "2024-05-01",
  },
  {
    token: "privatedns:PrivateZone",
    type: "Microsoft.Network/privateDnsZones",
    path: `${group}/providers/Microsoft.Network/privateDnsZones/{privateZoneName}`,
    apiVersion: "2024-06-01",
  },
  {
    token: "privatedns:VirtualNetworkLink",
    type: "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
    path: `${group}/providers/Microsoft.Network/privateDnsZones/{privateZoneName}/virtualNetworkLinks/{virtualNetworkLinkName}`,
    apiVersion: "2024-06-01",
    replaceOn: ["virtualNetwork"],
  },
  {
    token: "compute:VirtualMachine",
    type: "Microsoft.Compute/virtualMachines",
    path: `${group}/providers/Microsoft.Compute/virtualMachines/{vmName}`,
    apiVersion: "2024-11-01",
  },
  {
    token: "containerservice:ManagedCluster",
    type: "Microsoft.ContainerService/managedClusters",
    path: `${group}/providers/Microsoft.ContainerService/managedClusters/{resourceName}`,
    apiVersion: "2025-09-01",
    replaceOn: [
      ...["diskEncryptionSetID", "dnsPrefix", "fqdnSubdomain", "linuxProfile", "nodeResourceGroup", "windowsProfile"],
      ...[
        "serviceCidr",
        "serviceCidrs",
        "dnsServiceIP",
        "networkMode",
        "networkPlugin",
        "networkPluginMode",
        "podCidr",
      ].map((name) => `networkProfile.${name}`),
      ...["networkDataplane", "networkPolicy", "outboundType"].map((name) => `networkProfile.${name}`),
    ],
  },
  {
    token: "monitor:DiagnosticSetting",
    type: "Microsoft.Insights/diagnosticSettings",
    path: "/{resourceUri}/providers/Microsoft.Insights/diagnosticSettings/{name}",
    apiVersion: "2021-05-01-preview",
  },
  {
    token: "monitor:ScheduledQueryRule",
    type: "Microsoft.Insights/scheduledQueryRules",
    path: `${group}/providers/Microsoft.Insights/scheduledQueryRules/{ruleName}`,
    apiVersion: "2025-01-01-preview",
  },
  {
    token: "monitor:MetricAlert",
    type: "Microsoft.Insights/metricAlerts",
    path: `${group}/providers/Microsoft.Insights/metricAlerts/{ruleName}`,
    apiVersion: "2018-03-01",
  },
  {
    token: "monitor:ActionGroup",
    type: "Microsoft.Insights/actionGroups",
    path: `${group}/providers/Microsoft.Insights/actionGroups/{actionGroupName}`,
    apiVersion: "2024-10-01-preview",
  },
  {
    token: "operationalinsights:Workspace",
    type: "Microsoft.OperationalInsights/workspaces",
    path: `${group}/providers/Microsoft.OperationalInsights/workspaces/{workspaceName}`,
    apiVersion: "2023-09-01",
  },
  {
    token: "containerregistry:Registry",
    type: "Microsoft.ContainerRegistry/registries",
    path: `${group}/providers/Microsoft.ContainerRegistry/registries/{registryName}`,
    apiVersion: "2023-01-01-preview",
  },
];

export const nativeTypes: ReadonlyMap<string, NativeType> = new Map(
  rows.map(({ type, ...row }) => {
    const arm = armTypes.get(type.toLowerCase());
    if (arm === undefined) throw new Error(`the model has no ${type}`);
    const token = `azure-native:${row.token}`;
    return [token, { ...row, token, arm }];
  }),
);

/** The arguments that stand in the path, the resource's own name last. */
export function pathArguments(type: Pick<NativeType, "path">): readonly string[] {
  return [...type.path.matchAll(/\{(\w+)\}/g)]
    .map((match) => match[1] ?? "")
    .filter((name) => name !== "subscriptionId");
}
