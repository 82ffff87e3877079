/** The KMS settings of one cluster of AKS, read and set. What a cluster has besides them stays as it is. */
import { setTimeout as sleep } from "node:timers/promises";
import { KmsEtcdError } from "../../../core/errors";
import type { ArmBody, ArmClient } from "../azure/arm-client";
import { versionThatShowsAll } from "./api-versions";
import { isMissingGrant } from "./grants";
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
  /** Whether somebody has stopped the cluster: it has no API servers then. */
  readonly isStopped: boolean;
  readonly kms: KmsSettings;
  /** All that ARM shows. */
  readonly body: ArmBody;
}

/** Another one after every change of the cluster, whoever makes it; undefined where ARM gives none. */
export function eTagOf({ body }: Pick<ManagedClusterState, "body">): string | undefined {
  const eTag = body["eTag"] ?? body["etag"];
  return typeof eTag === "string" ? eTag : undefined;
}

export interface SettingsChange {
  readonly to: KmsSettings;
  /** What the cluster was seen to have: it is changed only while it still has that. Left out, whatever it has is changed. */
  readonly from?: KmsSettings;
}

export interface ManagedCluster {
  readonly id: string;
  /** Throws `not-found` when there is no such cluster. */
  observe(signal: AbortSignal): Promise<ManagedClusterState>;
  /**
   * Sets the settings, and looks whether they are there afterwards. A grant that has not arrived at the vault yet is waited for, by asking
   * again: AKS says so of the use of a key in a public vault, and of the connection to a private one. Idempotent. Throws `conflict` when
   * somebody else has changed the settings, `timeout` when AKS does not come to an end.
   */
  set(change: SettingsChange, signal: AbortSignal, onProgress: (message: string) => void): Promise<void>;
}

export interface ManagedClusterLimits {
  /** How long a grant may take to arrive. */
  readonly spreadMs: number;
  /** Between two tries, while a grant is on its way. */
  readonly pauseMs: number;
  /** How long AKS may be at work on one change. */
  readonly busyMs: number;
}

const defaultLimits: ManagedClusterLimits = { spreadMs: 15 * 60_000, pauseMs: 20_000, busyMs: 3_600_000 };

export function managedCluster(client: ArmClient, id: string, limits = defaultLimits): ManagedCluster {
  async function observe(signal: AbortSignal): Promise<ManagedClusterState> {
    const body = await client.get(id, dataEncryptionApiVersion, signal);
    if (body === undefined) {
      throw new KmsEtcdError("not-found", `there is no cluster ${id}`, {
        remedy: "name a cluster that exists, as `az aks show --query id` prints it",
      });
    }
    const properties = body["properties"] as Readonly<Record<string, unknown>> | undefined;
    const state = properties?.["provisioningState"];
    const power = properties?.["powerState"] as { readonly code?: unknown } | undefined;
    return {
      provisioningState: typeof state === "string" ? state : "unknown",
      isStopped: power?.code === "Stopped",
      kms: kmsSettingsOf(body),
      body,
    };
  }

  return {
    id,
    observe,
    async set({ to, from }, signal, onProgress) {
      const before = await observe(signal);
      const pinned = apiVersionFor(before.kms, to);
      const version = await versionThatShowsAll(client, id, pinned, signal, onProgress);
      const start = performance.now();
      const change = (body: ArmBody): ArmBody => {
        // Decided on what was seen before: with other settings in between, AKS would drop a key that stored data needs.
        const now = kmsSettingsOf(body);
        if (from !== undefined && !areSameSettings(now, from) && !areSameSettings(now, to)) throw changedBySomebody(id);
        return withKmsSettings(body, to);
      };
      for (;;) {
        try {
          await client.update(id, version, change, signal, onProgress, limits.busyMs);
          break;
        } catch (thrown) {
          const isPassing = isMissingGrant(thrown, before.body);
          if (!isPassing || performance.now() - start + limits.pauseMs > limits.spreadMs) throw thrown;
          onProgress("waiting until AKS sees that the cluster's identity may use the key and the vault");
          await pause(limits.pauseMs, signal);
        }
      }
      const { kms } = await observe(signal);
      if (!areSameSettings(kms, to)) throw changedBySomebody(id);
    },
  };
}

function changedBySomebody(id: string): KmsEtcdError {
  return new KmsEtcdError("conflict", `somebody else has changed the KMS settings of ${id} meanwhile`, {
    remedy:
      "let one place set them: in the stack that owns the cluster, ignoreChanges names securityProfile.azureKeyVaultKms, or securityProfile where the program sets nothing in it; then run again",
  });
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((cause: unknown) => {
    throw new KmsEtcdError("cancelled", "stopped while waiting for a grant", { cause });
  });
}
