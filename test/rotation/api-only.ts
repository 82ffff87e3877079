/** The stored objects of a simulated cluster for an engine without a way to etcd: what API servers answer is all that there is. */
import { readersOf, writerOf } from "../../core/encryption-configuration";
import type { StoredObjects } from "../../rotation/stored-objects";
import type { SimulatedCluster } from "./simulated-cluster";

export function apiOnly(cluster: SimulatedCluster): StoredObjects {
  const { position: _position, ...stored } = cluster.stored;
  return {
    ...stored,
    measuresByWriting: true,
    async measure(targets, servers, onProgress, signal) {
      const startedAt = cluster.clock.now();
      const loaded = cluster.hosts.map((host) => cluster.listFor(host.loaded));
      const provable = targets.every(({ key }) => loaded.every((list) => writerOf(list) === key.provider));
      // To offer an object for a no-op write is to have it written again where it is stored otherwise.
      if (provable) {
        const names = servers.map(({ server }) => server);
        await cluster.stored.rewrite(targets, names, onProgress, signal);
      } else await cluster.clock.sleep(1_000, signal);
      const all = [...cluster.objects.values()];
      const refused = all.filter(({ provider }) => !loaded.every((list) => readersOf(list).has(provider))).length;
      const unknown = provable ? refused : all.length;
      return {
        method: "api",
        startedAt,
        finishedAt: cluster.clock.now(),
        servers,
        resources: targets.map(({ resource, key }) => ({
          resource,
          objects: all.length,
          bytes: 0,
          keys: unknown === all.length ? [] : [{ key, objects: all.length - unknown }],
          unknown,
          ...(provable && refused > 0 && { unreadable: refused }),
        })),
      };
    },
  };
}
