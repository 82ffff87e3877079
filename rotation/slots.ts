/**
 * A slot is a group of resources that share one list of providers: one block of the EncryptionConfiguration. The engine
 * moves slots, not resources, because a block has one writer. Blocks that hold no resource of the goal are left alone.
 */
import {
  type EncryptionConfiguration,
  type ProviderItem,
  providerIds,
  type ResourceBlock,
} from "../core/encryption-configuration";
import { KmsEtcdError } from "../core/errors";
import { isOurProviderName, resourceSlot } from "../core/provider-name";
import type { ProviderId } from "../core/write-key";

export interface Slot {
  /** The resources, sorted and joined: also what provider names are made from. */
  readonly name: string;
  readonly resources: readonly string[];
  /** No resource of it is wanted any more: it goes to `identity`, and then its block goes. */
  readonly leaving: boolean;
}

/**
 * The slots that `resources` fall into, and those that leave. Servers must agree on the grouping: a resource's provider name
 * depends on it. A wildcard takes along the blocks of what it covers, because those keep providers of their own.
 * Throws `unsupported` where servers disagree, or where a resource is covered by a wildcard that is not wanted itself, or by several blocks.
 */
export function slotsOf(
  resources: readonly string[],
  configs: ReadonlyMap<string, EncryptionConfiguration>,
): readonly Slot[] {
  const slots = new Map<string, Slot>();
  const add = (members: readonly string[], leaving: boolean) => {
    const name = resourceSlot(members);
    if (!slots.has(name)) slots.set(name, { name, resources: members, leaving });
  };
  for (const resource of resources) add(groupOf(resource, resources, configs), false);
  for (const block of [...configs.values()].flatMap((config) => config.blocks)) {
    const covered = block.resources.some((name) => resources.some((pattern) => covers(pattern, name)));
    if (covered) add(block.resources, false);
    else if (!block.resources.some((name) => resources.includes(name)) && isOurs(block)) add(block.resources, true);
  }
  return [...slots.values()];
}

/** The resources that share a block with `resource`: itself alone where no server has a block for it. */
function groupOf(
  resource: string,
  wanted: readonly string[],
  configs: ReadonlyMap<string, EncryptionConfiguration>,
): readonly string[] {
  let found: { readonly group: readonly string[]; readonly server: string } | undefined;
  for (const [server, config] of configs) {
    const blocks = config.blocks.filter((block) => block.resources.includes(resource));
    if (blocks.length > 1) {
      throw unsupported(server, `names ${resource} in ${blocks.length} blocks`, "merge them into one block");
    }
    const [block] = blocks;
    // A block of its own would hide what the wildcard's providers have encrypted: the resource stays with the wildcard.
    const masking = config.blocks.find((other) => other.resources.some((name) => covers(name, resource)));
    const wildcard = masking?.resources.find((name) => covers(name, resource));
    if (block === undefined && wildcard !== undefined && !wanted.includes(wildcard)) {
      throw unsupported(
        server,
        `encrypts ${resource} through ${wildcard}`,
        `list "${wildcard}" in resources instead of "${resource}"`,
      );
    }
    const shared = block ?? masking;
    if (shared === undefined) continue;
    if (found !== undefined && resourceSlot(found.group) !== resourceSlot(shared.resources)) {
      throw unsupported(
        server,
        `groups ${resource} as [${resourceSlot(shared.resources)}], while ${found.server} has [${resourceSlot(found.group)}]`,
        "make the resources lists of both servers' configurations the same",
      );
    }
    found = { group: shared.resources, server };
  }
  return found?.group ?? [resource];
}

/** Whether the engine made the block: only then does it take it away when nobody wants its resources any more. */
function isOurs(block: ResourceBlock): boolean {
  return block.providers.some((item) => item.kind === "kms" && isOurProviderName(item.name));
}

/** The providers of `slot` in one server's configuration, in order; none where the slot is not encrypted there. */
export function slotProviders(config: EncryptionConfiguration, slot: Slot): readonly ProviderItem[] {
  return (
    config.blocks.find((block) => resourceSlot(block.resources) === slot.name)?.providers ?? [{ kind: "identity" }]
  );
}

/** The same configuration with another list for `slot`. A slot that leaves and reads nothing but `identity` has no block. */
export function withSlotProviders(
  config: EncryptionConfiguration,
  slot: Slot,
  providers: readonly ProviderItem[],
): EncryptionConfiguration {
  const index = config.blocks.findIndex((block) => resourceSlot(block.resources) === slot.name);
  const gone = slot.leaving && providers.every((item) => item.kind === "identity") && config.blocks.length > 1;
  if (gone) return { blocks: config.blocks.filter((_, at) => at !== index) };
  const block = { resources: slot.resources, providers };
  if (index >= 0) return { blocks: config.blocks.map((present, at) => (at === index ? block : present)) };
  // An API server refuses a block that an earlier wildcard masks: exact names first, then `*.group`, then `*.*`.
  const rank = (resources: readonly string[]) => Math.max(...resources.map(breadth));
  const before = config.blocks.filter((present) => rank(present.resources) < rank(slot.resources));
  const after = config.blocks.filter((present) => rank(present.resources) >= rank(slot.resources));
  return { blocks: [...before, block, ...after] };
}

function breadth(resource: string): number {
  if (resource === "*.*") return 2;
  return resource.startsWith("*.") ? 1 : 0;
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
