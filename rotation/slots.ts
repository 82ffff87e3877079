/**
 * A slot is a group of resources that share one list of providers: one block of the EncryptionConfiguration. The engine
 * moves slots, not resources, because a block has one writer. Blocks that hold no resource of the goal are left alone.
 */
import {
  type EncryptionConfiguration,
  type ProviderItem,
  providerIds,
  type ResourceBlock,
  readersOf,
} from "../core/encryption-configuration";
import { KmsEtcdError } from "../core/errors";
import { isOurProviderName, resourceSlot } from "../core/provider-name";
import { covers } from "../core/resource-block";
import { localProviderId } from "../core/stored-value";
import type { ProviderId } from "../core/write-key";

export interface Slot {
  /** The resources, sorted and joined: also what provider names are made from. */
  readonly name: string;
  readonly resources: readonly string[];
  /** Those of `resources` that are stored by this block: where several name one, API servers write it with the first. */
  readonly writes: readonly string[];
  /** No resource of it is wanted any more: it goes to `identity`, and then its block goes. */
  readonly leaving: boolean;
}

type Configs = ReadonlyMap<string, EncryptionConfiguration>;
type Group = readonly string[];

/**
 * The slots that `resources` fall into, and those that leave. Servers must agree on the grouping: a resource's provider name
 * depends on it. A wildcard takes along the blocks of what it covers, because those keep providers of their own; so does a block
 * those that name a resource of it too, because API servers read that resource with all of them.
 * Throws `unsupported` where servers disagree, where a resource is covered by a wildcard that is not wanted itself, and where stored values
 * do not tell two local keys apart.
 */
export function slotsOf(resources: readonly string[], configs: Configs): readonly Slot[] {
  const blocks = [...configs.values()].flatMap((config) => config.blocks);
  const wanted = new Map<string, Group>();
  const add = (group: Group) => wanted.set(resourceSlot(group), wanted.get(resourceSlot(group)) ?? group);
  for (const resource of resources) {
    const groups = groupsOf(resource, resources, configs);
    for (const group of groups.length === 0 ? [[resource]] : groups) add(group);
  }
  for (const block of blocks) {
    if (block.resources.some((name) => resources.some((pattern) => covers(pattern, name)))) add(block.resources);
  }
  for (const group of connected([...wanted.values()].flat(), blocks)) add(group);
  const leaving = new Map<string, Group>();
  for (const block of blocks) {
    const name = resourceSlot(block.resources);
    if (wanted.has(name) || !isOurs(block)) continue;
    refuseToPart(block, configs);
    leaving.set(name, leaving.get(name) ?? block.resources);
  }
  const groups = [...wanted, ...leaving];
  for (const [, group] of groups) refuseLookalikes(group, configs);
  return groups.map(([name, group]) => ({
    name,
    resources: group,
    writes: group.filter((resource) => {
      const [first] = groupsOf(resource, undefined, configs);
      return first === undefined || resourceSlot(first) === name;
    }),
    leaving: !wanted.has(name),
  }));
}

/**
 * The blocks that name `resource`, in their order; without one the wildcard's, if it is looked for among what is `wanted`. None where
 * no server has any.
 */
function groupsOf(resource: string, wanted: readonly string[] | undefined, configs: Configs): readonly Group[] {
  let found: { readonly groups: readonly Group[]; readonly server: string } | undefined;
  for (const [server, config] of configs) {
    const own = config.blocks.filter((block) => block.resources.includes(resource));
    const masking = own.length > 0 || wanted === undefined ? undefined : maskOf(resource, wanted, server, config);
    const groups = differentGroups(masking === undefined ? own : [masking]);
    if (groups.length === 0) continue;
    if (found !== undefined && shown(found.groups) !== shown(groups)) {
      throw unsupported(
        server,
        `groups ${resource} as ${shown(groups)}, while ${found.server} has ${shown(found.groups)}`,
        "make the resources lists of both servers' configurations the same, in the same order",
      );
    }
    found ??= { groups, server };
  }
  return found?.groups ?? [];
}

/**
 * The wildcard's block that holds `resource` now, which a block of its own would hide with all that was stored by it. One that
 * has never encrypted, or does no longer, hides nothing.
 */
function maskOf(
  resource: string,
  wanted: readonly string[],
  server: string,
  config: EncryptionConfiguration,
): ResourceBlock | undefined {
  const masking = config.blocks.find((block) => block.resources.some((name) => covers(name, resource)));
  const wildcard = masking?.resources.find((name) => covers(name, resource));
  if (masking === undefined || wildcard === undefined) return undefined;
  if (masking.providers.every((item) => item.kind === "identity")) return undefined;
  if (wanted.some((pattern) => pattern === wildcard || covers(pattern, wildcard))) return masking;
  throw unsupported(
    server,
    `encrypts ${resource} through ${wildcard}`,
    `keep "${wildcard}" in resources; single resources in its place need everything decrypted first: one run with ` +
      `"${wildcard}" still in resources and enabled: false (kms-etcd rotate identity), then one with the new list`,
  );
}

/** The same resources in two blocks are one list to API servers, and one slot. */
function differentGroups(blocks: readonly ResourceBlock[]): readonly Group[] {
  return [...new Map(blocks.map(({ resources }) => [resourceSlot(resources), resources])).values()];
}

/** What shares a resource with one of `members`, and with those, and so on. */
function connected(members: readonly string[], blocks: readonly ResourceBlock[]): readonly Group[] {
  const known = new Set(members);
  const found = new Set<ResourceBlock>();
  for (let before = -1; before !== found.size; ) {
    before = found.size;
    for (const block of blocks) {
      if (found.has(block) || !block.resources.some((name) => known.has(name))) continue;
      found.add(block);
      for (const name of block.resources) known.add(name);
    }
  }
  return [...found].map(({ resources }) => resources);
}

