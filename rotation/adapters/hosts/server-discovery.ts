/**
 * Which API servers live, by the Leases they keep in kube-system (invariant 10), against the ones that are listed. A Lease is
 * matched by the hash of its name, which every server also puts into its metrics: host names need not be what the list has.
 */
import { createHash } from "node:crypto";
import { describeError } from "../../../core/errors";
import type { ApiClient } from "../kubernetes/api-client";
import { statusError } from "../kubernetes/api-error";

export interface KnownServer {
  readonly name: string;
  /** From its metrics, now or earlier in this run. */
  readonly idHash: string | undefined;
}

export interface IdentityLease {
  readonly name: string;
  readonly hostName: string;
  /** By the API servers' clock, milliseconds since the epoch. */
  readonly renewedAt: number;
  /** Renewed so lately that its server lives. */
  readonly isFresh: boolean;
}

export interface DiscoveredServers {
  readonly unlistedServers: readonly string[];
  readonly discovery: string;
  /** Why the Leases could not be read: then a live server that nobody listed would not be noticed. */
  readonly discoveryProblem: string | undefined;
}

/** Servers renew every 10 s; the Lease itself stays for an hour after its server is gone (apiserver identity). */
const freshFor = 60_000;

/** The Leases, as any of the servers tells them; throws where none does. */
export async function identityLeases(
  clients: readonly ApiClient[],
  signal: AbortSignal,
): Promise<readonly IdentityLease[]> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/kube-system/leases?labelSelector=${encodeURIComponent("apiserver.kubernetes.io/identity=kube-apiserver")}`;
  let failure: unknown;
  for (const client of clients) {
    try {
      const response = await client.send({ method: "GET", path }, signal);
      if (response.status !== 200) throw statusError(client.name, path, response);
      return readLeases(response.body, response.date || Date.now());
    } catch (thrown) {
      failure = thrown;
    }
  }
  throw failure;
}

/** `now` is the API servers' time, not ours. */
export function readLeases(body: string, now: number): readonly IdentityLease[] {
  const { items } = JSON.parse(body) as {
    readonly items: readonly {
      readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
      readonly spec?: { readonly renewTime?: string };
    }[];
  };
  const leases = items.map(({ metadata, spec }) => ({
    name: metadata.name,
    hostName: metadata.labels?.["kubernetes.io/hostname"] ?? metadata.name,
    renewedAt: Date.parse(spec?.renewTime ?? "") || 0,
  }));
  return leases.map((lease) => ({ ...lease, isFresh: now - lease.renewedAt <= freshFor }));
}

/** `leases` is undefined, with the reason, where they can't be had. Pure. */
export function compareWithList(
  listed: readonly KnownServer[],
  leases: readonly IdentityLease[] | { readonly problem: unknown },
): DiscoveredServers {
  if ("problem" in leases) {
    const reason = describeError(leases.problem);
    const discoveryProblem = `the identity Leases in kube-system cannot be read (${reason})`;
    return { unlistedServers: [], discovery: `listed servers only: ${discoveryProblem}`, discoveryProblem };
  }
  const fresh = leases.filter((lease) => lease.isFresh);
  // Either its server is gone for good, or it is cut off from etcd: not live, so it holds nothing up, but worth a word.
  const left = leases.filter((lease) => !lease.isFresh && !listed.some((server) => isLeaseOf(lease, server)));
  const remarks: string[] =
    left.length === 0 ? [] : [`not renewed any more: the Lease of ${left.map((lease) => lease.hostName).join(", ")}`];
  if (fresh.length === 0) {
    const discovery = ["listed servers only: no API server keeps an identity Lease", ...remarks].join("; ");
    return { unlistedServers: [], discovery, discoveryProblem: undefined };
  }
  const unmatched: IdentityLease[] = [];
  const matchedServers = new Set<string>();
  for (const lease of fresh) {
    const servers = listed.filter((server) => isLeaseOf(lease, server));
    for (const server of servers) matchedServers.add(server.name);
    if (servers.length === 0) unmatched.push(lease);
    if (servers.length > 1) {
      const names = servers.map((server) => server.name).join(", ");
      remarks.push(
        `${names} share the Lease of host name ${lease.hostName}: one more API server under that name could not be seen`,
      );
    }
  }
  // A listed server that has not been seen yet may be any of the Leases left; it holds everything up by itself.
  const unseen = listed.filter((server) => server.idHash === undefined && !matchedServers.has(server.name));
  const names = unmatched.map((lease) => lease.hostName);
  if (unmatched.length > 0 && unmatched.length <= unseen.length) {
    remarks.push(
      `the Lease of ${names.join(", ")} may be that of ${unseen.map((server) => server.name).join(", ")}, not seen yet`,
    );
    return { unlistedServers: [], discovery: sentence(fresh.length, remarks), discoveryProblem: undefined };
  }
  return { unlistedServers: names, discovery: sentence(fresh.length, remarks), discoveryProblem: undefined };
}

function isLeaseOf(lease: IdentityLease, server: KnownServer): boolean {
  if (server.idHash === undefined) return lease.hostName === server.name;
  return server.idHash === leaseIdHash(lease.name);
}

/** The label `apiserver_id_hash` of the metrics of the server whose Lease has this name. */
export function leaseIdHash(name: string): string {
  return `sha256:${createHash("sha256").update(name).digest("hex")}`;
}

function sentence(leases: number, remarks: readonly string[]): string {
  return [`API server identity Leases in kube-system: ${leases} live`, ...remarks].join("; ");
}
