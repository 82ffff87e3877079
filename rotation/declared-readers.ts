/**
 * What may read objects that nobody can read, where no look into etcd says which key they need: every declared key version's
 * reader, and `identity`. Adding a reader is always safe; the objects are rewritten then, and the readers leave with PRUNE.
 */
import { writerOf } from "../core/encryption-configuration";
import type { PluginInstance } from "../core/plugin-instance";
import { identityProvider, type ProviderId } from "../core/write-key";
import { isEtcdTrouble, isUndecryptable } from "./failure-text";
import type { ObjectFailure } from "./observation";
import { isEtcdUnchanged, validReadThrough } from "./proofs";
import { kmsItem, type Situation } from "./situation";
import type { Slot } from "./slots";

interface DeclaredReader {
  readonly id: ProviderId;
  /** Undefined for `identity`. */
  readonly plugin?: PluginInstance;
}

/** Empty where everything could be read, or where etcd was seen in this run: then only what is needed is added. */
export function declaredReaders(situation: Situation, slot: Slot): readonly DeclaredReader[] {
  if (!isUnreadableSomewhere(situation, slot)) return [];
  const { goal, endpointOf } = situation;
  const usable = goal.declared.filter(({ name }) => goal.retired?.includes(name) !== true);
  return [
    ...usable.map((plugin) => ({ id: writerOf([kmsItem(plugin, slot, endpointOf)]), plugin })),
    { id: identityProvider },
  ];
}

function isUnreadableSomewhere({ observed }: Situation, slot: Slot): boolean {
  const { stored, etcd, servers } = observed;
  if (stored?.method === "etcd" && isEtcdUnchanged(etcd, stored.etcd)) return false;
  const failures = servers.flatMap((server) => validReadThrough(observed, server)?.failures ?? []);
  if (failures.some(isUnreadable)) return true;
  const entries = stored?.method === "api" ? stored.resources : [];
  return entries.some(({ resource, unreadable = 0 }) => unreadable > 0 && slot.resources.includes(resource));
}

/**
 * Whether it is the API server that could not decrypt the object, as far as its answer tells. A webhook that fails is a 500
 * too, and so is an etcd that elects a leader.
 */
export function isUnreadable({ reason }: Pick<ObjectFailure, "reason">): boolean {
  if (reason.includes("webhook")) return false;
  return isUndecryptable(reason) || (/(^|: )(HTTP )?500\b/.test(reason) && !isEtcdTrouble(reason));
}
