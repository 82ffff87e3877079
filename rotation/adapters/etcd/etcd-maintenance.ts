/** What etcd itself says of where it stands, and what can be asked of it besides reading: compaction and defragmentation. */
import { setTimeout as delay } from "node:timers/promises";
import { describeError, KmsEtcdError } from "../../../core/errors";
import { ProtobufReader } from "../../../core/protobuf";
import type { Compaction, EtcdPosition } from "../../observation";
import type { Progress } from "../../stored-objects";
import type { GrpcMethod } from "../grpc/grpc-connection";
import { type EtcdConnections, type EtcdHeader, readHeader, varint } from "./etcd-connections";
import { listedMembers } from "./etcd-member-list";

/** One member (etcdserverpb StatusResponse). */
export interface MemberStatus extends EtcdHeader {
  readonly endpoint: string;
  /** In hexadecimal, as etcdctl shows it. */
  readonly memberId: string;
  readonly version: string;
  /** Bytes of the database file, and those of them that hold something. */
  readonly size: number;
  readonly sizeInUse: number;
  readonly raftIndex: number;
  readonly raftAppliedIndex: number;
  readonly hasLeader: boolean;
  /** What is wrong with it, in etcd's words (an alarm: NOSPACE, CORRUPT). */
  readonly errors: readonly string[];
  readonly isLearner: boolean;
  /** The version that a downgrade goes to, while one is enabled; from etcd 3.6. */
  readonly downgradesTo: string | undefined;
}

type StatusAnswer = Omit<MemberStatus, "endpoint">;

const nothing = () => Buffer.alloc(0);

const statusMethod: GrpcMethod<undefined, StatusAnswer> = {
  path: "/etcdserverpb.Maintenance/Status",
  requestSerialize: nothing,
  responseDeserialize: decodeStatus,
};

const defragmentMethod: GrpcMethod<undefined, EtcdHeader> = {
  path: "/etcdserverpb.Maintenance/Defragment",
  requestSerialize: nothing,
  responseDeserialize: headerOf,
};

const compactMethod: GrpcMethod<number, EtcdHeader> = {
  path: "/etcdserverpb.KV/Compact",
  // revision = 1, physical = 2: the answer comes once the old revisions are gone from the database.
  requestSerialize: (revision) => Buffer.from([0x08, ...varint(revision), 0x10, 1]),
  responseDeserialize: headerOf,
};

/** A one-key range, so that the answering member has caught up with the others before it says where it stands. */
const caughtUpMethod: GrpcMethod<undefined, EtcdHeader> = {
  path: "/etcdserverpb.KV/Range",
  // key = "\0", limit = 1, count_only: nothing is sent back but the header.
  requestSerialize: () => Buffer.from([0x0a, 1, 0, 0x18, 1, 0x48, 1]),
  responseDeserialize: headerOf,
};

const statusTimeout = 5_000;
/** A member does nothing else while it defragments; 8 GiB take minutes. */
const defragmentTimeout = 600_000;

/** By the first member that answers. Throws KmsEtcdError. */
export async function etcdPosition(etcd: EtcdConnections, signal: AbortSignal): Promise<EtcdPosition> {
  let failure: unknown;
  for (const endpoint of etcd.endpoints) {
    try {
      const { clusterId, revision } = await etcd.callAt(endpoint, caughtUpMethod, undefined, signal, statusTimeout);
      const { raftIndex } = await etcd.callAt(endpoint, statusMethod, undefined, signal, statusTimeout);
      return { clusterId, revision, raftIndex };
    } catch (thrown) {
      failure = thrown;
    }
  }
  throw failure;
}

export async function memberStatus(
  etcd: EtcdConnections,
  endpoint: string,
  signal: AbortSignal,
): Promise<MemberStatus> {
  return { ...(await etcd.callAt(endpoint, statusMethod, undefined, signal, statusTimeout)), endpoint };
}

/** Removes what was stored before `revision` and was overwritten or deleted since. One that is compacted already is fine. */
export async function compactEtcd(etcd: EtcdConnections, revision: number, signal: AbortSignal): Promise<void> {
  try {
    await etcd.call(compactMethod, revision, signal, defragmentTimeout);
  } catch (thrown) {
    // OUT_OF_RANGE: somebody has compacted further already.
    if (!(thrown instanceof KmsEtcdError) || thrown.code !== "conflict") throw thrown;
  }
}

/** Gives the freed space of one member back; that member answers nobody meanwhile. */
export async function defragmentMember(etcd: EtcdConnections, endpoint: string, signal: AbortSignal): Promise<void> {
  await etcd.callAt(endpoint, defragmentMethod, undefined, signal, defragmentTimeout);
}

/** A member that is behind by more log entries than this is not well; a busy one is behind by a few. */
const mostBehind = 1_000;
const healthTimeout = 120_000;
const healthInterval = 1_000;

/**
 * Compacts, then defragments one member after the other, each only while all are well, and waits until it is well again.
 * Throws `blocked`, naming the member, where one is not, or where there is one without an endpoint here: whether it is well
 * cannot be seen, so a quorum could be lost meanwhile. What was compacted until then stays so.
 */
