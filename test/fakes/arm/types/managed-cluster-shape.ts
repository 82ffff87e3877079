/** The body of a managed cluster. Parts that have nothing to do with KMS are left to the second opinion (`json`). */
import {
  flag,
  flat,
  immutable,
  integer,
  inVersions,
  json,
  list,
  map,
  object,
  oneOf,
  readOnly,
  required,
  type Shape,
  tags,
  text,
  texts,
  writeOnly,
} from "../shape";
import { tracked } from "./common";

export const clusterType = "Microsoft.ContainerService/managedClusters";

const stable = [
  "2025-09-01",
  "2025-10-01",
  "2026-01-01",
  "2026-02-01",
  "2026-03-01",
  "2026-04-01",
  "2026-05-01",
  "2026-06-01",
  "2026-08-01",
];
const previews = [
  "2025-06-02-preview",
  "2025-09-02-preview",
  "2025-10-02-preview",
  "2026-02-02-preview",
  "2026-03-02-preview",
  "2026-05-02-preview",
];
export const clusterApiVersions = [...stable, ...previews];

/** facts/aks.md 1.2: in every preview from 2025-06-02; of the stable ones 2026-08-01 has it (azure-mgmt-containerservice 41.8.0). */
export function hasObjectEncryption(apiVersion: string): boolean {
  return apiVersion.endsWith("-preview") || apiVersion >= "2026-08-01";
}

/** Not in the SDK of 2025-09-01, and in the publisher's models of 2026-08-01; since when is not known. */
const isLate = (apiVersion: string) => apiVersion >= "2026-08-01";
const isLatePreview = (apiVersion: string) => isLate(apiVersion) || apiVersion.startsWith("2026-05-02");

export const kmsShape = object({
  enabled: flag(),
  keyId: text(),
  keyVaultNetworkAccess: oneOf("Public", "Private"),
  keyVaultResourceId: text(),
});

const identityReference = object({ resourceId: text(), clientId: text(), objectId: text() });

const agentPool: Shape = object({
  name: required(text(/^[a-z][a-z0-9]{0,11}$/)),
  count: integer(0, 1000),
  vmSize: text(),
  mode: oneOf("System", "User", "Gateway"),
  type: oneOf("VirtualMachineScaleSets", "AvailabilitySet", "VirtualMachines"),
  osType: oneOf("Linux", "Windows"),
  osSKU: text(),
  osDiskSizeGB: integer(0, 2048),
  osDiskType: oneOf("Managed", "Ephemeral"),
  kubeletDiskType: oneOf("OS", "Temporary"),
  maxPods: integer(10, 250),
  minCount: integer(0, 1000),
  maxCount: integer(0, 1000),
  enableAutoScaling: flag(),
  enableEncryptionAtHost: flag(),
  enableFIPS: flag(),
  enableNodePublicIP: flag(),
  enableUltraSSD: flag(),
  vnetSubnetID: text(),
  podSubnetID: text(),
  availabilityZones: texts(),
  nodeLabels: map(text()),
  nodeTaints: texts(),
  tags: tags(),
  orchestratorVersion: text(),
  upgradeSettings: json(),
  securityProfile: json(),
  scaleSetPriority: oneOf("Spot", "Regular"),
  scaleDownMode: oneOf("Delete", "Deallocate"),
  powerState: json(),
  workloadRuntime: text(),
  networkProfile: json(),
  kubeletConfig: json(),
  linuxOSConfig: json(),
  windowsProfile: json(),
  currentOrchestratorVersion: readOnly(text()),
  nodeImageVersion: readOnly(text()),
  provisioningState: readOnly(text()),
  eTag: readOnly(text()),
  status: readOnly(json()),
});

const networkProfile = object({
  networkPlugin: immutable(oneOf("azure", "kubenet", "none")),
  networkPluginMode: oneOf("overlay"),
  networkPolicy: oneOf("none", "calico", "azure", "cilium"),
  networkMode: immutable(oneOf("transparent", "bridge")),
  networkDataplane: oneOf("azure", "cilium"),
  advancedNetworking: json(),
  podCidr: immutable(text()),
  podCidrs: immutable(texts()),
  serviceCidr: immutable(text()),
  serviceCidrs: immutable(texts()),
  dnsServiceIP: immutable(text()),
  ipFamilies: texts(),
  outboundType: oneOf(
    "loadBalancer",
    "userDefinedRouting",
    "managedNATGateway",
    "userAssignedNATGateway",
    "none",
    "block",
  ),
  loadBalancerSku: immutable(oneOf("standard", "basic")),
  loadBalancerProfile: json(),
  natGatewayProfile: json(),
  staticEgressGatewayProfile: json(),
});

