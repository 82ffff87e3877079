/** A cluster of AKS for a test of the driver: the fake ARM behind our own client, and Secrets that remember what they are stored under. */

import { randomUUID } from "node:crypto";
import { Agent } from "undici";
import { KmsEtcdError } from "../../../../core/errors";
import { freshGrants } from "../../../../rotation/adapters/aks/grants";
import type { KmsSettings } from "../../../../rotation/adapters/aks/kms-settings";
import { stableApiVersion, type VaultNetwork } from "../../../../rotation/adapters/aks/kms-settings";
import { managedCluster } from "../../../../rotation/adapters/aks/managed-cluster";
import type { AksTarget } from "../../../../rotation/adapters/aks/run-aks";
import type { SecretsRewriter } from "../../../../rotation/adapters/aks/secrets-rewriter";
import { vaultNetworkAccess } from "../../../../rotation/adapters/aks/vault-network";
import { type ArmClient, createArmClient } from "../../../../rotation/adapters/azure/arm-client";
import { azureCloud } from "../../../../rotation/adapters/azure/azure-cloud";
import { createCredential } from "../../../../rotation/adapters/azure/credential";
import { type ArmRequests, armRequests } from "../../../fakes/arm/arm-requests";
import { type FakeArm, startFakeArm } from "../../../fakes/arm/fake-arm";
import type { MemoryCluster } from "../../../fakes/arm/memory-cluster";
import { type Role, roles } from "../../../fakes/arm/roles";
import { type JsonObject, textAt } from "../../../fakes/arm/shape";
import { sdkHttpClient } from "../../../fakes/azure/sdk-http-client";

export interface AksSide {
  readonly fake: FakeArm;
  readonly arm: ArmRequests;
  readonly client: ArmClient;
  readonly principalId: string;
  /** Makes a cluster; `properties` beside what every cluster has. */
  cluster(properties?: JsonObject): Promise<TestCluster>;
  vault(network?: VaultNetwork, granted?: readonly Role[]): Promise<TestVault>;
  /** Grants it to the clusters' identity by a request, so that it takes its time. */
  assign(role: Role, scope: string): Promise<void>;
  close(): Promise<void>;
}

export interface TestCluster {
  readonly id: string;
  readonly memory: MemoryCluster;
  /** The API servers do not answer the next so many times. */
  away(times: number): void;
  /** `spreadMs`: how long a grant may take to arrive. */
  target(vault?: TestVault, spreadMs?: number): AksTarget;
  state(): Promise<string>;
}

export interface TestVault {
  readonly id: string;
  /** The identifier of a key that is made, with its version. */
  key(name: string): Promise<string>;
  network(): Promise<string>;
}

