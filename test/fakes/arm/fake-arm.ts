/** An Azure for a test: Entra, Key Vault and ARM together, with a subscription and somebody who owns it. */
import { randomUUID } from "node:crypto";
import { type FakeAzure, startFakeAzure } from "../azure/azure-cloud";
import type { Application } from "../azure/entra";
import { type ArmModel, createArmModel } from "./arm-model";
import { createKeyVaults } from "./key-vaults";
import { createKmsClusters, type KmsClusterFactory } from "./kms-cluster";
import { createMemoryCluster, type MemoryCluster } from "./memory-cluster";
import { openRestDoor } from "./rest-door";
import { type Role, roles } from "./roles";
import { checkBodies, type SecondOpinionPolicy } from "./second-opinion";

export interface FakeArm {
  readonly azure: FakeAzure;
  readonly arm: ArmModel;
  readonly tenantId: string;
  readonly subscriptionId: string;
  /** An application with a secret that owns the subscription: who deploys. */
  readonly deployer: Application & { readonly secret: string };
  /** Another one, with the roles that it is given. */
  addApplication(...granted: readonly Role[]): Application & { readonly secret: string };
  /** A token for ARM. */
  token(application: Application): string;
  /** What the azure-native plugin, and any other client of Azure's, takes from its environment. */
  credentials(application?: Application & { readonly secret: string }): Record<string, string>;
  /** The control plane behind a cluster, where it is the one in memory. */
  memoryCluster(id: string): MemoryCluster;
  /** Ends it, and throws when the second opinion finds a body wrong that the model has taken. */
  close(): Promise<void>;
}

export interface FakeArmOptions {
  readonly kmsCluster?: KmsClusterFactory;
  /** `cached` is for unit tests, which get nothing: then bodies are checked where the publisher's models are there. @default "required" */
  readonly secondOpinion?: SecondOpinionPolicy;
}

export async function startFakeArm(options: FakeArmOptions = {}): Promise<FakeArm> {
  const azure = await startFakeAzure();
  const now = () => Date.now() + azure.clockAheadMs;
  const memory = new Map<string, MemoryCluster>();
  const kmsClusters = createKmsClusters(
    options.kmsCluster ??
      ((cluster) => {
        const made = createMemoryCluster(cluster);
        memory.set(cluster.id.toLowerCase(), made);
        return made;
      }),
  );
  const arm = createArmModel({ now, kmsClusters, keyVaults: (world) => createKeyVaults(azure, world) });
  openRestDoor(azure, arm, now);
  const tenantId = randomUUID();
  const subscriptionId = arm.addSubscription(tenantId);

  function addApplication(...granted: readonly Role[]) {
    const application = { ...azure.entra.addApplication({ tenantId, secret: randomUUID() }) };
    arm.directory.add(application.objectId, "ServicePrincipal");
    for (const role of granted) arm.access.grant(application.objectId, role, `/subscriptions/${subscriptionId}`);
    return application as Application & { readonly secret: string };
  }

  const deployer = addApplication(roles.owner);
  return {
    azure,
    arm,
    tenantId,
    subscriptionId,
    deployer,
    addApplication,
    token: (application) => azure.entra.issue(application, "https://management.azure.com").accessToken,
    credentials: (application = deployer) => ({
      ARM_TENANT_ID: tenantId,
      ARM_SUBSCRIPTION_ID: subscriptionId,
      ARM_CLIENT_ID: application.clientId,
      ARM_CLIENT_SECRET: application.secret,
    }),
    memoryCluster(id) {
      const cluster = memory.get(id.toLowerCase());
      if (cluster === undefined) throw new Error(`there is no control plane in memory behind ${id}`);
      return cluster;
    },
    async close() {
      await arm.close();
      await azure.close();
      await checkBodies(arm.bodies, options.secondOpinion ?? "required");
    },
  };
}
