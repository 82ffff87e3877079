/** Etcd's members as they are at this moment, and what they are doing for others: what a rotation does not go on beside. */
import type { EtcdMember } from "../../observation";
import type { EtcdConnections } from "./etcd-connections";
import { type MemberStatus, memberStatus } from "./etcd-maintenance";
import { type ListedMember, listedMembers } from "./etcd-member-list";

/**
 * Those that have an endpoint, by their own status and metrics; of the others, the ones that are on their way into the cluster.
 * Undefined where no member answers. Does not throw.
 */
export async function etcdMembers(
  etcd: EtcdConnections,
  signal: AbortSignal,
): Promise<readonly EtcdMember[] | undefined> {
  const [seen, listed] = await Promise.all([
    Promise.all(etcd.endpoints.map((endpoint) => memberAt(etcd, endpoint, signal))),
    joining(etcd, signal),
  ]);
  if (seen.every(({ version }) => version === undefined)) return undefined;
  return [...seen, ...listed];
}

async function memberAt(etcd: EtcdConnections, endpoint: string, signal: AbortSignal): Promise<EtcdMember> {
  const [status, metrics] = await Promise.all([
    memberStatus(etcd, endpoint, signal).catch((): MemberStatus | undefined => undefined),
    // Some serve their metrics elsewhere: then it is not known what they are doing.
    etcd.page(endpoint, "/metrics", signal).catch(() => ""),
  ]);
  return {
    // What stands behind # is for the way there alone.
    name: endpoint.replace(/#.*$/, ""),
    version: status?.version,
    state: status?.isLearner === true ? "joining" : "voting",
    problems: [
      // A member says so for a second when it starts, and the others go on meanwhile.
      ...(status?.errors ?? []).filter((text) => text !== "etcdserver: no leader"),
      ...(status?.downgradesTo === undefined ? [] : [`a downgrade to ${status.downgradesTo} has begun`]),
    ],
    underWay: callsUnderWay(metrics),
  };
}

/** Of members without an endpoint here, too: who adds one tells the engine last. */
async function joining(etcd: EtcdConnections, signal: AbortSignal): Promise<readonly EtcdMember[]> {
  const members = await listedMembers(etcd, signal).catch((): readonly ListedMember[] => []);
  return members.flatMap(({ name, peerUrls, isLearner }): readonly EtcdMember[] => {
    // A member that was added and has not started yet has no name (etcdserverpb Member).
    if (!isLearner && name !== "") return [];
    const what = name === "" ? peerUrls.join(", ") : name;
    return [{ name: what, version: undefined, state: "joining", problems: [], underWay: [] }];
  });
}

const calls = [
  ["Snapshot", "snapshot"],
  ["Defragment", "defragmentation"],
] as const;

/** gRPC servers count calls when they begin and when they end (go-grpc-prometheus): the difference is under way. */
export function callsUnderWay(metrics: string): EtcdMember["underWay"] {
  return calls.flatMap(([method, what]) => {
    const begun = sum(metrics, "grpc_server_started_total", method);
    const ended = sum(metrics, "grpc_server_handled_total", method);
    return begun > ended ? [what] : [];
  });
}

function sum(metrics: string, name: string, method: string): number {
  const sample = new RegExp(
    `^${name}\\{[^}]*grpc_method="${method}"[^}]*grpc_service="etcdserverpb.Maintenance"[^}]*\\} (\\S+)$`,
    "gm",
  );
  return [...metrics.matchAll(sample)].reduce((total, [, value]) => total + Number(value), 0);
}
