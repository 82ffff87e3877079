/**
 * Reads ranges of keys from etcd (etcdserverpb KV.Range, the one method that the proof needs). Our own few lines of protobuf,
 * because a general client would copy every value on the way, and these are a cluster's whole content.
 */
import { ProtobufReader } from "../../../core/protobuf";
import type { GrpcMethod } from "../grpc/grpc-connection";
import {
  type EtcdAddress,
  type EtcdConnections,
  type EtcdHeader,
  etcdConnections,
  readHeader,
  varint,
} from "./etcd-connections";

export type { EtcdAddress } from "./etcd-connections";

export interface RangeRequest {
  readonly key: Buffer;
  readonly rangeEnd: Buffer;
  readonly limit: number;
  /** 0: the newest. */
  readonly revision: number;
}

export interface RangeResponse extends EtcdHeader {
  /** Of the whole range, whatever the limit. */
  readonly count: number;
  readonly more: boolean;
  readonly entries: readonly KeyValue[];
  /** Size of the answer in bytes. */
  readonly size: number;
}

/** Views into the answer. */
export interface KeyValue {
  readonly key: Buffer;
  readonly value: Buffer;
  /** The revision of its last change: what API servers tell as the object's resourceVersion. */
  readonly modRevision: number;
}

export interface EtcdClient {
  /**
   * Tries the endpoints in turn and again. Throws `conflict` when the revision has been compacted, `throttled` when the answer
   * was too long to take, `unreachable`, `timeout`, `permission-denied` or `cancelled`.
   */
  range(request: RangeRequest, signal: AbortSignal): Promise<RangeResponse>;
  /** For what is asked of etcd besides: its state, snapshots, compaction. */
  readonly connections: EtcdConnections;
  close(): void;
}

const rangeMethod: GrpcMethod<RangeRequest, RangeResponse> = {
  path: "/etcdserverpb.KV/Range",
  requestSerialize: encodeRange,
  responseDeserialize: decodeRange,
};

/** Connects when first used. */
export function etcdClient(address: EtcdAddress): EtcdClient {
  const connections = etcdConnections(address);
  return {
    range: (request, signal) => connections.call(rangeMethod, request, signal),
    connections,
    close: () => connections.close(),
  };
}

function encodeRange({ key, rangeEnd, limit, revision }: RangeRequest): Buffer {
  return Buffer.concat([
    Buffer.from([0x0a, ...varint(key.length)]),
    key,
    Buffer.from([0x12, ...varint(rangeEnd.length)]),
    rangeEnd,
    Buffer.from([0x18, ...varint(limit), 0x20, ...varint(revision)]),
  ]);
}

function decodeRange(bytes: Buffer): RangeResponse {
  const entries: KeyValue[] = [];
  let header: EtcdHeader = { clusterId: "0", revision: 0 };
  let count = 0;
  let more = false;
  const reader = new ProtobufReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) header = readHeader(reader.view());
    else if (reader.field === 2) entries.push(readKeyValue(reader.view()));
    else if (reader.field === 3) more = reader.varint() === 1;
    else if (reader.field === 4) count = reader.varint();
    else reader.skip();
  }
  return { ...header, count, more, entries, size: bytes.length };
}

const empty = Buffer.alloc(0);

function readKeyValue(bytes: Uint8Array): KeyValue {
  const reader = new ProtobufReader(bytes);
  let key = empty;
  let value = empty;
  let modRevision = 0;
  while (reader.next()) {
    // `bytes` is a Buffer, so its views are too.
    if (reader.field === 1) key = reader.view() as Buffer<ArrayBuffer>;
    else if (reader.field === 3) modRevision = reader.varint();
    else if (reader.field === 5) value = reader.view() as Buffer<ArrayBuffer>;
    else reader.skip();
  }
  return { key, value, modRevision };
}
