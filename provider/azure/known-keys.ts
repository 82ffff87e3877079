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
  /** The cluster that holds the version, or follows its key; undefined where none is known to. */
  holderOf(keyId: string): string | undefined;
}

/** For the life of a provider process: one preview, or one update. Identifiers are compared without regard to case. */
export function createKnownKeys(): KnownKeys {
  const plans = new Map<string, PlannedAttributes>();
  const held = new Map<string, ReadonlySet<string>>();
  const keyOf = (keyId: string) => keyId.toLowerCase();
  const isVersionOf = (key: string, keyId: string) => keyId.startsWith(`${key}/`) && !keyId.endsWith("/");

  /** Of a key without a version: what disables any version disables what whoever follows the key may still need. */
  function plannedFor(keyId: string): PlannedAttributes | undefined {
    const key = keyOf(keyId);
    const disables = [...plans].some(([id, { enabled }]) => isVersionOf(key, id) && enabled === false);
    return plans.get(key) ?? (disables ? { enabled: false } : undefined);
  }

  return {
    plan: (keyId, wanted) => void plans.set(keyOf(keyId), wanted),
    planned: plannedFor,
    hold: (clusterId, keyIds) => void held.set(clusterId.toLowerCase(), new Set(keyIds.map(keyOf))),
    holderOf(keyId) {
      const wanted = keyOf(keyId);
      return [...held].find(([, keys]) => [...keys].some((key) => key === wanted || isVersionOf(key, wanted)))?.[0];
    },
  };
}
