/** An observation seen from the goal: which slots there are, which provider each should have, and what the servers run. */
import {
  type EncryptionConfiguration,
  endpointsOf,
  type KmsItem,
  type ProviderItem,
  providerIds,
  readersOf,
  writerOf,
} from "../core/encryption-configuration";
import { possibleKeyIds } from "../core/key-ids";
import type { KeyReference } from "../core/key-reference";
import type { PluginInstance } from "../core/plugin-instance";
import { providerName } from "../core/provider-name";
import { identityProvider, type ProviderId } from "../core/write-key";
import type { RewriteTarget } from "./decision";
import type { Goal } from "./goal";
import type { Observation, ServerObservation, StoredResource } from "./observation";
import { validStored } from "./proofs";
import { countedIn } from "./slot-needs";
import { type Slot, slotProviders, slotsOf } from "./slots";

/** `unix://` endpoint of a plugin, as the platform lays out its hosts. */
export type EndpointOf = (plugin: PluginInstance) => string;

export interface GoalSlot {
  readonly slot: Slot;
  /** The item that should write, and its id in stored values. */
  readonly item: ProviderItem;
  readonly writer: ProviderId;
}

export interface Situation {
  readonly observed: Observation;
  readonly goal: Goal;
  readonly endpointOf: EndpointOf;
  readonly slots: readonly GoalSlot[];
  /** Every resource of every slot, with the key that all its objects should have. */
  readonly targets: readonly RewriteTarget[];
  /** Whether every server's file has the goal's writers. */
  readonly writersAreTheGoals: boolean;
}

export function situationOf(observed: Observation, goal: Goal, endpointOf: EndpointOf): Situation {
  const slots = slotsOf(goal.resources, knownConfigs(observed)).map((slot): GoalSlot => {
    const plaintext = goal.writer === "identity" || slot.leaving;
    const item = plaintext ? identityItem : kmsItem(goal.writer, slot, endpointOf);
    return { slot, item, writer: writerOf([item]) };
  });
  const keyId = goal.writer === "identity" ? undefined : reportedKeyId(observed, goal.writer);
  const targets = slots.flatMap(({ slot, writer }) =>
    slot.writes.map((resource) => ({
      resource,
      key: keyId === undefined || writer === identityProvider ? { provider: writer } : { provider: writer, keyId },
    })),
  );
  const writersAreTheGoals = slots.every(({ slot, writer }) =>
    observed.servers.every((server) => writerOf(listOf(server, slot)) === writer),
  );
  return { observed, goal, endpointOf, slots, targets, writersAreTheGoals };
}

export const identityItem: ProviderItem = { kind: "identity" };

/** The KMS v2 item for `plugin` in `slot`. 3 s is the API server's own default; the plugin answers or fails before it. */
export function kmsItem(plugin: PluginInstance, slot: Slot, endpointOf: EndpointOf): KmsItem {
  return {
    kind: "kms",
    apiVersion: "v2",
    name: providerName("v2", plugin.key, slot.name),
    endpoint: endpointOf(plugin),
    timeout: "3s",
  };
}

/** What `server` reads and writes `slot` with: the file's list. Rules that use it run when every file is loaded. */
export function listOf(server: ServerObservation, slot: Slot): readonly ProviderItem[] {
  const config = configOf(server);
  return config === undefined ? [identityItem] : slotProviders(config, slot);
}

/** The file's configuration; where the file cannot be used, the one that the server is to go back to. */
export function configOf({ file, fileProblem, fallback }: ServerObservation): EncryptionConfiguration | undefined {
  return file?.config ?? (fileProblem && fallback?.config);
}

/** A host of which nothing is known: neither what its server reads and writes, nor which plugins it has. */
export function isUnseen(server: ServerObservation): boolean {
  return server.unreachable !== undefined && configOf(server) === undefined;
}

/** The sockets that the server's API server asks, by its file and by what it has loaded. */
export function usedEndpoints({ file, loaded }: ServerObservation): readonly string[] {
  const configs = [file?.config, loaded.config].filter((config) => config !== undefined);
  return configs.flatMap((config) => [...endpointsOf(config)]);
}

/**
 * The declared plugin behind a provider of `slot`: by the name that the engine gives its item, by the socket that a
 * configuration names, or by the key_id of values stored under it. The name alone is not enough: one that was adopted, or
 * made when resources were grouped otherwise, is no less the key's.
 */
