/** What stored objects need of a slot, where a resource may stand in several blocks. */
import { type EncryptionConfiguration, readersOf } from "../core/encryption-configuration";
import type { ProviderId } from "../core/write-key";
import type { StoredResource } from "./observation";
import { type Slot, slotProviders } from "./slots";

/**
 * The providers that `entries` say objects of `slot` use. Of several blocks that name a resource the one that has the provider is
 * meant, and where none has it, the one that writes the resource: API servers read a resource with the providers of all of them.
 */
export function countedIn(
  slot: Slot,
  slots: readonly Slot[],
  configs: readonly EncryptionConfiguration[],
  entries: readonly StoredResource[],
): readonly ProviderId[] {
  const reads = (candidate: Slot, id: ProviderId) =>
    configs.some((config) => readersOf(slotProviders(config, candidate)).has(id));
  return entries.flatMap(({ resource, keys }) => {
    if (!slot.resources.includes(resource)) return [];
    const ids = keys.filter(({ objects }) => objects > 0).map(({ key }) => key.provider);
    const others = slots.filter(({ name, resources }) => name !== slot.name && resources.includes(resource));
    if (others.length === 0) return ids;
    const isWriters = slot.writes.includes(resource);
    return ids.filter((id) => reads(slot, id) || (isWriters && !others.some((other) => reads(other, id))));
  });
}
