/**
 * What the resources of one update say of keys: AzureKeyAttributes what it makes of a version, AksKmsSettings which versions its cluster
 * holds. Whichever is checked second can say what the other one means for it, before anything is changed. Azure itself knows neither yet.
 */
import type { PlannedAttributes, PlannedKeys } from "../../rotation/adapters/aks/held-keys";

export interface KnownKeys {
  /** Replaces what was planned for the version before. */
  plan(keyId: string, wanted: PlannedAttributes): void;
  readonly planned: PlannedKeys;
  /** Replaces what the cluster held before. */
  hold(clusterId: string, keyIds: readonly string[]): void;
  /** The cluster that holds the version; undefined where none is known to. */
  holderOf(keyId: string): string | undefined;
}

/** For the life of a provider process: one preview, or one update. Identifiers are compared without regard to case. */
export function createKnownKeys(): KnownKeys {
  const plans = new Map<string, PlannedAttributes>();
  const held = new Map<string, ReadonlySet<string>>();
  const keyOf = (keyId: string) => keyId.toLowerCase();
  return {
    plan: (keyId, wanted) => void plans.set(keyOf(keyId), wanted),
    planned: (keyId) => plans.get(keyOf(keyId)),
    hold: (clusterId, keyIds) => void held.set(clusterId.toLowerCase(), new Set(keyIds.map(keyOf))),
    holderOf: (keyId) => [...held].find(([, keys]) => keys.has(keyOf(keyId)))?.[0],
  };
}
