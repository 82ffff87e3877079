/** A program with a cluster of AKS, its network, its identity, and KmsEtcdEncryption on it; and the clouds that it runs on. */
import { join } from "node:path";
import { type RealAks, startRealAks } from "../../fakes/aks/real-aks";
import { type AzureProject, azureProject } from "./azure-project";
import { programFiles, repository } from "./pulumi-project";

const program = `
  const pulumi = require("@pulumi/pulumi");
  const { RoleAssignment } = require("@pulumi/azure-native/authorization/roleAssignment");
  const { ManagedCluster } = require("@pulumi/azure-native/containerservice/managedCluster");
  const { VirtualNetwork } = require("@pulumi/azure-native/network/virtualNetwork");
  const { ResourceGroup } = require("@pulumi/azure-native/resources/resourceGroup");
  const { AzureKeyIdentity, KmsEtcdEncryption } = require(${JSON.stringify(join(repository, "dist", "components"))});
  const config = new pulumi.Config();
  const protectKeys = config.getBoolean("protect") ?? true;
  const location = "westeurope";
  const group = new ResourceGroup("group", { resourceGroupName: "rg", location });
  const where = { resourceGroupName: group.name, location };
  const identity = new AzureKeyIdentity("cluster", { ...where, protectIdentity: protectKeys });
  const network = new VirtualNetwork("network", {
    ...where,
    addressSpace: { addressPrefixes: ["10.0.0.0/16"] },
    subnets: [{
      name: "api",
      addressPrefix: "10.0.0.0/28",
      delegations: [{ name: "aks", serviceName: "Microsoft.ContainerService/managedClusters" }],
    }],
  });
  const joins = new RoleAssignment("joins", {
    scope: network.id,
    principalId: identity.objectId,
    principalType: "ServicePrincipal",
    roleDefinitionId: group.id.apply((id) => id.replace(/\\/resourceGroups.*/, "")
      + "/providers/Microsoft.Authorization/roleDefinitions/4d97b98b-1d4f-4787-a291-c67834d212e7"),
  });
  const cluster = new ManagedCluster("aks", {
    ...where,
    resourceName: "aks",
    dnsPrefix: "aks",
    kubernetesVersion: config.get("kubernetesVersion") ?? "1.34",
    identity: { type: "UserAssigned", userAssignedIdentities: [identity.identityId] },
    agentPoolProfiles: [
      { name: "system", mode: "System", count: config.getNumber("nodes") ?? 1, vmSize: "Standard_D2s_v5" },
    ],
    apiServerAccessProfile: { enableVnetIntegration: true, subnetId: pulumi.interpolate\`\${network.id}/subnets/api\` },
  }, { dependsOn: [joins], ignoreChanges: ["securityProfile"] });
  const mode = config.get("mode");
  const other = config.getBoolean("otherVault") === true ? otherVault() : undefined;
  const encryption = new KmsEtcdEncryption("etcd", {
    // With KMS data encryption the platform rotates.
    ...(mode === undefined || config.getBoolean("insist") ? { keyVersion: config.requireNumber("keyVersion") } : {}),
    ...(mode === undefined || config.getBoolean("insist") ? { enabled: config.getBoolean("enabled") ?? true } : {}),
    ...(config.getNumber("newestKeyVersion") === undefined ? {} : { newestKeyVersion: config.getNumber("newestKeyVersion") }),
    protectKeys,
    // As a plain text: whoever forgets to mark it as a secret must not find it in the state.
    ...(config.get("reportKey") === undefined ? {} : { reportSigning: { privateKey: config.get("reportKey") } }),
    ...(mode === "PlatformManagedKey" ? {} : {
      azureKeyVault: {
        ...where,
        vaultNetworkAccess: config.get("access") ?? "Public",
        authorization: config.get("authorization") ?? "Rbac",
        ...(other === undefined ? {} : { keyIds: { 2: other } }),
      },
    }),
    aks: {
      clusterId: cluster.id,
      limits: { settleSeconds: 1, grantSeconds: 60 },
      ...(mode === undefined ? {} : { mode }),
      ...(mode === "PlatformManagedKey" ? {} : { identityId: identity.identityId }),
    },
  });
  /** A key in a vault of its own, which the cluster may use. */
  function otherVault() {
    const { AzureKeyVaultKey } = require(${JSON.stringify(join(repository, "dist", "components"))});
    const source = { ...where, vaultName: "another", keyName: "other", keyUsers: { cluster: { identityId: identity.identityId } } };
    const made = new AzureKeyVaultKey("other", { source, newestKeyVersion: 1, protectKeys });
    return pulumi.all([made.keyIds, made.vaultId]).apply(([keyIds]) => keyIds["1"]);
  }
  exports.clusterId = cluster.id;
  exports.activeKeyVersion = encryption.activeKeyVersion;
  exports.atGoal = encryption.atGoal;
  exports.evidence = encryption.evidence;
  exports.report = encryption.report;
`;

export interface AksProject extends Omit<AzureProject, "close"> {
  readonly cloud: RealAks;
  outputs(): Promise<AksProgramOutputs>;
  /** By the name of the key, or `plaintext`: how many Secrets are stored under it, read from etcd by the test's own hand. */
  stored(): Promise<Record<string, number>>;
  close(): Promise<void>;
}

export interface AksProgramOutputs {
  readonly clusterId: string;
  readonly activeKeyVersion: number;
  readonly atGoal: boolean;
  readonly evidence: {
    readonly complete: boolean;
    readonly method: string;
    readonly resources: readonly { readonly objects: number }[];
  };
  readonly report: string;
}

export async function aksProject(): Promise<AksProject> {
  const cloud = await startRealAks({ patienceSeconds: 600 });
  const azure = await azureProject(cloud, (plugins) => programFiles(program, plugins));
  const outputs = async () => (await azure.project.outputs()) as unknown as AksProgramOutputs;
  return {
    ...azure,
    cloud,
    outputs,
    async stored() {
      const counts = await cloud.controlPlaneOf((await outputs()).clusterId).storedUnder();
      return Object.fromEntries(
        Object.entries(counts).map(([under, count]) => [/\/keys\/([^/]+)/.exec(under)?.[1] ?? under, count]),
      );
    },
    async close() {
      azure.close();
      await cloud.close();
    },
  };
}
