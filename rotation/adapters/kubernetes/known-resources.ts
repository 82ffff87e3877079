/** What the configured names stand for on this cluster, and what of it cannot be seen through the API. */
import type { ApiClient } from "./api-client";
import { firstOf } from "./first-of";
import { covers, discoverResources, expandResources, type ServedResource } from "./resources";
import { unservedKinds } from "./unserved-kinds";

export interface KnownResources {
  /** By configured name. */
  readonly served: ReadonlyMap<string, readonly ServedResource[]>;
  /** The names of all that API servers serve, whatever was configured. */
  readonly everything: readonly string[];
  /** Custom resources that a name covers and of which no version is served. */
  readonly unserved: readonly string[];
  /** What a wildcard covers and aggregated API servers store. */
  readonly aggregated: readonly string[];
}

/** By the first server that says so. Throws `not-found` for a name that stands for nothing. */
export async function knownResources(
  clients: readonly ApiClient[],
  names: readonly string[],
  signal: AbortSignal,
): Promise<KnownResources> {
  return firstOf(clients, async (client) => {
    const discovered = await discoverResources(client, signal);
    const isServed = (name: string) => discovered.served.some((resource) => resource.name === name);
    // Only then can a definition matter that nobody serves.
    const isClear = names.every((name) => !name.startsWith("*.") && isServed(name));
    const kinds = isClear ? [] : await unservedKinds(client, signal);
    const unserved = kinds.filter((kind) => names.some((name) => covers(name, kind)));
    return {
      served: expandResources(names, discovered, unserved),
      everything: discovered.served.map(({ name }) => name),
      unserved,
      aggregated: discovered.aggregated.filter((resource) => names.some((name) => covers(name, resource))),
    };
  });
}
