/**
 * A slot is a group of resources that share one list of providers: one block of the EncryptionConfiguration. The engine
 * moves slots, not resources, because a block has one writer. Blocks that hold no resource of the goal are left alone.
 */
import { type EncryptionConfiguration, type ProviderItem, providerIds } from "../core/encryption-configuration";
import { KmsEtcdError } from "../core/errors";
import { resourceSlot } from "../core/provider-name";
import type { ProviderId } from "../core/write-key";

export interface Slot {
  /** The resources, sorted and joined: also what provider names are made from. */
  readonly name: string;
  readonly resources: readonly string[];
}

/**
 * The slots that `goal` resources fall into. Servers must agree on the grouping: a resource's provider name depends on it.
 * Throws `unsupported` where they do not, or where a resource is covered by a wildcard or by several blocks.
 */
export function slotsOf(
  resources: readonly string[],
  configs: ReadonlyMap<string, EncryptionConfiguration>,
): readonly Slot[] {
  const slots = new Map<string, Slot>();
  for (const resource of resources) {
    let found: { slot: Slot; server: string } | undefined;
    for (const [server, config] of configs) {
      const blocks = config.blocks.filter((block) => block.resources.includes(resource));
      if (blocks.length > 1) {
        throw unsupported(server, `names ${resource} in ${blocks.length} blocks`, "merge them into one block");
      }
      const wildcard = config.blocks.flatMap((block) => block.resources).find((name) => covers(name, resource));
      if (blocks.length === 0 && wildcard !== undefined) {
        throw unsupported(
          server,
          `encrypts ${resource} through ${wildcard}`,
          `list "${wildcard}" in resources instead of "${resource}"`,
        );
      }
      const block = blocks[0];
      if (block === undefined) continue;
      const slot: Slot = { name: resourceSlot(block.resources), resources: block.resources };
      if (found !== undefined && found.slot.name !== slot.name) {
        throw unsupported(
          server,
          `groups ${resource} as [${slot.name}], while ${found.server} has [${found.slot.name}]`,
          "make the resources lists of both servers' configurations the same",
        );
      }
      found = { slot, server };
    }
    const slot = found?.slot ?? { name: resourceSlot([resource]), resources: [resource] };
    slots.set(slot.name, slot);
  }
  return [...slots.values()];
}

/** The providers of `slot` in one server's configuration, in order; none where the slot is not encrypted there. */
export function slotProviders(config: EncryptionConfiguration, slot: Slot): readonly ProviderItem[] {
  return (
    config.blocks.find((block) => resourceSlot(block.resources) === slot.name)?.providers ?? [{ kind: "identity" }]
  );
}

/** The same configuration with another list for `slot`; a new slot goes first, so that no wildcard masks it. */
export function withSlotProviders(
  config: EncryptionConfiguration,
  slot: Slot,
  providers: readonly ProviderItem[],
): EncryptionConfiguration {
  const index = config.blocks.findIndex((block) => resourceSlot(block.resources) === slot.name);
  if (index < 0) return { blocks: [{ resources: slot.resources, providers }, ...config.blocks] };
  return {
    blocks: config.blocks.map((block, at) => (at === index ? { resources: block.resources, providers } : block)),
  };
}

/** READ: `items` become readers right behind the writer; what is there keeps its order. */
export function addReaders(list: readonly ProviderItem[], items: readonly ProviderItem[]): readonly ProviderItem[] {
  return [...list.slice(0, 1), ...items, ...list.slice(1)];
}

/** WRITE: the item that reads `writer` comes first; the others keep their order. */
export function promote(list: readonly ProviderItem[], writer: ProviderId): readonly ProviderItem[] {
  const isWriter = (item: ProviderItem) => providerIds(item)[0] === writer;
  return [...list.filter(isWriter), ...list.filter((item) => !isWriter(item))];
}

/** Whether two lists name the same items in the same order. */
export function sameList(a: readonly ProviderItem[], b: readonly ProviderItem[]): boolean {
  return JSON.stringify(a.map(providerIds)) === JSON.stringify(b.map(providerIds));
}

/** `*.*` covers all, `*.` the core group, `*.apps` a group (apiserver encryptionconfig/config.go). */
function covers(pattern: string, resource: string): boolean {
  if (pattern === resource || !pattern.startsWith("*.")) return false;
  if (pattern === "*.*") return true;
  const group = resource.includes(".") ? resource.slice(resource.indexOf(".") + 1) : "";
  return pattern.slice(2) === group;
}

function unsupported(server: string, problem: string, remedy: string): KmsEtcdError {
  return new KmsEtcdError("unsupported", `the encryption configuration of ${server} ${problem}`, { remedy });
}
