/** What happens to clusters while an engine works on them, for the model test: one function each, made from a random number. */
import type { ProviderItem } from "../../core/encryption-configuration";
import type { SimulatedCluster } from "./simulated-cluster";

export const disturbances = {
  nothing: () => undefined,
  /** An API server's process dies; whoever runs static pods starts it again soon. */
  crash: (cluster: SimulatedCluster, random: () => number) => {
    const host = anyHost(cluster, random);
    host.unseen = random() < 0.5;
    host.downUntil = cluster.clock.now() + 1_000 + Math.floor(random() * 40_000);
  },
  /** Somebody spoils a file; half of the time its server's process dies too. */
  spoiltFile: (cluster: SimulatedCluster, random: () => number) => {
    const host = anyHost(cluster, random);
    host.garbage = `sha256:${Math.floor(random() * 1e9).toString(16)}`;
    if (random() < 0.5) host.downUntil = cluster.clock.now() + 1_000;
  },
  /** Somebody edits a file: another order of its readers, and plaintext readable too. */
  handEdit: (cluster: SimulatedCluster, random: () => number) => {
    const host = anyHost(cluster, random);
    const edited = host.config.blocks.find(({ resources }) => resources.includes("secrets"));
    const [writer, ...readers] = edited?.providers ?? [];
    if (writer === undefined || host.garbage !== undefined) return;
    const identity: readonly ProviderItem[] = [writer, ...readers].some((item) => item.kind === "identity")
      ? []
      : [{ kind: "identity" }];
    const providers = [writer, ...readers.reverse(), ...identity];
    host.config = { blocks: host.config.blocks.map((block) => (block === edited ? { ...block, providers } : block)) };
    host.writtenAt = cluster.clock.now();
  },
  /** A server that cannot load anything new, until somebody mends it; half of the time its process dies at once. */
  cannotLoad: (cluster: SimulatedCluster, random: () => number) => {
    const host = anyHost(cluster, random);
    host.refusesToLoad = true;
    if (random() < 0.5) host.downUntil = cluster.clock.now() + 1_000;
  },
  /** The key of some plugins is disabled, wherever they run. */
  keyDisabled: (cluster: SimulatedCluster, random: () => number) => {
    const material = `local-${1 + Math.floor(random() * 3)}`;
    for (const host of cluster.hosts) {
      for (const plugin of host.plugins.values()) {
        plugin.broken ||= plugin.material === cluster.presentKeyId(material);
      }
    }
  },
  /** The KMS puts another key behind one that is declared: same provider, same configuration, another key_id. */
  keyChangedInPlace: (cluster: SimulatedCluster, random: () => number) => {
    const keyId = `local-${1 + Math.floor(random() * 3)}`;
    cluster.changeKeyInPlace(keyId, `${cluster.presentKeyId(keyId)}+`);
  },
  /** Somebody upgrades a server, and has not got to the others yet. */
  upgrade: (cluster: SimulatedCluster, random: () => number) => {
    anyHost(cluster, random).version = "v1.37.0";
  },
  /** Somebody wants another image of the plugin; now and then one that does not work. */
  image: (cluster: SimulatedCluster, random: () => number) => {
    cluster.faults.image = random() < 0.3 ? "broken" : `image ${Math.floor(random() * 1e6)}`;
  },
  /** Connections to hosts are cut, each in the middle of something; half of the time a server loads nothing new besides. */
  cut: (cluster: SimulatedCluster, random: () => number) => {
    cluster.faults.cuts = 1 + Math.floor(random() * 4);
    if (random() < 0.5) disturbances.cannotLoad(cluster, random);
  },
  /** Somebody takes a backup of etcd. */
  backup: (cluster: SimulatedCluster) => {
    const member = { name: "m1", version: "3.6.5", state: "voting", problems: [] } as const;
    cluster.faults.etcdMembers = [{ ...member, underWay: ["snapshot"] }];
  },
} as const;

export type Disturbance = keyof typeof disturbances;

export const disturbanceNames = Object.keys(disturbances) as readonly Disturbance[];

/** What people mend before they start the engine again. */
export function mend(cluster: SimulatedCluster): void {
  cluster.faults.etcdMembers = undefined;
  cluster.faults.cuts = 0;
  if (cluster.faults.image === "broken") cluster.faults.image = "mended";
  for (const host of cluster.hosts) {
    host.version = "v1.36.3";
    host.refusesToLoad = false;
    host.unseen = false;
    // Of a file that the engine has never written there is no copy to go back to.
    if (host.record === undefined) host.garbage = undefined;
    for (const plugin of host.plugins.values()) plugin.broken = false;
  }
}

function anyHost(cluster: SimulatedCluster, random: () => number): SimulatedCluster["hosts"][number] {
  const host = cluster.hosts[Math.floor(random() * cluster.hosts.length)];
  if (host === undefined) throw new Error("a cluster has hosts");
  return host;
}