export function declaredPlugin(situation: Situation, slot: Slot, id: ProviderId): PluginInstance | undefined {
  const { goal, observed, endpointOf } = situation;
  const byName = goal.declared.find((plugin) => writerOf([kmsItem(plugin, slot, endpointOf)]) === id);
  if (byName !== undefined) return byName;
  const item = knownItem(observed, slot, id);
  if (item !== undefined) {
    return item.kind === "kms" ? goal.declared.find((plugin) => endpointOf(plugin) === item.endpoint) : undefined;
  }
  const entries = (observed.stored?.resources ?? []).filter((entry) => slot.resources.includes(entry.resource));
  const keyIds = entries.flatMap((entry) =>
    entry.keys.flatMap(({ key }) => (key.provider === id ? (key.keyId ?? []) : [])),
  );
  const [first, ...others] = goal.declared.filter((plugin) =>
    keyIds.some((keyId) => hasKeyId(observed, plugin, keyId)),
  );
  // AWS has one key_id for a key whatever the encryption context: which of two it is cannot be told.
  return first !== undefined && others.some(({ key }) => isSameAwsKey(key, first.key)) ? undefined : first;
}

/** An item that reads `id`: as some server has it, or rebuilt from a declared key. Undefined: nobody knows how. */
export function itemFor(situation: Situation, slot: Slot, id: ProviderId): ProviderItem | undefined {
  if (id === identityProvider) return identityItem;
  const item = knownItem(situation.observed, slot, id);
  if (item !== undefined) return item;
  const plugin = declaredPlugin(situation, slot, id);
  // The values have the name in their prefix, so the item has to have it too.
  return plugin && { ...kmsItem(plugin, slot, situation.endpointOf), name: id.slice(kmsV2.length) };
}

const kmsV2 = "kms/v2/";

function knownItem(observed: Observation, slot: Slot, id: ProviderId): ProviderItem | undefined {
  for (const config of knownConfigs(observed).values()) {
    const item = slotProviders(config, slot).find((candidate) => providerIds(candidate).includes(id));
    if (item !== undefined) return item;
  }
  return undefined;
}

/**
 * The providers that stored data of `slot` may need: what a valid proof counts, or, where none is valid or a value could not
 * be understood, every provider that any server can read. "Needs" is measured, never assumed (invariant 2).
 */
export function neededProviders(situation: Situation, slot: Slot): ReadonlySet<ProviderId> {
  const { observed, targets } = situation;
  const everything = new Set(observed.servers.flatMap((server) => [...readersOf(listOf(server, slot))]));
  const proof = validStored(observed, targets);
  if (proof === undefined) return everything;
  const entries = proof.resources.filter((entry) => slot.resources.includes(entry.resource));
  const counted = countedFor(situation, slot, entries);
  return entries.some((entry) => entry.unknown > 0) ? new Set([...everything, ...counted]) : new Set(counted);
}

/** What objects of `slot` were counted with. */
export function countedFor(
  { observed, slots }: Situation,
  slot: Slot,
  entries: readonly StoredResource[],
): readonly ProviderId[] {
  const all = slots.map((goalSlot) => goalSlot.slot);
  return countedIn(slot, all, [...knownConfigs(observed).values()], entries);
}

/** Where some server's configuration has the provider, in whatever block. */
export function blockWith(
  observed: Observation,
  id: ProviderId,
): { readonly server: string; readonly resources: readonly string[] } | undefined {
  for (const [server, config] of knownConfigs(observed)) {
    const block = config.blocks.find(({ providers }) => readersOf(providers).has(id));
    if (block !== undefined) return { server, resources: block.resources };
  }
  return undefined;
}

/** Files first, then loaded configurations, keyed by a text that names the server. */
function knownConfigs(observed: Observation): ReadonlyMap<string, EncryptionConfiguration> {
  const configs = new Map<string, EncryptionConfiguration>();
  for (const server of observed.servers) {
    // Slots and lists are of the same configurations: a file that is gone must not part what it had in one block.
    const config = configOf(server);
    if (config !== undefined) configs.set(server.name, config);
  }
  for (const server of observed.servers) {
    if (server.loaded.config !== undefined) configs.set(`${server.name} (as loaded)`, server.loaded.config);
  }
  return configs;
}

/** The key_id that the plugins themselves report, as far as they agree; a local key's is in its reference. */
export function reportedKeyId(observed: Observation, plugin: PluginInstance): string | undefined {
  const proof = observed.crosswise.find((candidate) => candidate.plugin === plugin.name);
  if (proof !== undefined && proof.failure === undefined) return proof.keyId;
  if (plugin.key.kind === "local") return plugin.key.keyId;
  const reported = new Set(
    observed.servers.flatMap((server) => server.plugins.find((seen) => seen.name === plugin.name)?.keyId ?? []),
  );
  return reported.size === 1 ? [...reported][0] : undefined;
}

/** Whether `keyId` is of the plugin's key: by what plugins report, and also where none runs, by what the key's reference says. */
export function hasKeyId(observed: Observation, plugin: PluginInstance, keyId: string): boolean {
  return reportedKeyId(observed, plugin) === keyId || possibleKeyIds(plugin.key).has(keyId);
}

function isSameAwsKey(a: KeyReference, b: KeyReference): boolean {
  return a.kind === "aws" && b.kind === "aws" && a.keyArn === b.keyArn;
}
