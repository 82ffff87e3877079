/** Opens a self-managed cluster, over SSH, for the engine. */
import { describeError, KmsEtcdError } from "../../../core/errors";
import type { SelfManagedCluster } from "../../../core/self-managed-cluster";
import type { Cluster } from "../../cluster";
import { createEngineLease } from "../kubernetes/engine-lease";
import { type KubeconfigCredentials, readKubeconfig } from "../kubernetes/kubeconfig";
import { createStoredObjects } from "../kubernetes/stored-objects";
import { engineIdentity } from "./engine-identity";
import { etcdLayoutOf } from "./etcd-layout";
import type { FleetHost } from "./fleet-host";
import { createHostsFleet, type HostsFleetOptions } from "./hosts-fleet";
import { selfManagedEtcd } from "./self-managed-etcd";
import { fleetHostOf, type ReachedHost, reachHost } from "./self-managed-hosts";

/** A look at a host is a dozen files, each a few round trips, besides its API server. */
const observeTimeout = 15_000;

/**
 * Throws where no host gives what is needed to talk to the cluster at all: then nothing could be seen or repaired. `keyNames` says which
 * keys stand behind aliases; left out, AWS KMS is asked.
 */
export async function openSelfManagedCluster(
  cluster: SelfManagedCluster,
  keyNames?: HostsFleetOptions["keyNames"],
): Promise<Cluster> {
  const reached = cluster.hosts.map((host) => reachHost(host, cluster));
  try {
    const [credentials, etcd] = await Promise.all([credentialsOf(cluster, reached), selfManagedEtcd(reached)]);
    const hosts = reached.map((host) => fleetHostOf(host, cluster, credentials));
    const servers = hosts.map((host) => host.apiServer);
    const [first] = hosts;
    const fleet = createHostsFleet({
      hosts,
      observeTimeout,
      ...(keyNames && { keyNames }),
      ...(first && { endpointDirectory: first.pluginSocketDirectory }),
    });
    return {
      fleet,
      stored: createStoredObjects({
        servers,
        configOf: (hash) => fleet.configOf(hash),
        ...(etcd && { etcd: { ...etcd, layout: () => etcdLayoutOf(hosts.map(whereReached)) } }),
      }),
      servers: cluster.hosts.map((host) => host.name),
      alone: { lease: createEngineLease(servers), identity: engineIdentity() },
    };
  } catch (thrown) {
    for (const { session } of reached) session.close();
    throw thrown;
  }
}

/** Of the kubeconfig that was given, or of the first host that has one. All hosts of a cluster have the same authority. */
async function credentialsOf(
  { kubernetes }: SelfManagedCluster,
  reached: readonly ReachedHost[],
): Promise<KubeconfigCredentials> {
  if (kubernetes.kubeconfig !== undefined) return readKubeconfig(kubernetes.kubeconfig, "kubernetes.kubeconfig");
  const path = kubernetes.adminConfFile;
  const reading = reached.map(async ({ host }) => {
    const read = async (name: string) => {
      const file = await host.readFile(name);
      if (file !== undefined) return file.bytes.toString("utf8");
      throw new KmsEtcdError("not-found", `${host.name}: ${name} is not there`, {
        remedy: "give the text of a kubeconfig in kubernetes.kubeconfig, or another path in kubernetes.adminConfFile",
      });
    };
    return readKubeconfig(await read(path), `${host.name}: ${path}`, read);
  });
  try {
    return await Promise.any(reading);
  } catch (thrown) {
    const reasons: readonly unknown[] = thrown instanceof AggregateError ? thrown.errors : [thrown];
    const [first] = reasons;
    if (!(first instanceof KmsEtcdError)) throw first;
    const others = reasons
      .slice(1)
      .map(describeError)
      .filter((reason) => reason !== describeError(first));
    throw new KmsEtcdError(first.code, [first.message, ...others].join("; "), {
      cause: first,
      ...(first.remedy !== undefined && { remedy: first.remedy }),
    });
  }
}

/** A host that cannot be reached says nothing about etcd; the look at the fleet says that it cannot. */
function whereReached(at: FleetHost): FleetHost {
  const readFile: FleetHost["host"]["readFile"] = (path) =>
    at.host.readFile(path).catch((thrown: unknown) => {
      if (thrown instanceof KmsEtcdError && (thrown.code === "unreachable" || thrown.code === "timeout"))
        return undefined;
      throw thrown;
    });
  return { ...at, host: { ...at.host, readFile } };
}
