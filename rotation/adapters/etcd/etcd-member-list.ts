/** Whom etcd's members name as members, with or without an endpoint that was given here. */
import { ProtobufReader } from "../../../core/protobuf";
import type { GrpcMethod } from "../grpc/grpc-connection";
import type { EtcdConnections } from "./etcd-connections";

export interface ListedMember {
  /** In hexadecimal, as etcdctl shows it. */
  readonly id: string;
  /** Empty for one that was added and has not started yet. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly isLearner: boolean;
}

const memberListMethod: GrpcMethod<undefined, readonly ListedMember[]> = {
  path: "/etcdserverpb.Cluster/MemberList",
  requestSerialize: () => Buffer.alloc(0),
  responseDeserialize: decodeMembers,
};

const listTimeout = 3_000;

/** By the first member that answers; throws an AggregateError where none does. */
export function listedMembers(etcd: EtcdConnections, signal: AbortSignal): Promise<readonly ListedMember[]> {
  return Promise.any(
    etcd.endpoints.map((endpoint) => etcd.callAt(endpoint, memberListMethod, undefined, signal, listTimeout)),
  );
}

/** etcdserverpb MemberListResponse: members = 2; Member: ID = 1, name = 2, peerURLs = 3, isLearner = 5. */
function decodeMembers(bytes: Buffer): readonly ListedMember[] {
  const members: ListedMember[] = [];
  const reader = new ProtobufReader(bytes);
  while (reader.next()) {
    if (reader.field === 2) members.push(decodeMember(reader.view()));
    else reader.skip();
  }
  return members;
}

function decodeMember(bytes: Uint8Array): ListedMember {
  const reader = new ProtobufReader(bytes);
  let id = "0";
  let name = "";
  const peerUrls: string[] = [];
  let isLearner = false;
  while (reader.next()) {
    if (reader.field === 1) id = reader.uint64().toString(16);
    else if (reader.field === 2) name = reader.text();
    else if (reader.field === 3) peerUrls.push(reader.text());
    else if (reader.field === 5) isLearner = reader.uint64() !== 0n;
    else reader.skip();
  }
  return { id, name, peerUrls, isLearner };
}
