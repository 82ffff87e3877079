/**
 * The parts of @pulumi/azure-native that are used, loaded by the first component that makes something in Azure: the package is an optional
 * peer, and programs for other clouds need not have it.
 */
import type * as clientConfig from "@pulumi/azure-native/authorization/getClientConfig";
import type * as roleAssignment from "@pulumi/azure-native/authorization/roleAssignment";
import type * as virtualMachine from "@pulumi/azure-native/compute/getVirtualMachine";
import type * as accessPolicy from "@pulumi/azure-native/keyvault/accessPolicy";
import type * as foundVault from "@pulumi/azure-native/keyvault/getVault";
import type * as key from "@pulumi/azure-native/keyvault/key";
import type * as vault from "@pulumi/azure-native/keyvault/vault";
import type * as foundIdentity from "@pulumi/azure-native/managedidentity/getUserAssignedIdentity";
import type * as identity from "@pulumi/azure-native/managedidentity/userAssignedIdentity";
import type * as diagnosticSetting from "@pulumi/azure-native/monitor/diagnosticSetting";
import type * as queryRule from "@pulumi/azure-native/monitor/scheduledQueryRule";
import type * as zoneGroup from "@pulumi/azure-native/network/privateDnsZoneGroup";
import type * as privateEndpoint from "@pulumi/azure-native/network/privateEndpoint";
import type * as zone from "@pulumi/azure-native/privatedns/privateZone";
import type * as networkLink from "@pulumi/azure-native/privatedns/virtualNetworkLink";
import * as pulumi from "@pulumi/pulumi";

/** The version that the tests run with. */
const testedVersion = "3.28.0";

export type AzureNative = Pick<typeof accessPolicy, "AccessPolicy"> &
  Pick<typeof clientConfig, "getClientConfig"> &
  Pick<typeof diagnosticSetting, "DiagnosticSetting"> &
  Pick<typeof foundIdentity, "getUserAssignedIdentity"> &
  Pick<typeof foundVault, "getVault"> &
  Pick<typeof identity, "UserAssignedIdentity"> &
  Pick<typeof key, "Key"> &
  Pick<typeof networkLink, "VirtualNetworkLink"> &
  Pick<typeof privateEndpoint, "PrivateEndpoint"> &
  Pick<typeof queryRule, "ScheduledQueryRule"> &
  Pick<typeof roleAssignment, "RoleAssignment"> &
  Pick<typeof vault, "Vault"> &
  Pick<typeof virtualMachine, "getVirtualMachine"> &
  Pick<typeof zone, "PrivateZone"> &
  Pick<typeof zoneGroup, "PrivateDnsZoneGroup">;

/* eslint-disable @typescript-eslint/no-require-imports -- imports at the top would make everybody install the package */
/** Node keeps the modules, so a second call costs nothing. */
export function loadAzureNative(): AzureNative {
  try {
    return {
      ...(require("@pulumi/azure-native/authorization/getClientConfig") as typeof clientConfig),
      ...(require("@pulumi/azure-native/authorization/roleAssignment") as typeof roleAssignment),
      ...(require("@pulumi/azure-native/compute/getVirtualMachine") as typeof virtualMachine),
      ...(require("@pulumi/azure-native/keyvault/accessPolicy") as typeof accessPolicy),
      ...(require("@pulumi/azure-native/keyvault/getVault") as typeof foundVault),
      ...(require("@pulumi/azure-native/keyvault/key") as typeof key),
      ...(require("@pulumi/azure-native/keyvault/vault") as typeof vault),
      ...(require("@pulumi/azure-native/managedidentity/getUserAssignedIdentity") as typeof foundIdentity),
      ...(require("@pulumi/azure-native/managedidentity/userAssignedIdentity") as typeof identity),
      ...(require("@pulumi/azure-native/monitor/diagnosticSetting") as typeof diagnosticSetting),
      ...(require("@pulumi/azure-native/monitor/scheduledQueryRule") as typeof queryRule),
      ...(require("@pulumi/azure-native/network/privateDnsZoneGroup") as typeof zoneGroup),
      ...(require("@pulumi/azure-native/network/privateEndpoint") as typeof privateEndpoint),
      ...(require("@pulumi/azure-native/privatedns/privateZone") as typeof zone),
      ...(require("@pulumi/azure-native/privatedns/virtualNetworkLink") as typeof networkLink),
    };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw cause;
    throw new pulumi.RunError(
      `resources in Azure need the npm package @pulumi/azure-native: npm install @pulumi/azure-native@${testedVersion}`,
    );
  }
}
