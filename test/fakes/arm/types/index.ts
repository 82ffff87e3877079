/** All resource types that the model has, by lower-case name. */
import type { ArmType } from "../arm-type";
import { registries } from "./container-registry";
import { managedClusters } from "./managed-clusters";
import { userAssignedIdentities } from "./managed-identity";
import { actionGroups, diagnosticSettings, metricAlerts, scheduledQueryRules, workspaces } from "./monitor";
import { privateDnsZoneGroups, privateDnsZones, privateEndpoints, zoneLinks } from "./private-endpoints";
import { resourceGroups } from "./resource-group";
import { roleAssignments } from "./role-assignments";
import { vaultKeys, vaultKeyVersions } from "./vault-keys";
import { deletedVaults, vaults } from "./vaults";
import { virtualMachines } from "./virtual-machines";
import { securityGroups, subnets, virtualNetworks } from "./virtual-networks";

const all: readonly ArmType[] = [
  resourceGroups,
  vaults,
  vaultKeys,
  vaultKeyVersions,
  deletedVaults,
  userAssignedIdentities,
  roleAssignments,
  virtualNetworks,
  subnets,
  securityGroups,
  privateEndpoints,
  privateDnsZoneGroups,
  privateDnsZones,
  zoneLinks,
  managedClusters,
  diagnosticSettings,
  scheduledQueryRules,
  metricAlerts,
  actionGroups,
  workspaces,
  registries,
  virtualMachines,
];

export const armTypes: ReadonlyMap<string, ArmType> = new Map(all.map((type) => [type.type.toLowerCase(), type]));
