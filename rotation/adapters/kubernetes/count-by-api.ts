/**
 * How many objects there are, for a plan where there is no way to etcd. The proof through the API writes every object again,
 * and a plan must change nothing; so it counts, by the API servers' own counts, and says that it has proven nothing.
 */
import type { ServerState, StoredProof, StoredResource } from "../../observation";
import type { ApiClient } from "./api-client";
import { firstOf } from "./first-of";
import { knownResources } from "./known-resources";
import { countObjects } from "./paged-list";

export interface ApiCount {
  readonly clients: readonly ApiClient[];
  /** Configured resource names. */
  readonly names: readonly string[];
  readonly servers: readonly ServerState[];
  readonly signal: AbortSignal;
}

export async function countByApi({ clients, names, servers, signal }: ApiCount): Promise<StoredProof> {
  const startedAt = Date.now();
  const { served, unserved } = await knownResources(clients, names, signal);
  const resources: StoredResource[] = [];
  for (const resource of names) {
    let objects = 0;
    for (const one of served.get(resource) ?? []) {
      objects += await firstOf(clients, (client) => countObjects(client, one, signal));
    }
    resources.push({ resource, objects, bytes: 0, keys: [], unknown: objects });
  }
  const notSeen = [
    "with which key objects are stored: through the API that is seen only by writing them again, and nothing was written",
    ...unserved.map((kind) => `${kind}: no version of it is served`),
  ];
  return { method: "counted", startedAt, finishedAt: Date.now(), servers, resources, notSeen };
}
