/** A program with a cluster of AKS, its network, its identity, and KmsEtcdEncryption on it; and the clouds that it runs on. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RealAks, startRealAks } from "../../fakes/aks/real-aks";
import { azureNativeEnvironment, buildAzureNative } from "../../fakes/azure-native/stand-in";
import { type PulumiProject, type PulumiRun, pulumiProject, repository } from "./pulumi-project";

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
    kubernetesVersion: "1.34",
    identity: { type: "UserAssigned", userAssignedIdentities: [identity.identityId] },
    agentPoolProfiles: [{ name: "system", mode: "System", count: 1, vmSize: "Standard_D2s_v5" }],
    apiServerAccessProfile: { enableVnetIntegration: true, subnetId: pulumi.interpolate\`\${network.id}/subnets/api\` },
  }, { dependsOn: [joins], ignoreChanges: ["securityProfile.azureKeyVaultKms"] });
  const encryption = new KmsEtcdEncryption("etcd", {
    keyVersion: config.requireNumber("keyVersion"),
    enabled: config.getBoolean("enabled") ?? true,
    protectKeys,
    azureKeyVault: { ...where, vaultNetworkAccess: config.get("access") ?? "Public" },
    aks: { clusterId: cluster.id, identityId: identity.identityId, limits: { settleSeconds: 1, grantSeconds: 60 } },
  });
  exports.clusterId = cluster.id;
  exports.activeKeyVersion = encryption.activeKeyVersion;
  exports.atGoal = encryption.atGoal;
  exports.evidence = encryption.evidence;
`;

export interface AksProject {
  readonly cloud: RealAks;
  readonly project: PulumiProject;
  succeed(...args: string[]): Promise<string>;
  run(...args: string[]): Promise<PulumiRun>;
  up(): Promise<string>;
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
}

export async function aksProject(): Promise<AksProject> {
  const cloud = await startRealAks();
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-aks-"));
  const environment = await azureNativeEnvironment(cloud, directory);
  const azureNative = await buildAzureNative(directory);
  const folder = join(directory, "project");
  mkdirSync(folder);
  const project = await pulumiProject({
    directory: folder,
    files: {
      "Pulumi.yaml": JSON.stringify({
        name: "kms-etcd-test",
        main: "index.js",
        runtime: { name: "nodejs", options: { typescript: false } },
        plugins: {
          providers: [
            { name: "kms-etcd", path: join(repository, "provider") },
            { name: "azure-native", path: azureNative },
          ],
        },
      }),
      "index.js": program,
    },
  });
  const succeed = (...args: string[]) => project.succeed(args, environment);
  const outputs = async () => (await project.outputs()) as unknown as AksProgramOutputs;
  return {
    cloud,
    project,
    succeed,
    run: (...args) => project.run(args, environment),
    up: () => succeed("up", "--yes", "--skip-preview"),
    outputs,
    async stored() {
      const counts = await cloud.controlPlaneOf((await outputs()).clusterId).storedUnder();
      return Object.fromEntries(
        Object.entries(counts).map(([under, count]) => [/\/keys\/([^/]+)/.exec(under)?.[1] ?? under, count]),
      );
    },
    async close() {
      rmSync(directory, { recursive: true, force: true });
      await cloud.close();
    },
  };
}
