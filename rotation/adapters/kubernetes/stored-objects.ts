/**
 * The StoredObjects port on real API servers and, where it is given, their etcd. Everything that looks at or rewrites stored
 * objects is in this folder and its neighbour `etcd/`, and the same for every platform; platforms differ in `hosts/` and its like.
 */
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../core/errors";
import type { RewriteTarget } from "../../decision";
import type { ServerState, StoredProof, StoredResource } from "../../observation";
import type { Progress, StoredObjects } from "../../stored-objects";
import { type EtcdAddress, etcdClient } from "../etcd/etcd-client";
import { keyRanges } from "../etcd/etcd-keys";
import { scanStoredValues } from "../etcd/etcd-scan";
import { type ApiClient, type ApiServerAddress, apiClient } from "./api-client";
import { proveByApi } from "./api-proof";
import { countObjects } from "./paged-list";
import { readObjectsThrough } from "./read-through";
import { discoverResources, expandResources, type ServedResource } from "./resources";
import { rewriteObjects } from "./rewriter";
import { unservedKinds } from "./unserved-kinds";

export interface StoredObjectsOptions {
  readonly servers: readonly ApiServerAddress[];
  /** With it `measure` reads every stored value's prefix; without, it offers every object to every server. */
  readonly etcd?: EtcdAddress & {
    /** The API servers' --etcd-prefix. @default /registry */
    readonly prefix?: string;
  };
  /** The configuration behind a loaded hash. Without etcd, only what is known to be written can be proven; then give this. */
  readonly configOf?: (hash: string) => EncryptionConfiguration | undefined;
}

/** Connects when first used. */
export function createStoredObjects(options: StoredObjectsOptions): StoredObjects {
  const clients = options.servers.map(apiClient);
  const etcd = options.etcd && etcdClient(options.etcd);

  const clientsOf = (servers: readonly string[]) =>
    servers.map((name) => {
      const client = clients.find((candidate) => candidate.name === name);
      if (client !== undefined) return client;
      throw new KmsEtcdError("invalid-input", `no address was given for the API server ${name}`);
    });

  /** What is served, by the first server that says so. */
  async function served(resources: readonly string[], through: readonly ApiClient[], signal: AbortSignal) {
    return expandResources(resources, await firstOf(through, (client) => discoverResources(client, signal)));
  }

  return {
    measure: async (targets, servers, onProgress, signal) => {
      const names = targets.map((target) => target.resource);
      if (etcd !== undefined && options.etcd !== undefined) {
        return measureByEtcd({ etcd, prefix: options.etcd.prefix, clients, targets, servers, onProgress, signal });
      }
      const through = clientsOf(servers.map((state) => state.server));
      const proof = await proveByApi({
        clients: through,
        states: servers,
        targets,
        served: await served(names, through, signal),
        configOf: options.configOf ?? (() => undefined),
        onProgress,
        signal,
      });
      const notSeen = await firstOf(through, (client) => unservedKinds(client, names, signal));
      return notSeen.length === 0 ? proof : { ...proof, notSeen };
    },
    rewrite: async (targets, servers, onProgress, signal) => {
      const through = clientsOf(servers);
      const resources = await served(
        targets.map((target) => target.resource),
        through,
        signal,
      );
      return rewriteObjects(through, [...resources.values()].flat(), onProgress, signal);
    },
    readThrough: async (state, resources, onProgress, signal) => {
      const through = clientsOf([state.server]);
      const objects = [...(await served(resources, through, signal)).values()].flat();
      return readObjectsThrough(through[0] as ApiClient, state, objects, onProgress, signal);
    },
    close: async () => {
      etcd?.close();
      await Promise.all(clients.map((client) => client.close()));
    },
  };
}

interface EtcdMeasurement {
  readonly etcd: ReturnType<typeof etcdClient>;
  readonly prefix: string | undefined;
  readonly clients: readonly ApiClient[];
  readonly targets: readonly RewriteTarget[];
  readonly servers: readonly ServerState[];
  readonly onProgress: (progress: Progress) => void;
  readonly signal: AbortSignal;
}

async function measureByEtcd(input: EtcdMeasurement): Promise<StoredProof> {
  const { etcd, prefix = "/registry", clients, targets, servers, onProgress, signal } = input;
  const startedAt = Date.now();
  const names = targets.map((target) => target.resource);
  // API servers may be down when this is needed most: what etcd alone can tell must not depend on them.
  const known = await firstOf(clients, (client) => discoverResources(client, signal)).catch((thrown: unknown) => {
    if (signal.aborted) throw thrown;
    return undefined;
  });
  const ranges = keyRanges(names, prefix, (wildcard) => {
    if (known === undefined) {
      throw new KmsEtcdError("unreachable", `no API server says which resources "${wildcard}" stands for`);
    }
    return [...expandResources([wildcard], known).values()].flat().map((resource) => resource.name);
  });
  const resources = await scanStoredValues(etcd, ranges, onProgress, signal);
  if (known !== undefined) await compareWithApi(clients, expandResources(names, known), resources, prefix, signal);
  const proof: StoredProof = { method: "etcd", startedAt, finishedAt: Date.now(), servers, resources };
  const alone = "whether this etcd is the API servers' own: none of them answered";
  return known === undefined ? { ...proof, notSeen: [alone] } : proof;
}

/**
 * An etcd that is not the API servers' own, or a wrong prefix, would prove anything: nothing stored, nothing stale. So each
 * resource's count must be about what API servers count; objects may come and go between the two.
 */
async function compareWithApi(
  clients: readonly ApiClient[],
  served: ReadonlyMap<string, readonly ServedResource[]>,
  resources: readonly StoredResource[],
  prefix: string,
  signal: AbortSignal,
): Promise<void> {
  for (const { resource, objects } of resources) {
    let counted = 0;
    for (const one of served.get(resource) ?? []) {
      counted += await firstOf(clients, (client) => countObjects(client, one, signal)).catch((thrown: unknown) => {
        if (signal.aborted) throw thrown;
        return 0;
      });
    }
    if (objects >= counted * 0.9 - 10 && (objects > 0 || counted === 0)) continue;
    throw new KmsEtcdError(
      "invalid-input",
      `etcd has ${objects} ${resource} below ${prefix}, but the API servers count ${counted}`,
      {
        remedy:
          "give the API servers' own --etcd-servers and --etcd-prefix; if many objects were deleted just now, run again",
      },
    );
  }
}

async function firstOf<T>(clients: readonly ApiClient[], ask: (client: ApiClient) => Promise<T>): Promise<T> {
  let failure: unknown = new KmsEtcdError("invalid-input", "no API server was given");
  for (const client of clients) {
    try {
      return await ask(client);
    } catch (thrown) {
      failure = thrown;
      if (thrown instanceof KmsEtcdError && (thrown.code === "cancelled" || thrown.code === "unsupported"))
        throw thrown;
    }
  }
  throw failure;
}
