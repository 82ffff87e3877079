/**
 * The control-plane machines of a kOps cluster as their own API servers show them. Not over SSH: after a roll every machine is a new
 * one with a host key that nobody can know beforehand, while the cluster's certificate authority stays, and only the process itself
 * knows what it has loaded.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { StoredObjects } from "../../stored-objects";
import { askApiServer } from "../hosts/api-server-status";
import { namesLoadedHash } from "../hosts/loaded-config";
import { compareWithList, type IdentityLease, identityLeases, leaseIdHash } from "../hosts/server-discovery";
import { type ApiClient, type ApiServerAddress, apiClient } from "../kubernetes/api-client";
import { createStoredObjects } from "../kubernetes/stored-objects";
import { following } from "./following";
import type { MachineLook } from "./kops-cli";
import type { Machine, MachineConfig } from "./kops-observation";
import type { KopsInstance } from "./kops-output";
import { readSecretText } from "./secret-text";

export interface KopsMachinesOptions {
  /** How the API server of a machine is reached; `name` is the instance's id. */
  readonly addressOf: (instance: KopsInstance) => ApiServerAddress;
  /** Of one look at one machine: one that does not answer at once may be starting. Default: 10 s. */
  readonly limitMs?: number;
  /** How long a Lease of nobody's is watched for a sign of life. Default: 15 s; servers renew theirs every 10 s. */
  readonly leaseWatchMs?: number;
}

export interface KopsMachines {
  readonly look: MachineLook;
  /** Through the API servers of the latest look: a roll replaces them all. */
  readonly stored: Pick<StoredObjects, "measure" | "count" | "outlook" | "rewrite" | "readThrough">;
  /** The API servers of the latest look, by the ids of their machines. */
  addresses(): readonly ApiServerAddress[];
  close(): Promise<void>;
}

type Looked = Omit<Machine, "name" | "group" | "needsUpdate">;

interface Met {
  readonly address: ApiServerAddress;
  readonly client: ApiClient;
  /** From its metrics; the Lease of its API server has a name with this hash. */
  idHash: string | undefined;
}

const usualLimit = 10_000;
const usualWatch = 15_000;
const betweenTries = 1_000;
/** A Lease counts as fresh for a minute after it was renewed last. */
const looksAlive = 90_000;

export function createKopsMachines(options: KopsMachinesOptions): KopsMachines {
  const { addressOf, limitMs = usualLimit, leaseWatchMs = usualWatch } = options;
  const met = new Map<string, Met>();
  /** Servers that are gone, by the hash of their Lease's name, and until when the Lease may look alive. */
  const gone = new Map<string, number>();
  let texts: ReadonlyMap<string, string> = new Map();
  const addresses = () => [...met.values()].map(({ address }) => address);
  const objects = following(addresses, (servers) => createStoredObjects({ servers, configOf }));

  function meet(instances: readonly KopsInstance[]): readonly Met[] {
    const wanted = instances.map((instance) => addressOf(instance));
    for (const [id, { client, idHash, address }] of met) {
      if (wanted.some(({ name, url }) => name === id && url === address.url)) continue;
      met.delete(id);
      if (idHash !== undefined) gone.set(idHash, Date.now() + looksAlive);
      void client.close();
    }
    return wanted.map((address) => {
      const known = met.get(address.name) ?? { address, client: apiClient(address), idHash: undefined };
      met.set(address.name, known);
      return known;
    });
  }

  /** Asks again for as long as the limit allows. */
  async function lookAt(machine: Met, signal: AbortSignal): Promise<Looked> {
    const until = Date.now() + limitMs;
    for (;;) {
      const status = await askApiServer(machine.client, AbortSignal.any([signal, AbortSignal.timeout(limitMs)]));
      if (status.unreachable === undefined) {
        const { version, processStartedAt, metrics } = status;
        machine.idHash = metrics.apiServerIdHash ?? machine.idHash;
        if (machine.idHash !== undefined) gone.delete(machine.idHash);
        return { unreachable: undefined, version, processStartedAt, loaded: loadedBy(metrics.loadedHash, version) };
      }
      if (Date.now() + betweenTries >= until || signal.aborted) {
        const { unreachable } = status;
        return { unreachable, version: "", processStartedAt: 0, loaded: { kind: "unknown" } };
      }
      await sleep(betweenTries, undefined, { signal }).catch(() => undefined);
    }
  }

  function loadedBy(hash: string | undefined, version: string): MachineConfig {
    if (hash === undefined) return namesLoadedHash(version) ? { kind: "none" } : { kind: "unknown" };
    const text = texts.get(hash);
    const config = configOf(hash);
    return { kind: "hash", hash, known: text === undefined || config === undefined ? undefined : { text, config } };
  }

  function configOf(hash: string) {
    const text = texts.get(hash);
    try {
      return text === undefined ? undefined : readSecretText(text);
    } catch {
      return undefined; // the rules say what is wrong with a secret that is none
    }
  }

  /** Fresh Leases of none of the machines, those of machines aside that were here before. */
  async function unknownLeases(clients: readonly ApiClient[], signal: AbortSignal): Promise<readonly IdentityLease[]> {
    const leases = await identityLeases(clients, signal);
    const candidates = leases.filter(({ name }) => (gone.get(leaseIdHash(name)) ?? 0) < Date.now());
    const listed = [...met].map(([name, { idHash }]) => ({ name, idHash }));
    const { unlistedServers } = compareWithList(listed, candidates);
    return candidates.filter(({ hostName, isFresh }) => isFresh && unlistedServers.includes(hostName));
  }

  return {
    look: {
      async look(instances, known, signal) {
        texts = known;
        return Promise.all(meet(instances).map((machine) => lookAt(machine, signal)));
      },
      /**
       * A server's Lease looks alive for a minute after its machine was replaced, perhaps by a run that was killed. So one of
       * nobody's is watched: a server that lives renews it.
       */
      async strangers(_instances, signal) {
        const clients = [...met.values()].flatMap(({ client, idHash }) => (idHash === undefined ? [] : [client]));
        if (clients.length === 0) return []; // no server answered, which is worse, and said by the machines
        const first = await unknownLeases(clients, signal);
        const renewed = new Map(first.map(({ name, renewedAt }) => [name, renewedAt]));
        const until = Date.now() + leaseWatchMs;
        let waiting: readonly IdentityLease[] = first;
        const live: string[] = [];
        while (waiting.length > 0 && Date.now() < until && !signal.aborted) {
          await sleep(betweenTries, undefined, { signal }).catch(() => undefined);
          const now = await unknownLeases(clients, signal);
          const alive = now.filter(({ name, renewedAt }) => renewed.has(name) && renewed.get(name) !== renewedAt);
          live.push(...alive.map(({ hostName }) => hostName));
          waiting = now.filter((lease) => renewed.has(lease.name) && !alive.includes(lease));
          for (const { name } of alive) renewed.delete(name);
        }
        for (const { name } of waiting) gone.set(leaseIdHash(name), Date.now() + looksAlive);
        return live;
      },
    },
    stored: {
      measure: (...request) => objects.present().measure(...request),
      count: (...request) => objects.present().count(...request),
      outlook: (...request) => objects.present().outlook(...request),
      rewrite: (...request) => objects.present().rewrite(...request),
      readThrough: (...request) => objects.present().readThrough(...request),
    },
    addresses,
    async close() {
      await Promise.all([objects.close(), ...[...met.values()].map(({ client }) => client.close())]);
      met.clear();
    },
  };
}
