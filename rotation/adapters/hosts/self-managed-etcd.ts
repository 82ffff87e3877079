/**
 * The way to a self-managed cluster's etcd: its endpoints and the API server's own certificate for it, as the manifests name
 * them, through the SSH connections. What is read from the hosts is held in memory only.
 */
import type { Duplex } from "node:stream";
import { describeError, KmsEtcdError } from "../../../core/errors";
import type { EtcdAddress } from "../etcd/etcd-connections";
import { flagValue, hostPathOf, type Manifest } from "./manifest";
import type { ReachedHost } from "./self-managed-hosts";

interface Found {
  readonly servers: readonly string[];
  readonly tls: EtcdAddress["tls"];
}

/**
 * Undefined where no manifest names an etcd. Throws where a certificate that one names cannot be read, and where none was found and some
 * could not be asked: what nobody could read is not absent, and without etcd less would be proven.
 */
export async function selfManagedEtcd(hosts: readonly ReachedHost[]): Promise<EtcdAddress | undefined> {
  const asked = await Promise.all(hosts.map(etcdOf));
  const found = asked.map((answer) => (answer instanceof KmsEtcdError ? undefined : answer));
  const [first] = found.flatMap((seen) => seen ?? []);
  if (first === undefined) {
    const failure = asked.find((answer) => answer instanceof KmsEtcdError);
    if (failure !== undefined) throw failure;
    return undefined;
  }
  const endpoints = new Set<string>();
  for (const [index, { described }] of hosts.entries()) {
    // One that does not answer now is set up like the others.
    for (const server of found[index]?.servers ?? first.servers) {
      endpoints.add(isLoopback(new URL(server)) ? `${server}#${described.name}` : server);
    }
  }
  return {
    endpoints: [...endpoints],
    ...(first.tls && { tls: first.tls }),
    dial: (endpoint) => dialEtcd(hosts, endpoint),
  };
}

/** The failure where the host does not answer: a look at it will say why too. */
async function etcdOf(reached: ReachedHost): Promise<Found | KmsEtcdError | undefined> {
  let manifest: Manifest | undefined;
  try {
    manifest = await reached.manifest();
  } catch (thrown) {
    if (thrown instanceof KmsEtcdError) return thrown;
    throw thrown;
  }
  const servers = manifest && flagValue(manifest, "etcd-servers");
  if (manifest === undefined || servers === undefined) return undefined;
  const [ca, cert, key] = await Promise.all(
    ["etcd-cafile", "etcd-certfile", "etcd-keyfile"].map((flag) => readNamed(reached, manifest, flag)),
  );
  const tls = ca !== undefined && cert !== undefined && key !== undefined ? { ca, cert, key } : undefined;
  return { servers: servers.split(",").map((server) => server.trim()), tls };
}

async function readNamed({ host }: ReachedHost, manifest: Manifest, flag: string): Promise<string | undefined> {
  const path = flagValue(manifest, flag);
  if (path === undefined) return undefined;
  const file = await host.readFile(hostPathOf(manifest, path));
  if (file !== undefined) return file.bytes.toString("utf8");
  throw new KmsEtcdError("not-found", `${host.name}: ${path}, which --${flag} names, is not there`, {
    remedy: `put the file back, or correct --${flag} in the manifest of ${host.name}'s API server, then run again`,
  });
}

async function dialEtcd(hosts: readonly ReachedHost[], endpoint: URL): Promise<Duplex> {
  const name = decodeURIComponent(endpoint.hash.slice(1));
  const through = name === "" ? hosts : hosts.filter(({ described }) => described.name === name);
  const address = endpoint.hostname.replace(/^\[|\]$/g, "");
  const port = Number(endpoint.port || (endpoint.protocol === "https:" ? 443 : 80));
  let failure: unknown;
  for (const { session } of through) {
    try {
      return await (await session.ssh()).forward(address, port);
    } catch (thrown) {
      failure = thrown;
    }
  }
  if (failure instanceof KmsEtcdError) throw failure;
  throw new KmsEtcdError("unreachable", `etcd at ${endpoint.href}: ${describeError(failure)}`);
}

function isLoopback({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
}