export async function startAksSide(): Promise<AksSide> {
  const fake = await startFakeArm({ secondOpinion: "cached" });
  const arm = armRequests(fake);
  const agent = new Agent({ connect: fake.azure.connect });
  const environment = fake.credentials();
  const calls = { httpClient: sdkHttpClient(agent) };
  const cloud = azureCloud(environment);
  const client = createArmClient(createCredential(environment, cloud, calls), cloud, calls, 20);
  const group = await arm.group();
  const identity = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kms`;
  const made = await arm.put(identity, "2023-01-31", { location: "westeurope" });
  const principalId = textAt(made.body, "properties", "principalId");
  fake.arm.access.grant(principalId, roles.networkContributor, group);
  const network = `${group}/providers/Microsoft.Network/virtualNetworks/net`;
  const delegations = [{ name: "aks", properties: { serviceName: "Microsoft.ContainerService/managedClusters" } }];
  await arm.put(network, "2024-05-01", {
    location: "westeurope",
    properties: {
      addressSpace: { addressPrefixes: ["10.0.0.0/16"] },
      subnets: [{ name: "api", properties: { addressPrefix: "10.0.0.0/28", delegations } }],
    },
  });
  let count = 0;

  return {
    fake,
    arm,
    client,
    principalId,
    async cluster(properties = {}) {
      count += 1;
      const id = `${group}/providers/Microsoft.ContainerService/managedClusters/aks-${count}`;
      const { status, message } = await arm.put(id, stableApiVersion, {
        location: "westeurope",
        tags: { team: "platform" },
        identity: { type: "UserAssigned", userAssignedIdentities: { [identity]: {} } },
        properties: {
          dnsPrefix: "kms",
          kubernetesVersion: "1.34",
          agentPoolProfiles: [{ name: "system", mode: "System", count: 1, vmSize: "Standard_D2s_v5" }],
          apiServerAccessProfile: { enableVnetIntegration: true, subnetId: `${network}/subnets/api` },
          ...properties,
        },
      });
      if (status !== 200) throw new Error(message);
      const memory = fake.memoryCluster(id);
      let absent = 0;
      return {
        id,
        memory,
        away: (times) => void (absent = times),
        target: (vault, spreadMs = 200) => ({
          cluster: managedCluster(client, id, { spreadMs, pauseMs: 20, busyMs: 10_000 }),
          grants: freshGrants(client, spreadMs),
          openRewriter: async () => {
            if (absent > 0) absent -= 1;
            return memoryRewriter(memory, absent > 0);
          },
          ...(vault === undefined ? {} : { vault: vaultNetworkAccess(client, vault.id) }),
        }),
        async state() {
          const { body } = await arm.ask("GET", id, stableApiVersion);
          return textAt(body, "properties", "provisioningState");
        },
      };
    },
    async vault(access = "Public", granted = [roles.keyVaultCryptoUser, roles.keyVaultContributor]) {
      count += 1;
      const id = `${group}/providers/Microsoft.KeyVault/vaults/aksvault${count}`;
      await arm.put(id, "2026-02-01", {
        location: "westeurope",
        properties: {
          tenantId: fake.tenantId,
          sku: { family: "A", name: "standard" },
          enableRbacAuthorization: true,
          publicNetworkAccess: access === "Public" ? "Enabled" : "Disabled",
          networkAcls: { bypass: "AzureServices", defaultAction: access === "Public" ? "Allow" : "Deny" },
        },
      });
      for (const role of granted) fake.arm.access.grant(principalId, role, id);
      return {
        id,
        async key(name) {
          const { body } = await arm.put(`${id}/keys/${name}`, "2026-02-01", { properties: { kty: "RSA" } });
          return textAt(body, "properties", "keyUriWithVersion");
        },
        async network() {
          const { body } = await arm.ask("GET", id, "2026-02-01");
          return textAt(body, "properties", "publicNetworkAccess");
        },
      };
    },
    async assign(role, scope) {
      const id = `${scope}/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`;
      const roleDefinitionId = `/subscriptions/${fake.subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${role.id}`;
      const properties = { principalId, principalType: "ServicePrincipal", roleDefinitionId };
      const { status, message } = await arm.put(id, "2022-04-01", { properties });
      if (status >= 300) throw new Error(message);
    },
    async close() {
      await agent.close();
      await arm.close();
      await fake.close();
    },
  };
}

/** As an API server does it: what is stored as it would be stored stays as it is. */
function memoryRewriter(memory: MemoryCluster, isAway: boolean): SecretsRewriter {
  return {
    async rewrite(onProgress) {
      if (isAway) throw new KmsEtcdError("unreachable", "aks: GET /api: connect ECONNREFUSED");
      const before = memory.stored();
      memory.rewriteSecrets();
      const after = memory.stored();
      const names = Object.keys(before);
      onProgress({ done: names.length, total: names.length });
      const rewritten = names.filter((name) => before[name] !== after[name]).length;
      return { offered: names.length, rewritten, failures: [] };
    },
    async count() {
      if (isAway) throw new KmsEtcdError("unreachable", "aks: GET /api: connect ECONNREFUSED");
      return Object.keys(memory.stored()).length;
    },
    close: async () => undefined,
  };
}

/** The KMS plugin with this key, in a vault that anyone may reach. */
export function publicly(keyId: string): KmsSettings {
  return { mode: "legacy", keyId, networkAccess: "Public" };
}
