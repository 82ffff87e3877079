/** What is stored, from etcd itself, and whether that etcd is the API servers' own. */
import { describeError, KmsEtcdError } from "../../../core/errors";
import type { EtcdPosition, ServerState, StoredKey, StoredProof, StoredResource } from "../../observation";
import type { Progress, SnapshotRequest } from "../../stored-objects";
import { withDeadline } from "../deadline";
import { type EtcdClient, etcdClient } from "../etcd/etcd-client";
import type { EtcdAddress } from "../etcd/etcd-connections";
import { isBuiltInWildcard, keyRanges, resourceKeyPrefix } from "../etcd/etcd-keys";
import { defaultLayout, type EtcdLayout } from "../etcd/etcd-layout";
import { compactAndDefragment, etcdPosition } from "../etcd/etcd-maintenance";
import { etcdMembers } from "../etcd/etcd-members";
import { scanStoredValues, storedKeys } from "../etcd/etcd-scan";
import { keepSnapshot } from "../etcd/kept-snapshots";
import { unservedValues } from "../etcd/unserved-values";
import type { ApiClient } from "./api-client";
import { type KnownResources, knownResources } from "./known-resources";
import { type ComparisonResult, compareWithApi } from "./own-etcd";

export type EtcdAccess = EtcdAddress &
  Partial<EtcdLayout> & {
    /** Asked at each measurement for what was not given: what the API servers themselves are told. */
    readonly layout?: () => Promise<Partial<EtcdLayout>>;
  };

export interface EtcdMeasurement {
  readonly clients: readonly ApiClient[];
  /** Configured resource names. */
  readonly names: readonly string[];
  readonly servers: readonly ServerState[];
  readonly onProgress: (progress: Progress) => void;
  readonly signal: AbortSignal;
}

/** It is asked for at every look. */
const positionTimeout = 4_000;
/** Longer than any of the requests that it is made of. */
const membersTimeout = 15_000;
/** What API servers that were there a moment ago do not answer is asked again for so long. */
const comparisonPatience = 15_000;
/** Whoever adds a member or takes a backup is at it for longer. */
const membersStayFor = 5_000;

/** Connects when first used. */
export function etcdMeasurement(access: EtcdAccess) {
  const connected = new Map<string, EtcdClient>();
  const clientAt = (endpoints: readonly string[]) => {
    const id = endpoints.join(" ");
    const client = connected.get(id) ?? etcdClient({ ...access, endpoints });
    connected.set(id, client);
    return client;
  };
  /** Of the etcd that holds everything but what overrides name. */
  const position = (signal: AbortSignal): Promise<EtcdPosition | undefined> =>
    withDeadline(signal, positionTimeout, (limited) =>
      etcdPosition(clientAt(access.endpoints).connections, limited),
    ).catch(() => undefined);
  /** Of the main etcd. A look that goes on, or ended a moment ago, serves for all who ask meanwhile. */
  let looked: { until: number; readonly members: ReturnType<typeof etcdMembers> } | undefined;
  const members = (signal: AbortSignal) => {
    if (looked === undefined || Date.now() > looked.until) {
      const look = { until: Number.POSITIVE_INFINITY, members: membersNow(signal) };
      looked = look;
      void look.members.finally(() => {
        look.until = Date.now() + membersStayFor;
      });
    }
    return looked.members;
  };
  /** Undefined also where this client can't even connect: what needs etcd says so itself, and repairs don't. */
  async function membersNow(signal: AbortSignal) {
    try {
      // One signal for all of them: three requests to each member would be as many listeners to the run's own.
      return await withDeadline(signal, membersTimeout, (limited) =>
        etcdMembers(clientAt(access.endpoints).connections, limited),
      );
    } catch {
      return undefined;
    }
  }
  /**
   * Before the first value is read: whatever is restored from then on voids the proof. Without an answer nobody could tell, so
   * there is no proof; undefined where this client is not allowed to ask.
   */
  async function positionForProof(signal: AbortSignal): Promise<EtcdPosition | undefined> {
    try {
      return await withDeadline(signal, positionTimeout, (limited) =>
        etcdPosition(clientAt(access.endpoints).connections, limited),
      );
    } catch (thrown) {
      if (thrown instanceof KmsEtcdError && thrown.code === "permission-denied") return undefined;
      throw noPosition(access.endpoints, thrown);
    }
  }
  async function countEverything(onProgress: (progress: Progress) => void, signal: AbortSignal) {
    const { prefix, overrides } = await layoutOf(access);
    const keys: StoredKey[] = [];
    let unknown = 0;
    for (const endpoints of [access.endpoints, ...overrides.map((override) => override.endpoints)]) {
      const ranges = keyRanges(["*.*"], prefix, () => []);
      for (const entry of await scanStoredValues(() => clientAt(endpoints), ranges, prefix, onProgress, signal)) {
        keys.push(...entry.keys);
        unknown += entry.unknown;
      }
    }
    return { keys, unknown };
  }

  return {
    measure: async (input: EtcdMeasurement): Promise<StoredProof> => {
      const layout = await layoutOf(access);
      const clientOf = (resource: string | undefined) =>
        clientAt(layout.overrides.find((override) => override.resource === resource)?.endpoints ?? access.endpoints);
      const etcd = await positionForProof(input.signal);
      const proof = await measure(input, layout, clientOf);
      if (etcd !== undefined) return { ...proof, etcd };
      return { ...proof, notSeen: [...(proof.notSeen ?? []), unbound] };
    },
    /** etcd's keys of one resource, without the part that is the resource's. */
    keysOf: async function* (resource: string, signal: AbortSignal): AsyncGenerator<readonly string[]> {
      const { prefix, overrides } = await layoutOf(access);
      const own = overrides.find((override) => override.resource === resource);
      yield* storedKeys(clientAt(own?.endpoints ?? access.endpoints), resourceKeyPrefix(resource, prefix), signal);
    },
    position,
    members,
    countEverything,
    /** Of the main etcd too. */
    compact: (revision: number, onProgress: (progress: Progress) => void, signal: AbortSignal) =>
      compactAndDefragment(clientAt(access.endpoints).connections, revision, onProgress, signal),
    /** Of the main etcd; what overrides name is in others. */
    snapshot: (request: SnapshotRequest, onProgress: (progress: Progress) => void, signal: AbortSignal) => {
      const { connections } = clientAt(access.endpoints);
      return keepSnapshot(connections, request, () => countEverything(onProgress, signal), onProgress, signal);
    },
    close: () => {
      for (const client of connected.values()) client.close();
    },
  };
}

