/** The methods Range and Status of an etcd in memory, by grpc-js, with revisions, compaction and faults. */
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import { ProtobufReader } from "../../../../core/protobuf";

export interface FakeEtcd {
  readonly endpoint: string;
  readonly values: Map<string, Buffer>;
  /** Of the keys' last changes; 0, so not told, for a key that is not here. */
  readonly modRevisions: Map<string, number>;
  revision: number;
  /** Reads of an older revision fail. */
  compacted: number;
  readonly requests: { readonly key: string; readonly limit: number; readonly revision: number }[];
  /** Runs before each answer; a status code that it returns is the answer. */
  intercept: (request: { readonly key: string; readonly limit: number }) => number | undefined;
  /** A status code that it returns is the answer to the question where it stands. */
  interceptStatus: () => number | undefined;
  close(): void;
}

export async function fakeEtcd(): Promise<FakeEtcd> {
  const server = new Server({ "grpc.max_send_message_length": -1 });
  const Range = {
    path: "/etcdserverpb.KV/Range",
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  } as const;
  const Status = { ...Range, path: "/etcdserverpb.Maintenance/Status" } as const;
  type Done = (error: { code: number; details: string } | null, bytes?: Buffer) => void;
  server.addService(
    { Range, Status },
    {
      Status: (_: unknown, done: Done) => {
        const code = etcd.interceptStatus();
        if (code !== undefined) return done({ code, details: "as the test wants" });
        // header = 1 { cluster_id = 1, revision = 3 }, raftIndex = 5.
        const header = field(1, Buffer.from([0x08, 7, 0x18, ...varint(etcd.revision)]));
        done(null, Buffer.concat([header, Buffer.from([0x28, ...varint(etcd.revision)])]));
      },
      Range: ({ request }: { request: Buffer }, done: Done) => {
        const asked = decode(request);
        etcd.requests.push(asked);
        const code = etcd.intercept(asked);
        if (code !== undefined) return done({ code, details: "as the test wants" });
        if (asked.revision !== 0 && asked.revision < etcd.compacted) {
          return done({ code: status.OUT_OF_RANGE, details: "etcdserver: mvcc: required revision has been compacted" });
        }
        const keys = [...etcd.values.keys()].filter((key) => key >= asked.key && key < asked.end).sort();
        const page = keys.slice(0, asked.limit === 0 ? undefined : asked.limit);
        const kvs = page.map((key) => {
          const modRevision = Buffer.from([0x18, ...varint(etcd.modRevisions.get(key) ?? 0)]);
          const value = field(5, etcd.values.get(key) ?? Buffer.alloc(0));
          return field(2, Buffer.concat([field(1, Buffer.from(key)), modRevision, value]));
        });
        const header = field(1, Buffer.from([0x08, 7, 0x18, ...varint(etcd.revision)]));
        const more = page.length < keys.length ? Buffer.from([0x18, 1]) : Buffer.alloc(0);
        done(null, Buffer.concat([header, ...kvs, more, Buffer.from([0x20, ...varint(keys.length)])]));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const etcd: FakeEtcd = {
    endpoint: `http://127.0.0.1:${port}`,
    values: new Map(),
    modRevisions: new Map(),
    revision: 10,
    compacted: 0,
    requests: [],
    intercept: () => undefined,
    interceptStatus: () => undefined,
    close: () => server.forceShutdown(),
  };
  return etcd;
}

function decode(request: Buffer) {
  const reader = new ProtobufReader(request);
  const asked = { key: "", end: "", limit: 0, revision: 0 };
  while (reader.next()) {
    if (reader.field === 1) asked.key = reader.text();
    else if (reader.field === 2) asked.end = reader.text();
    else if (reader.field === 3) asked.limit = reader.varint();
    else if (reader.field === 4) asked.revision = reader.varint();
    else reader.skip();
  }
  return asked;
}

function field(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([number * 8 + 2, ...varint(bytes.length)]), bytes]);
}

function varint(value: number): readonly number[] {
  return value > 0x7f ? [(value % 128) | 0x80, ...varint(Math.floor(value / 128))] : [value];
}