/** A block that goes must not leave a resource to another one that cannot read what was stored by this one. */
function refuseToPart(block: ResourceBlock, configs: Configs): void {
  for (const [server, config] of configs) {
    const groups = connected(block.resources, config.blocks);
    const theirs = config.blocks.find((other) => groups.includes(other.resources) && !isOurs(other));
    if (theirs === undefined || !config.blocks.includes(block)) continue;
    throw unsupported(
      server,
      `has ${block.resources.join(", ")} in one block, and some of it in a block of somebody else's (${theirs.resources.join(", ")})`,
      `keep ${block.resources.map((name) => `"${name}"`).join(", ")} in resources`,
    );
  }
}

/**
 * Two keys of which stored values have the same id, because of ":" in a name (`localProviderId`): one of them might be taken for the other,
 * and let go while something needs it.
 */
function refuseLookalikes(group: Group, configs: Configs): void {
  const known = new Map<ProviderId, string>();
  for (const [server, { blocks }] of configs) {
    const own = blocks.filter(({ resources }) => resources.some((name) => group.includes(name)));
    for (const item of own.flatMap(({ providers }) => providers)) {
      if (item.kind === "identity" || item.kind === "kms") continue;
      for (const { name } of item.keys) {
        const id = localProviderId(item.kind, name);
        const other = known.get(id) ?? name;
        known.set(id, other);
        if (other === name) continue;
        throw unsupported(
          server,
          `has for ${group.join(", ")} the ${item.kind} key "${name}", and stored values do not tell it from "${other}", which is there or on another server too`,
          `let one of the two go by hand: make the other the first key on every server, write every object of ${group.join(", ")} again (kubectl get ... -o json | kubectl replace -f -), take the first one out of every configuration; then run again`,
        );
      }
    }
  }
}

function shown(groups: readonly Group[]): string {
  return groups.map((group) => `[${resourceSlot(group)}]`).join(" and ");
}

/** Whether the engine made the block: only then does it take it away when nobody wants its resources any more. */
function isOurs(block: ResourceBlock): boolean {
  return block.providers.some((item) => item.kind === "kms" && isOurProviderName(item.name));
}

/** The providers of `slot` in one server's configuration, in order; none where the slot is not encrypted there. */
export function slotProviders(config: EncryptionConfiguration, slot: Slot): readonly ProviderItem[] {
  const [first, ...others] = config.blocks.filter((block) => resourceSlot(block.resources) === slot.name);
  if (first === undefined) return [{ kind: "identity" }];
  return others.reduce<readonly ProviderItem[]>((list, { providers }) => {
    const known = readersOf(list);
    return [...list, ...providers.filter((item) => providerIds(item).some((id) => !known.has(id)))];
  }, first.providers);
}

/** The same configuration with another list for `slot`. A slot that leaves and reads nothing but `identity` has no block. */
export function withSlotProviders(
  config: EncryptionConfiguration,
  slot: Slot,
  providers: readonly ProviderItem[],
): EncryptionConfiguration {
  const isSlots = (block: ResourceBlock) => resourceSlot(block.resources) === slot.name;
  const index = config.blocks.findIndex(isSlots);
  const others = config.blocks.filter((block) => !isSlots(block));
  const gone = slot.leaving && providers.every((item) => item.kind === "identity") && others.length > 0;
  if (gone) return { blocks: others };
  const at = index >= 0 ? index : placeOf(slot.resources, others);
  return { blocks: [...others.slice(0, at), { resources: slot.resources, providers }, ...others.slice(at)] };
}

/**
 * Where a new block goes: exact names first, then `*.group`, then `*.*`, as far as the blocks that are there allow it. An API server
 * refuses one that an earlier wildcard masks, so it stands behind all that it covers and before what covers it.
 */
function placeOf(resources: readonly string[], blocks: readonly ResourceBlock[]): number {
  const rank = (names: readonly string[]) => Math.max(...names.map(breadth));
  const wider = blocks.findIndex((present) => rank(present.resources) >= rank(resources));
  const covering = blocks.findIndex((present) => anyCovers(present.resources, resources));
  const behind = blocks.findLastIndex((present) => anyCovers(resources, present.resources)) + 1;
  const preferred = wider < 0 ? blocks.length : wider;
  return Math.min(Math.max(preferred, behind), covering < 0 ? blocks.length : covering);
}

function anyCovers(patterns: readonly string[], names: readonly string[]): boolean {
  return patterns.some((pattern) => names.some((name) => covers(pattern, name)));
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

/** READ of all slots: what is still missing to read with each one's item. */
export function withReaders(
  config: EncryptionConfiguration,
  slots: readonly { readonly slot: Slot; readonly item: ProviderItem }[],
): EncryptionConfiguration {
  return slots.reduce((next, { slot, item }) => {
    const list = slotProviders(next, slot);
    const readers = readersOf(list);
    const isRead = providerIds(item).every((id) => readers.has(id));
    return isRead ? next : withSlotProviders(next, slot, addReaders(list, [item]));
  }, config);
}

/** Whether two lists name the same items in the same order. */
export function sameList(a: readonly ProviderItem[], b: readonly ProviderItem[]): boolean {
  return JSON.stringify(a.map(providerIds)) === JSON.stringify(b.map(providerIds));
}

function unsupported(server: string, problem: string, remedy: string): KmsEtcdError {
  return new KmsEtcdError("unsupported", `the encryption configuration of ${server} ${problem}`, { remedy });
}