export const managedClusterShape = object({
  ...tracked,
  eTag: readOnly(text()),
  kind: text(),
  extendedLocation: json(),
  sku: object({ name: oneOf("Base", "Automatic"), tier: oneOf("Free", "Standard", "Premium") }),
  identity: object({
    type: oneOf("SystemAssigned", "UserAssigned", "None"),
    principalId: readOnly(text()),
    tenantId: readOnly(text()),
    delegatedResources: json(),
    userAssignedIdentities: {
      kind: "map",
      of: object({ principalId: readOnly(text()), clientId: readOnly(text()) }),
      sdkList: true,
    },
  }),
  properties: flat(
    object({
      kubernetesVersion: text(/^\d+\.\d+(\.\d+)?$/),
      dnsPrefix: immutable(text()),
      fqdnSubdomain: immutable(text()),
      agentPoolProfiles: list(agentPool),
      linuxProfile: immutable(
        object({
          adminUsername: required(text()),
          ssh: required(object({ publicKeys: required(list(object({ keyData: required(text()) }))) })),
        }),
      ),
      windowsProfile: object({
        adminUsername: required(text()),
        adminPassword: writeOnly(text()),
        licenseType: oneOf("None", "Windows_Server"),
        enableCSIProxy: flag(),
        gmsaProfile: json(),
      }),
      servicePrincipalProfile: object({ clientId: required(text()), secret: writeOnly(text()) }),
      addonProfiles: map(
        object({ enabled: required(flag()), config: map(text()), identity: readOnly(identityReference) }),
      ),
      podIdentityProfile: json(),
      oidcIssuerProfile: object({ enabled: flag(), issuerURL: readOnly(text()) }),
      nodeResourceGroup: immutable(text()),
      nodeResourceGroupProfile: json(),
      enableRBAC: immutable(flag()),
      supportPlan: oneOf("KubernetesOfficial", "AKSLongTermSupport"),
      networkProfile,
      aadProfile: object({
        managed: flag(),
        enableAzureRBAC: flag(),
        adminGroupObjectIDs: texts(),
        clientAppID: text(),
        serverAppID: text(),
        serverAppSecret: writeOnly(text()),
        tenantID: text(),
      }),
      autoUpgradeProfile: object({
        upgradeChannel: oneOf("rapid", "stable", "patch", "node-image", "none"),
        nodeOSUpgradeChannel: oneOf("None", "Unmanaged", "NodeImage", "SecurityPatch"),
      }),
      autoScalerProfile: json(),
      apiServerAccessProfile: object({
        authorizedIPRanges: texts(),
        enablePrivateCluster: flag(),
        privateDNSZone: text(),
        enablePrivateClusterPublicFQDN: flag(),
        disableRunCommand: flag(),
        enableVnetIntegration: flag(),
        subnetId: text(),
      }),
      diskEncryptionSetID: immutable(text()),
      identityProfile: map(identityReference),
      privateLinkResources: json(),
      disableLocalAccounts: flag(),
      httpProxyConfig: json(),
      securityProfile: object({
        azureKeyVaultKms: kmsShape,
        kubernetesResourceObjectEncryptionProfile: inVersions(
          hasObjectEncryption,
          object({ infrastructureEncryption: oneOf("Enabled", "Disabled") }),
        ),
        defender: json(),
        workloadIdentity: object({ enabled: flag() }),
        imageCleaner: object({ enabled: flag(), intervalHours: integer() }),
        customCATrustCertificates: texts(),
      }),
      storageProfile: json(),
      ingressProfile: json(),
      publicNetworkAccess: oneOf("Enabled", "Disabled"),
      workloadAutoScalerProfile: json(),
      azureMonitorProfile: json(),
      serviceMeshProfile: json(),
      metricsProfile: json(),
      nodeProvisioningProfile: json(),
      bootstrapProfile: json(),
      aiToolchainOperatorProfile: json(),
      schedulerProfile: inVersions(isLate, json()),
      hostedSystemProfile: inVersions(isLatePreview, json()),
      upgradeSettings: json(),
      fqdn: readOnly(text()),
      privateFQDN: readOnly(text()),
      azurePortalFQDN: readOnly(text()),
      currentKubernetesVersion: readOnly(text()),
      maxAgentPools: readOnly(integer()),
      powerState: readOnly(json()),
      provisioningState: readOnly(text()),
      resourceUID: readOnly(text()),
      status: readOnly(json()),
    }),
  ),
});