export async function compactAndDefragment(
  etcd: EtcdConnections,
  revision: number,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Compaction> {
  await untilAllAreWell(etcd, signal);
  await compactEtcd(etcd, revision, signal);
  const defragmented: string[] = [];
  for (const endpoint of etcd.endpoints) {
    onProgress({ done: defragmented.length, total: etcd.endpoints.length });
    await defragmentMember(etcd, endpoint, signal);
    await untilAllAreWell(etcd, signal);
    defragmented.push(endpoint);
  }
  onProgress({ done: defragmented.length, total: etcd.endpoints.length });
  return { revision, defragmented };
}

async function untilAllAreWell(etcd: EtcdConnections, signal: AbortSignal): Promise<void> {
  const until = Date.now() + healthTimeout;
  for (;;) {
    const { members, problem } = await lookAtMembers(etcd, signal);
    if (problem === undefined) return everyMemberIsSeen(etcd, members, signal);
    if (signal.aborted) throw new KmsEtcdError("cancelled", "stopped at a safe point");
    if (Date.now() > until) {
      throw new KmsEtcdError("blocked", `etcd is not defragmented any further: ${problem}`, {
        remedy: "see what is wrong with that member, then run again",
      });
    }
    await delay(healthInterval, undefined, { signal }).catch(() => undefined);
  }
}

async function everyMemberIsSeen(
  etcd: EtcdConnections,
  members: readonly MemberStatus[],
  signal: AbortSignal,
): Promise<void> {
  const seen = new Set(members.map(({ memberId }) => memberId));
  const listed = await listedMembers(etcd, signal).catch((cause: unknown) => {
    if (signal.aborted) throw new KmsEtcdError("cancelled", "stopped at a safe point");
    throw new KmsEtcdError("blocked", "etcd is not defragmented: no member says which members there are", {
      remedy: "see whether etcd is well (etcdctl member list), then run again",
      cause,
    });
  });
  // One that was added and has not started yet has no name; it holds nothing.
  const unseen = listed.filter(({ id, name }) => name !== "" && !seen.has(id)).map(({ name }) => name);
  if (unseen.length === 0) return;
  throw new KmsEtcdError(
    "blocked",
    `etcd is not defragmented: its members ${unseen.join(", ")} are at none of ${etcd.endpoints.join(", ")}, so nobody sees whether they are well`,
    { remedy: "give the endpoints of every member, or leave compactAfterPrune out and defragment by other means" },
  );
}

async function lookAtMembers(
  etcd: EtcdConnections,
  signal: AbortSignal,
): Promise<{ readonly members: readonly MemberStatus[]; readonly problem: string | undefined }> {
  const members: MemberStatus[] = [];
  for (const endpoint of etcd.endpoints) {
    try {
      members.push(await memberStatus(etcd, endpoint, signal));
    } catch (thrown) {
      return { members, problem: describeError(thrown) };
    }
  }
  return { members, problem: firstProblem(members) };
}

function firstProblem(members: readonly MemberStatus[]): string | undefined {
  const newest = Math.max(...members.map((member) => member.raftIndex));
  for (const { endpoint, errors, hasLeader, raftAppliedIndex } of members) {
    if (errors.length > 0) return `${endpoint}: ${errors.join(", ")}`;
    if (!hasLeader) return `${endpoint} has no leader`;
    if (newest - raftAppliedIndex > mostBehind) return `${endpoint} is ${newest - raftAppliedIndex} entries behind`;
  }
  return undefined;
}

function headerOf(bytes: Buffer): EtcdHeader {
  const reader = new ProtobufReader(bytes);
  let header: EtcdHeader = { clusterId: "0", revision: 0 };
  while (reader.next()) {
    if (reader.field === 1) header = readHeader(reader.view());
    else reader.skip();
  }
  return header;
}

function decodeStatus(bytes: Buffer): StatusAnswer {
  const reader = new ProtobufReader(bytes);
  let header: EtcdHeader = { clusterId: "0", revision: 0 };
  let memberId = "0";
  let version = "";
  const numbers = new Map<number, number>();
  let hasLeader = false;
  let isLearner = false;
  let downgradesTo: string | undefined;
  const errors: string[] = [];
  while (reader.next()) {
    if (reader.field === 1) {
      const bytesOfHeader = reader.view();
      header = readHeader(bytesOfHeader);
      memberId = readMemberId(bytesOfHeader);
    } else if (reader.field === 2) version = reader.text();
    else if (reader.field === 4) hasLeader = reader.uint64() !== 0n;
    else if (reader.field === 8) errors.push(reader.text());
    else if (reader.field === 10) isLearner = reader.uint64() !== 0n;
    else if (reader.field === 13) downgradesTo = readDowngrade(reader.view());
    else if ([3, 5, 7, 9].includes(reader.field)) numbers.set(reader.field, reader.varint());
    else reader.skip();
  }
  const number = (field: number) => numbers.get(field) ?? 0;
  return {
    ...header,
    memberId,
    version,
    size: number(3),
    sizeInUse: number(9),
    raftIndex: number(5),
    raftAppliedIndex: number(7),
    hasLeader,
    errors,
    isLearner,
    downgradesTo,
  };
}

/** etcdserverpb ResponseHeader: member_id = 2. */
function readMemberId(header: Uint8Array): string {
  const reader = new ProtobufReader(header);
  let id = "0";
  while (reader.next()) {
    if (reader.field === 2) id = reader.uint64().toString(16);
    else reader.skip();
  }
  return id;
}

/** etcdserverpb DowngradeInfo: enabled = 1, targetVersion = 2. */
function readDowngrade(bytes: Uint8Array): string | undefined {
  const reader = new ProtobufReader(bytes);
  let isEnabled = false;
  let target = "";
  while (reader.next()) {
    if (reader.field === 1) isEnabled = reader.uint64() !== 0n;
    else if (reader.field === 2) target = reader.text();
    else reader.skip();
  }
  return isEnabled ? target : undefined;
}
