/** Our client of Azure Resource Manager, and tokens for the API servers of AKS, with the credentials of the environment. */
import { KmsEtcdError } from "../../../core/errors";
import { type ArmClient, createArmClient } from "./arm-client";
import { azureCloud, type Environment } from "./azure-cloud";
import { azureFailure } from "./azure-failure";
import { type CallOptions, createCredential } from "./credential";

export interface ArmAccess {
  readonly arm: ArmClient;
  /** A token of Entra ID for an application, by its id. Held in memory only. */
  entraToken(serverId: string, signal: AbortSignal): Promise<string>;
}

export interface ArmAccessOptions extends CallOptions {
  /** Between two looks at an operation, where ARM does not say when to come back. */
  readonly pauseMs?: number;
}

export function createArmAccess(environment: Environment, { pauseMs, ...calls }: ArmAccessOptions = {}): ArmAccess {
  const cloud = azureCloud(environment);
  const credential = createCredential(environment, cloud, calls);
  return {
    arm: createArmClient(credential, cloud, calls, pauseMs),
    async entraToken(serverId, signal) {
      const token = await credential
        .getToken(`${serverId}/.default`, { abortSignal: signal })
        .catch((thrown: unknown) => {
          throw azureFailure(thrown, "Entra ID");
        });
      if (token !== null) return token.token;
      throw new KmsEtcdError("permission-denied", `Entra ID gives no token for ${serverId}`, {
        remedy: "see who runs Pulumi; the API servers of the cluster take tokens of Entra ID",
      });
    },
  };
}
