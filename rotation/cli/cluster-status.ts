/** What `kms-etcd status` says: how each server stands and what is stored with which key. Pure; what it is made of was seen. */
import {
  type EncryptionConfiguration,
  type ProviderItem,
  providerIds,
  writerOf,
} from "../../core/encryption-configuration";
import { possibleKeyIds } from "../../core/key-ids";
import type { WriteKey } from "../../core/write-key";
import { resourceWriter } from "../adapters/kubernetes/resource-writer";
import { describeHolder, type LeaseRecord } from "../engine-lease";
import type { Fleet, FleetObservation } from "../fleet";
import type { StoredProof } from "../observation";
import type { DeclaredKey } from "./declared-keys";

type SeenServer = FleetObservation["servers"][number];

export interface ClusterStatus {
  readonly cluster: string;
  /** Undefined: no engine is at work. */
  readonly engine: EngineStatus | { readonly problem: string } | undefined;
  readonly discovery: string;
  readonly unlistedServers: readonly string[];
  readonly servers: readonly ServerStatus[];
  readonly stored: StoredStatus | { readonly problem: string };
  /** Why the cluster is not in order although a run could put it in order. */
  readonly pending: readonly string[];
  /** What has to be mended first. */
  readonly trouble: readonly string[];
}

/** The engine that holds the Lease. Times are ISO. */
export interface EngineStatus {
  readonly holder: string;
  readonly since: string;
  readonly renewedAt: string;
}

export interface ServerStatus {
  readonly name: string;
  readonly version: string;
  /** Undefined: it answers and is ready. */
  readonly problem: string | undefined;
  /** Whether it reloads a changed file by itself or has to be restarted. */
  readonly reload: "hot" | "restart";
  readonly fileHash: string | undefined;
  readonly loadedHash: string | undefined;
  /** What says that this is loaded. */
  readonly basis: string;
  /** In order, the writer first; of what is loaded where that is known, else of the file. */
  readonly blocks: readonly { readonly resources: readonly string[]; readonly providers: readonly NamedProvider[] }[];
  readonly plugins: readonly PluginStatus[];
}

export interface NamedProvider {
  readonly provider: string;
  /** Of the declared key behind it. */
  readonly keyVersion: number | undefined;
}

export interface PluginStatus {
  readonly name: string;
  readonly keyVersion: number | undefined;
  readonly keyId: string | undefined;
  readonly problem: string | undefined;
}

export interface StoredStatus {
  readonly method: StoredProof["method"];
  /** ISO. */
  readonly measuredAt: string;
  readonly resources: readonly StoredResourceStatus[];
}

export interface StoredResourceStatus {
  readonly resource: string;
  readonly objects: number;
  readonly keys: readonly StoredKeyStatus[];
  /** Values that could not be understood. */
  readonly unknown: number;
}

export interface StoredKeyStatus extends NamedProvider {
  readonly keyId: string | undefined;
  readonly objects: number;
  /** The servers that encrypt this resource with this key now. */
  readonly writtenBy: readonly string[];
}

export interface Seen {
  readonly cluster: string;
  readonly engine: LeaseRecord | { readonly problem: string } | undefined;
  readonly observed: FleetObservation;
  readonly stored: StoredProof | { readonly problem: string };
  readonly keys: readonly DeclaredKey[];
  readonly endpoint: Fleet["endpoint"];
}

/** What a server has loaded, or the file where that is not known. */
export function configOf(server: SeenServer): EncryptionConfiguration | undefined {
  return server.loaded.config ?? server.file?.config;
}

export function clusterStatus(seen: Seen): ClusterStatus {
  const { cluster, observed, keys } = seen;
  const versionOf = keyVersions(seen);
  const servers = observed.servers.map((server): ServerStatus => {
    const problem = server.unreachable ?? (server.notReady && `/readyz says no: ${server.notReady}`);
    return {
      name: server.name,
      version: server.version,
      problem,
      reload: server.reload,
      fileHash: server.file?.hash,
      loadedHash: server.loaded.hash,
      basis: server.loaded.basis,
      blocks: (configOf(server)?.blocks ?? []).map((block) => ({
        resources: block.resources,
        providers: block.providers
          .flatMap(providerIds)
          .map((provider) => ({ provider, keyVersion: versionOf(provider, undefined) })),
      })),
      plugins: server.plugins.map(({ name, keyId, problem: trouble }) => ({
        name,
        keyVersion: keys.find((key) => key.plugin.name === name)?.version,
        keyId,
        problem: trouble,
      })),
    };
  });
  const stored = "problem" in seen.stored ? seen.stored : storedStatus(seen.stored, observed, versionOf);
  return {
    cluster,
    engine: engineStatus(seen.engine),
    discovery: observed.discovery,
    unlistedServers: observed.unlistedServers,
    servers,
    stored,
    pending: pendingOf(servers, stored),
    trouble: troubleOf(observed, servers, stored),
  };
}

