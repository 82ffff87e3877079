/** Which proofs still count. A proof holds for the servers it was measured on, in the state they were in (invariant 10). */
import type { WriteKey } from "../core/write-key";
import type { RewriteTarget } from "./decision";
import type {
  EtcdPosition,
  Observation,
  ReadThroughProof,
  ServerObservation,
  ServerState,
  StoredProof,
  StoredResource,
} from "./observation";

/** The state of a server that proofs are bound to; undefined while it is not known what the server has loaded. */
export function serverState(server: ServerObservation): ServerState | undefined {
  if (server.unreachable !== undefined || server.loaded.hash === undefined) return undefined;
  return { server: server.name, loadedHash: server.loaded.hash, processStartedAt: server.processStartedAt };
}

export function serverStates(servers: readonly ServerObservation[]): readonly ServerState[] {
  return servers.flatMap((server) => serverState(server) ?? []);
}

/** The stored proof, if no server has been added, restarted or reloaded and no etcd restored since, and it covers every target. */
export function validStored(observed: Observation, targets: readonly RewriteTarget[]): StoredProof | undefined {
  const proof = observed.stored;
  if (proof === undefined) return undefined;
  const now = serverStates(observed.servers);
  if (now.length !== observed.servers.length || !sameStates(proof.servers, now)) return undefined;
  if (!isEtcdUnchanged(observed.etcd, proof.etcd)) return undefined;
  return targets.every((target) => proof.resources.some((entry) => entry.resource === target.resource))
    ? proof
    : undefined;
}

/** The pass through this server as it is now, if one was made. */
export function validReadThrough(observed: Observation, server: ServerObservation): ReadThroughProof | undefined {
  const now = serverState(server);
  return (
    now &&
    observed.readThrough.find((proof) => sameStates([proof.state], [now]) && isEtcdUnchanged(observed.etcd, proof.etcd))
  );
}

/** Objects of `entry` that are stored with another key than they should be; unknown values count, they may be anything. */
export function staleObjects(entry: StoredResource, key: WriteKey): number {
  return (
    entry.unknown + entry.keys.reduce((sum, counted) => (hasKey(counted.key, key) ? sum : sum + counted.objects), 0)
  );
}

/** Stale objects over all targets. */
export function staleTotal(proof: StoredProof, targets: readonly RewriteTarget[]): number {
  return targets.reduce((sum, target) => {
    const entry = proof.resources.find((candidate) => candidate.resource === target.resource);
    return sum + (entry === undefined ? 0 : staleObjects(entry, target.key));
  }, 0);
}

/** Whether etcd has only gone on since a proof. A proof that was not made in etcd is not bound to it; one that was needs to see it. */
export function isEtcdUnchanged(now: EtcdPosition | undefined, then: EtcdPosition | undefined): boolean {
  if (then === undefined) return true;
  return now?.clusterId === then.clusterId && now.revision >= then.revision && now.raftIndex >= then.raftIndex;
}

/** Whether what is stored with one key is as it should be; without a key_id any one of the provider's will do. */
export function hasKey(stored: WriteKey, wanted: WriteKey): boolean {
  return stored.provider === wanted.provider && (wanted.keyId === undefined || stored.keyId === wanted.keyId);
}

function sameStates(a: readonly ServerState[], b: readonly ServerState[]): boolean {
  const key = (state: ServerState) => `${state.server} ${state.loadedHash} ${state.processStartedAt}`;
  const left = a.map(key).sort();
  const right = b.map(key).sort();
  return left.length === right.length && left.every((entry, index) => entry === right[index]);
}
