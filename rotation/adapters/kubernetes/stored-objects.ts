/**
 * The StoredObjects port on real API servers and, where it is given, their etcd. Everything that looks at or rewrites stored
 * objects is in this folder and its neighbour `etcd/`, and the same for every platform; platforms differ in `hosts/` and its like.
 */
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../core/errors";
import { RewriteMethod } from "../../../core/rewrite-method";
import type { ObjectFailure } from "../../observation";
import type { StoredObjects } from "../../stored-objects";
import { isBuiltInWildcard } from "../etcd/etcd-keys";
import { admissionOf } from "./admission";
import { type ApiClient, type ApiServerAddress, apiClient } from "./api-client";
import { proveByApi } from "./api-proof";
import { countByApi } from "./count-by-api";
import { firstOf } from "./first-of";
import { migrateInTree } from "./in-tree-migration";
import { knownResources } from "./known-resources";
import { type EtcdAccess, etcdMeasurement } from "./measure-by-etcd";
import { readObjectsThrough, readSample } from "./read-through";
import type { ServedResource } from "./resources";
import { rewriteObjects } from "./rewriter";
import { unreadableObjects } from "./unreadable";
import { wantedOf } from "./wanted-objects";

export interface StoredObjectsOptions {
  readonly servers: readonly ApiServerAddress[];
  /** With it `measure` reads every stored value's prefix; without, it offers every object to every server. */
  readonly etcd?: EtcdAccess;
  /** The configuration behind a loaded hash. Without etcd, only what is known to be written can be proven; then give this. */
  readonly configOf?: (hash: string) => EncryptionConfiguration | undefined;
}

/** Connects when first used. */
export function createStoredObjects(options: StoredObjectsOptions): StoredObjects {
  const clients = options.servers.map(apiClient);
  const etcd = options.etcd && etcdMeasurement(options.etcd);

  const clientsOf = (servers: readonly string[]) =>
    servers.map((name) => {
      const client = clients.find((candidate) => candidate.name === name);
      if (client !== undefined) return client;
      throw new KmsEtcdError("invalid-input", `no address was given for the API server ${name}`);
    });

  /** Failures of a whole list, with the objects behind them where etcd can tell which there are. */
  async function named(
    failures: readonly ObjectFailure[],
    through: readonly ApiClient[],
    resources: readonly ServedResource[],
    signal: AbortSignal,
  ): Promise<readonly ObjectFailure[]> {
    const all: ObjectFailure[] = [];
    for (const failure of failures) {
      const resource = resources.find(({ name }) => name === failure.resource);
      const found =
        etcd === undefined || resource === undefined || failure.name !== ""
          ? []
          : await firstOf(through, (client) =>
              unreadableObjects(client, resource, etcd.keysOf(resource.name, signal), signal),
            );
      all.push(...(found.length === 0 ? [failure] : found));
    }
    return all;
  }

  return {
    ...(etcd === undefined && { measuresByWriting: true }),
    measure: async (targets, servers, onProgress, signal) => {
      const names = targets.map((target) => target.resource);
      if (etcd !== undefined) return etcd.measure({ clients, names, servers, onProgress, signal });
      const through = clientsOf(servers.map((state) => state.server));
      const { served, unserved, aggregated } = await knownResources(through, names, signal);
      const proof = await proveByApi({
        clients: through,
        states: servers,
        targets,
        served,
        configOf: options.configOf ?? (() => undefined),
        onProgress,
        signal,
      });
      const notSeen = [
        ...unserved.map((kind) => `${kind}: no version of it is served`),
        ...aggregated.map((resource) => `${resource}: an aggregated API server stores it`),
        ...(names.includes("*.*") ? ["objects of API groups that are switched off"] : []),
        ...names.filter(isBuiltInWildcard).map((name) => `kinds of "${name}" that are switched off`),
      ];
      return { ...proof, ...(notSeen.length > 0 && { notSeen }), ...(unserved.length > 0 && { unproven: unserved }) };
    },
    count: async (targets, servers, onProgress, signal) => {
      const names = targets.map((target) => target.resource);
      if (etcd !== undefined) return etcd.measure({ clients, names, servers, onProgress, signal });
      const through = clientsOf(servers.map((state) => state.server));
      return countByApi({ clients: through, names, servers, signal });
    },
    ...(etcd && {
      position: etcd.position,
      members: etcd.members,
      countEverything: etcd.countEverything,
      snapshot: etcd.snapshot,
      compact: etcd.compact,
    }),
    rewrite: async (targets, servers, onProgress, signal, by = RewriteMethod.Patch, scope) => {
      const through = clientsOf(servers);
      const names = targets.map((target) => target.resource);
      const { served, unserved } = await knownResources(through, names, signal);
      const { resources, isWanted } = wantedOf(served, scope);
      const result =
        by === RewriteMethod.Patch
          ? await rewriteObjects(through, resources, onProgress, signal, isWanted)
          : await migrateInTree({ clients: through, resources, onProgress, signal });
      const reason =
        "no version of it is served, so nobody can write its objects again: serve one, or delete the objects";
      const failures = unserved.map((resource) => ({ resource, namespace: "", name: "", reason }));
      return { ...result, failures: [...result.failures, ...failures] };
    },
    outlook: async (targets, servers, signal) => {
      const through = clientsOf(servers);
      const { served } = await knownResources(
        through,
        targets.map((target) => target.resource),
        signal,
      );
      const resources = [...served.values()].flat();
      const admission = await firstOf(through, (client) => admissionOf(client, served, signal));
      const reads = await readSample(through, resources, signal);
      return { admission, reads: { ...reads, failures: await named(reads.failures, through, resources, signal) } };
    },
    readThrough: async (state, resources, onProgress, signal) => {
      const through = clientsOf([state.server]);
      const { served } = await knownResources(through, resources, signal);
      return readObjectsThrough(through[0] as ApiClient, state, [...served.values()].flat(), onProgress, signal);
    },
    close: async () => {
      etcd?.close();
      await Promise.all(clients.map((client) => client.close()));
    },
  };
}
