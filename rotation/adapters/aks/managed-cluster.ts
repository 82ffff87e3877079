/** The KMS settings of one cluster of AKS, read and set. What a cluster has besides them stays as it is. */
import { setTimeout as sleep } from "node:timers/promises";
import { KmsEtcdError } from "../../../core/errors";
import { type ArmClient, armCodeOf } from "../azure/arm-client";
import {
  apiVersionFor,
  areSameSettings,
  dataEncryptionApiVersion,
  type KmsSettings,
  kmsSettingsOf,
  withKmsSettings,
} from "./kms-settings";

export interface ManagedClusterState {
  /** ARM's word: Succeeded, Failed, or what AKS is at work on. */
  readonly provisioningState: string;
  readonly kms: KmsSettings;
}

export interface ManagedCluster {
  /** Throws `not-found` when there is no such cluster. */
  observe(signal: AbortSignal): Promise<ManagedClusterState>;
  /**
   * Sets the settings, and looks whether they are there afterwards. A grant that has not arrived at the vault yet is waited for, by asking
   * again: AKS looks at the identity's permissions itself for a public vault. Idempotent.
   */
  set(settings: KmsSettings, signal: AbortSignal, onProgress: (message: string) => void): Promise<void>;
}

export interface GrantLimits {
  /** How long a grant may take to arrive. */
  readonly spreadMs: number;
  readonly pauseMs: number;
}

const defaultGrantLimits: GrantLimits = { spreadMs: 15 * 60_000, pauseMs: 20_000 };

export function managedCluster(client: ArmClient, id: string, limits = defaultGrantLimits): ManagedCluster {
  async function observe(signal: AbortSignal): Promise<ManagedClusterState> {
    const body = await client.get(id, dataEncryptionApiVersion, signal);
    if (body === undefined) {
      throw new KmsEtcdError("not-found", `there is no cluster ${id}`, {
        remedy: "name a cluster that exists, as `az aks show --query id` prints it",
      });
    }
    const properties = body["properties"] as Readonly<Record<string, unknown>> | undefined;
    const state = properties?.["provisioningState"];
    return { provisioningState: typeof state === "string" ? state : "unknown", kms: kmsSettingsOf(body) };
  }

  return {
    observe,
    async set(settings, signal, onProgress) {
      const version = apiVersionFor((await observe(signal)).kms, settings);
      const start = performance.now();
      for (;;) {
        try {
          await client.update(id, version, (body) => withKmsSettings(body, settings), signal, onProgress);
          break;
        } catch (thrown) {
          if (!isMissingGrant(thrown) || performance.now() - start + limits.pauseMs > limits.spreadMs) throw thrown;
          onProgress("waiting until AKS sees that the cluster's identity may use the key");
          await pause(limits.pauseMs, signal);
        }
      }
      const { kms } = await observe(signal);
      if (areSameSettings(kms, settings)) return;
      throw new KmsEtcdError("conflict", `${id} has other KMS settings than those that were just set`, {
        remedy: "find out who else changes the cluster (another stack that owns it?), then run again",
      });
    },
  };
}

function isMissingGrant(thrown: unknown): boolean {
  return armCodeOf(thrown)?.startsWith("AzureKeyVaultKmsValidateIdentityPermission") === true;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((cause: unknown) => {
    throw new KmsEtcdError("cancelled", "stopped while waiting for a grant", { cause });
  });
}
