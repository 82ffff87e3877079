/**
 * Whether something needs one certain key: a stored value, what a snapshot's record names, an item of a server's configuration.
 * What nobody can tell may need it (invariant 5): KMS v1 stores no key with a value, and foreign plugins may name theirs by an alias.
 */
import type { EncryptionConfiguration, KmsItem } from "../core/encryption-configuration";
import { isOfAnotherKey, isSameKey, possibleKeyIds } from "../core/key-ids";
import type { PluginInstance } from "../core/plugin-instance";
import { isOurProviderName, providerName, resourceSlot } from "../core/provider-name";
import type { ProviderId, WriteKey } from "../core/write-key";
import type { Goal } from "./goal";
import type { Observation, ServerObservation, StoredKey } from "./observation";
import { keyIdHash } from "./rules/key-id-rule";
import { type EndpointOf, hasKeyId } from "./situation";

export type KeyNeed = "yes" | "no" | "perhaps";

/** What was seen of a cluster, as far as it tells keys apart. */
export interface SeenKeys {
  readonly observed: Observation;
  readonly goal: Pick<Goal, "declared" | "resources">;
  readonly endpointOf: EndpointOf;
  /** Everything in etcd by its key, where that was counted. */
  readonly inEtcd?: { readonly keys: readonly StoredKey[] };
}

/** By the key_id, also where the key's plugins have stopped, and by every provider name that the engine may have given the key. */
export function needOfKey(seen: SeenKeys, plugin: PluginInstance, { provider, keyId }: WriteKey): KeyNeed {
  if (!provider.startsWith("kms/")) return "no";
  if (namesFor(seen, plugin).has(provider)) return "yes";
  const others = seen.goal.declared.filter(({ key }) => !isSameKey(key, plugin.key));
  if (keyId === undefined) return others.some((other) => namesFor(seen, other).has(provider)) ? "no" : "perhaps";
  if (hasKeyId(seen.observed, plugin, keyId)) return "yes";
  if (others.some((other) => hasKeyId(seen.observed, other, keyId))) return "no";
  // Behind a name that the engine has made is our own plugin, whose key_ids are all known.
  return isOurProviderName(nameOf(provider)) || isOfAnotherKey(plugin.key, keyId) ? "no" : "perhaps";
}

/** Whether what `server` reads and writes with `item` may need the key. */
export function needOfItem(
  seen: SeenKeys,
  plugin: PluginInstance,
  server: ServerObservation,
  item: KmsItem,
): { readonly need: KeyNeed; readonly why?: string } {
  const { goal, endpointOf, observed, inEtcd } = seen;
  if (item.endpoint === endpointOf(plugin)) return { need: "yes" };
  const owner = goal.declared.find((declared) => endpointOf(declared) === item.endpoint);
  if (owner !== undefined) return { need: isSameKey(owner.key, plugin.key) ? "yes" : "no" };
  const provider: ProviderId = `kms/${item.apiVersion}/${item.name}`;
  const keyIds = item.apiVersion === "v1" ? [undefined] : keyIdsBehind(seen, plugin, server, item);
  const keys = keyIds.map((keyId): WriteKey => ({ provider, ...(keyId !== undefined && { keyId }) }));
  const needs = keys.map((key) => needOfKey(seen, plugin, key));
  if (needs.includes("yes")) return { need: "yes" };
  const unclear = keys[needs.indexOf("perhaps")];
  if (unclear !== undefined) {
    const isSilent = item.apiVersion === "v2" && unclear.keyId === undefined;
    return {
      need: "perhaps",
      why: isSilent ? `nobody says which key is behind ${item.endpoint}` : whyUnclear(unclear),
    };
  }
  if (inEtcd !== undefined || observed.stored?.method === "etcd") return { need: "no" };
  return { need: "perhaps", why: "without a way to etcd it is not seen what is stored with it" };
}

/** Why it cannot be told which key is behind stored values. */
export function whyUnclear({ keyId }: WriteKey): string {
  return keyId === undefined ? "KMS v1 does not store which key" : `key_id ${keyId} does not say which key`;
}

/**
 * What the API server encrypts with, which it tells as a hash, and what the plugin reports, which it will take up next.
 * Undefined for what is not known.
 */
function keyIdsBehind(
  { observed, goal, inEtcd }: SeenKeys,
  plugin: PluginInstance,
  { plugins, heardKeyIds = [] }: ServerObservation,
  { name, endpoint }: KmsItem,
): readonly (string | undefined)[] {
  const reported = plugins.find((candidate) => candidate.endpoint === endpoint)?.keyId;
  const heard = heardKeyIds.find(({ provider }) => provider === name)?.keyIdHash;
  if (heard === undefined) return [reported];
  const stored = [...(inEtcd?.keys ?? []), ...(observed.stored?.resources ?? []).flatMap(({ keys }) => keys)];
  const known = [
    ...[plugin, ...goal.declared].flatMap(({ key }) => [...possibleKeyIds(key)]),
    ...stored.flatMap(({ key }) => key.keyId ?? []),
    ...(reported === undefined ? [] : [reported]),
  ];
  const inUse = known.find((keyId) => keyIdHash(keyId) === heard);
  return reported === undefined ? [inUse] : [inUse, reported];
}

/** The providers that the engine may have made for the key: names come from the key and the resources of a block. */
function namesFor({ observed, goal }: SeenKeys, { key }: PluginInstance): ReadonlySet<ProviderId> {
  const configs = observed.servers.flatMap((server) => configsOf(server));
  const blocks = configs.flatMap((config) => config.blocks.map((block) => block.resources));
  const slots = [...goal.resources.map((resource) => [resource]), ...blocks].map(resourceSlot);
  return new Set(
    slots.flatMap((slot) => (["v1", "v2"] as const).map((api) => `kms/${api}/${providerName(api, key, slot)}`)),
  );
}

/** What the server has on disk and what it has loaded. */
export function configsOf({ file, loaded }: ServerObservation): readonly EncryptionConfiguration[] {
  return [file?.config, loaded.config].filter((config) => config !== undefined);
}

function nameOf(provider: ProviderId): string {
  return provider.split("/").slice(2).join("/");
}