const unbound = "whether a backup of etcd has been restored since: this client may not ask etcd where it stands";

function noPosition(endpoints: readonly string[], cause: unknown): KmsEtcdError {
  const message = `etcd at ${endpoints.join(", ")} did not say where it stands: ${describeError(cause)}`;
  return new KmsEtcdError("timeout", message, {
    remedy: "see whether its members are well (etcdctl endpoint status), then run again",
    cause,
  });
}

async function layoutOf(access: EtcdAccess): Promise<EtcdLayout> {
  const found = (await access.layout?.()) ?? {};
  return {
    prefix: access.prefix ?? found.prefix ?? defaultLayout.prefix,
    overrides: access.overrides ?? found.overrides ?? defaultLayout.overrides,
  };
}

async function measure(
  { clients, names, servers, onProgress, signal }: EtcdMeasurement,
  { prefix, overrides }: EtcdLayout,
  clientOf: (override: string | undefined) => EtcdClient,
): Promise<StoredProof> {
  const startedAt = Date.now();
  let unknownBecause = "";
  // API servers may be down when this is needed most: what etcd alone can tell must not depend on them.
  const known = await knownResources(clients, names, signal).catch((thrown: unknown): KnownResources | undefined => {
    if (signal.aborted || (thrown instanceof KmsEtcdError && thrown.code === "not-found")) throw thrown;
    const isAway = thrown instanceof KmsEtcdError && (thrown.code === "unreachable" || thrown.code === "timeout");
    unknownBecause = isAway ? `none of them answered (${thrown.message})` : describeError(thrown);
    return undefined;
  });
  const expand = (wildcard: string) => {
    if (known === undefined) {
      throw new KmsEtcdError("unreachable", `no API server says which resources "${wildcard}" stands for`);
    }
    return (known.served.get(wildcard) ?? []).map((resource) => resource.name);
  };
  const elsewhere = overrides.map(({ resource }) => resource);
  const ranges = keyRanges(names, prefix, expand, elsewhere);
  const scan = () => scanStoredValues(clientOf, ranges, prefix, onProgress, signal);
  const compare = async (seen: readonly StoredResource[]): Promise<ComparisonResult> => {
    if (known === undefined) return { doubts: [`whether this etcd is the API servers' own: ${unknownBecause}`] };
    const clientOfOne = (resource: string) => clientOf(elsewhere.includes(resource) ? resource : undefined);
    const patience = servers.length > 0 ? comparisonPatience : 0;
    const { served } = known;
    return compareWithApi({
      clients,
      served,
      seen,
      prefix,
      overrides: elsewhere,
      clientOf: clientOfOne,
      patience,
      signal,
    });
  };
  let resources = await scan();
  let compared = await compare(resources);
  if (compared.other !== undefined) {
    // Objects come and go between the two looks: only what is so again says something about this etcd.
    resources = await scan();
    compared = await compare(resources);
    if (compared.other !== undefined) throw compared.other;
  }
  const { doubts } = compared;
  // `*.*` is everything in etcd, whether it is served or not.
  const hasWildcard = names.some(isBuiltInWildcard) && !names.includes("*.*");
  const unserved = hasWildcard
    ? await unservedValues(clientOf(undefined), prefix, known?.everything ?? [], signal)
    : [];
  const unproven = unserved.map((path) => `what is stored below ${path}`);
  const notSeen = [
    ...doubts,
    ...(known?.aggregated ?? []).map((resource) => `${resource}: an aggregated API server stores it`),
  ];
  return {
    method: "etcd",
    startedAt,
    finishedAt: Date.now(),
    servers,
    resources,
    ...(notSeen.length > 0 && { notSeen }),
    ...(doubts.length > 0 && { doubts }),
    ...(unproven.length > 0 && { unproven }),
  };
}