function engineStatus(engine: Seen["engine"]): ClusterStatus["engine"] {
  if (engine === undefined || "problem" in engine) return engine;
  const { holder, acquiredAt, renewedAt } = engine;
  const iso = (time: number) => new Date(time).toISOString();
  return { holder: describeHolder(holder), since: iso(acquiredAt), renewedAt: iso(renewedAt) };
}

type VersionOf = (provider: string, keyId: string | undefined) => number | undefined;

/** By the endpoint of the plugin, which says whose key it is whatever the provider is called; else by the key_id. */
function keyVersions({ observed, keys, endpoint }: Seen): VersionOf {
  const items = observed.servers.flatMap((server) =>
    [server.loaded.config, server.file?.config].flatMap((config) => (config?.blocks ?? []).flatMap((b) => b.providers)),
  );
  const versions = new Map<string, number>();
  for (const item of items) {
    const key = item.kind === "kms" && keys.find(({ plugin }) => endpoint(plugin) === item.endpoint);
    const [id] = providerIds(item);
    if (key && id !== undefined) versions.set(id, key.version);
  }
  const byKeyId = (keyId: string) => {
    const [first, ...others] = keys.filter(({ plugin }) => possibleKeyIds(plugin.key).has(keyId));
    return others.length === 0 ? first?.version : undefined;
  };
  return (provider, keyId) => versions.get(provider) ?? (keyId === undefined ? undefined : byKeyId(keyId));
}

function storedStatus(proof: StoredProof, observed: FleetObservation, versionOf: VersionOf): StoredStatus {
  return {
    method: proof.method,
    measuredAt: new Date(proof.finishedAt).toISOString(),
    resources: proof.resources.map(({ resource, objects, keys, unknown }) => ({
      resource,
      objects,
      unknown,
      keys: keys.map(({ key, objects: count }) => ({
        provider: key.provider,
        keyId: key.keyId,
        keyVersion: versionOf(key.provider, key.keyId),
        objects: count,
        writtenBy: observed.servers.filter((server) => writes(server, resource, key)).map((server) => server.name),
      })),
    })),
  };
}

/** Whether `server` encrypts `resource` with `key`: the provider, and the key_id that the plugin behind it reports. */
function writes(server: SeenServer, resource: string, key: WriteKey): boolean {
  const config = configOf(server);
  if (config === undefined || resourceWriter(config, resource) !== key.provider) return false;
  const items: readonly ProviderItem[] = config.blocks.flatMap((block) => block.providers);
  const item = items.find((candidate) => writerOf([candidate]) === key.provider);
  const reported =
    item?.kind === "kms" ? server.plugins.find((plugin) => item.endpoint.includes(plugin.name))?.keyId : undefined;
  return reported === undefined || key.keyId === undefined || reported === key.keyId;
}

function pendingOf(servers: readonly ServerStatus[], stored: ClusterStatus["stored"]): readonly string[] {
  const pending: string[] = [];
  for (const { name, fileHash, loadedHash } of servers) {
    if (loadedHash !== undefined && loadedHash !== fileHash) pending.push(`${name} has not loaded its file`);
  }
  const lists = servers.filter((server) => server.problem === undefined).map(({ blocks }) => JSON.stringify(blocks));
  if (new Set(lists).size > 1) pending.push("the servers do not have the same providers");
  for (const { resource, keys } of "problem" in stored ? [] : stored.resources) {
    const stale = keys.filter((key) => key.writtenBy.length === 0).reduce((sum, key) => sum + key.objects, 0);
    if (stale > 0) pending.push(`${stale} ${resource} are stored with a key that no server writes with`);
  }
  return pending;
}

function troubleOf(
  observed: FleetObservation,
  servers: readonly ServerStatus[],
  stored: ClusterStatus["stored"],
): readonly string[] {
  const trouble = servers.flatMap(({ name, problem }) => (problem === undefined ? [] : [`${name}: ${problem}`]));
  if (observed.discoveryProblem !== undefined) {
    trouble.push(`live API servers cannot be discovered: ${observed.discoveryProblem}`);
  }
  for (const name of observed.unlistedServers) trouble.push(`${name} is live but not listed`);
  for (const { name, plugins } of servers) {
    for (const { name: plugin, problem } of plugins) if (problem) trouble.push(`${plugin} on ${name}: ${problem}`);
  }
  if ("problem" in stored) return [...trouble, `what is stored could not be counted: ${stored.problem}`];
  for (const { resource, unknown } of stored.resources) {
    if (unknown > 0 && stored.method !== "counted") trouble.push(`${unknown} ${resource} could not be understood`);
  }
  return trouble;
}
