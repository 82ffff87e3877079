import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, ServerCredentials, type ServerWritableStream, status } from "@grpc/grpc-js";
import type { KmsEtcdError } from "../../../../core/errors";
import { type EtcdConnections, etcdConnections, varint } from "../../../../rotation/adapters/etcd/etcd-connections";
import { compactAndDefragment, etcdPosition } from "../../../../rotation/adapters/etcd/etcd-maintenance";
import { keepSnapshot, readSnapshotRecords } from "../../../../rotation/adapters/etcd/kept-snapshots";

const raw = (bytes: Buffer) => bytes;
const method = (path: string, responseStream = false) => ({
  ...{ path, requestStream: false, responseStream, requestSerialize: raw, requestDeserialize: raw },
  ...{ responseSerialize: raw, responseDeserialize: raw },
});
const field = (number: number, bytes: Buffer) =>
  Buffer.concat([Buffer.from([number * 8 + 2, ...varint(bytes.length)]), bytes]);
const number = (at: number, value: number) => Buffer.from([at * 8, ...varint(value)]);
/** Above 2^53: a cluster id is a hash. */
const clusterId = Buffer.from([0x08, ...Array<number>(9).fill(0xff), 0x01]);

interface Member {
  readonly endpoint: string;
  readonly calls: string[];
  errors: string;
  raftIndex: number;
  revision: number;
  compactAnswer: number | undefined;
  snapshot: Buffer;
  /** Who is named as a member, by id. */
  listed: readonly (readonly [id: number, name: string])[];
  close(): void;
}

const bothMembers = [
  [1, "a"],
  [2, "b"],
] as const;

async function member(log: string[], name: string): Promise<Member> {
  const server = new Server();
  const memberId = number(2, bothMembers.find(([, known]) => known === name)?.[0] ?? 0);
  const header = () => field(1, Buffer.concat([clusterId, memberId, number(3, self.revision)]));
  type Done = (error: { code: number; details: string } | null, bytes?: Buffer) => void;
  const unary = (call: string, answer: () => Buffer | number) => (_: unknown, done: Done) => {
    self.calls.push(call);
    log.push(`${name} ${call}`);
    const result = answer();
    if (typeof result === "number") done({ code: result, details: "as the test wants" });
    else done(null, result);
  };
  server.addService(
    { Range: method("/etcdserverpb.KV/Range"), Compact: method("/etcdserverpb.KV/Compact") },
    { Range: unary("range", header), Compact: unary("compact", () => self.compactAnswer ?? header()) },
  );
  server.addService(
    { MemberList: method("/etcdserverpb.Cluster/MemberList") },
    {
      MemberList: (_: unknown, done: Done) =>
        done(
          null,
          Buffer.concat(
            self.listed.map(([id, named]) => field(2, Buffer.concat([number(1, id), field(2, Buffer.from(named))]))),
          ),
        ),
    },
  );
  server.addService(
    {
      Status: method("/etcdserverpb.Maintenance/Status"),
      Defragment: method("/etcdserverpb.Maintenance/Defragment"),
      Snapshot: method("/etcdserverpb.Maintenance/Snapshot", true),
    },
    {
      Status: unary("status", () => {
        const errors = self.errors === "" ? [] : [field(8, Buffer.from(self.errors))];
        const numbers = [number(4, 7), number(5, self.raftIndex), number(7, self.raftIndex)];
        return Buffer.concat([header(), field(2, Buffer.from("3.6.5")), ...numbers, ...errors]);
      }),
      Defragment: unary("defragment", header),
      Snapshot: (call: ServerWritableStream<Buffer, Buffer>) => {
        for (let at = 0; at < self.snapshot.length; at += 1_000) {
          const blob = self.snapshot.subarray(at, at + 1_000);
          call.write(Buffer.concat([number(2, self.snapshot.length - at - blob.length), field(3, blob)]));
        }
        call.end();
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const self: Member = {
    endpoint: `http://127.0.0.1:${port}`,
    ...{ calls: [], errors: "", raftIndex: 500, revision: 77, compactAnswer: undefined, snapshot: Buffer.alloc(0) },
    listed: bothMembers,
    close: () => server.forceShutdown(),
  };
  return self;
}

describe("etcd's own state, snapshots and compaction", function () {
  this.timeout(20_000); // other work may share the machine
  const { signal } = new AbortController();
  let log: string[];
  let members: Member[];
  let etcd: EtcdConnections;
  let directory: string;
  const first = () => members[0] as Member;

  beforeEach(async () => {
    log = [];
    members = [await member(log, "a"), await member(log, "b")];
    etcd = etcdConnections({ endpoints: members.map(({ endpoint }) => endpoint) });
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-snapshots-"));
  });
  afterEach(() => {
    etcd.close();
    for (const { close } of members) close();
    rmSync(directory, { recursive: true, force: true });
  });

  it("where it stands: cluster id with all its bits, revision and index, of a member that has caught up", async () => {
    assert.deepEqual(await etcdPosition(etcd, signal), { clusterId: "ffffffffffffffff", revision: 77, raftIndex: 500 });
    assert.deepEqual(log, ["a range", "a status"]);
    first().close();
    assert.equal((await etcdPosition(etcd, signal)).revision, 77, "the next member answers");
  });

  it("compaction, then one member after the other, each looked at before and after", async () => {
    const { revision, defragmented } = await compactAndDefragment(etcd, 70, () => undefined, signal);
    assert.deepEqual([revision, defragmented], [70, members.map(({ endpoint }) => endpoint)]);
    assert.deepEqual(log, [
      ...["a status", "b status", "a compact"],
      ...["a defragment", "a status", "b status", "b defragment", "a status", "b status"],
    ]);
  });

  it("somebody has compacted further already => fine", async () => {
    first().compactAnswer = status.OUT_OF_RANGE;
    assert.equal((await compactAndDefragment(etcd, 70, () => undefined, signal)).revision, 70);
  });

  it("a member that is not well => nothing is compacted; stopped, it ends", async () => {
    (members[1] as Member).errors = "NOSPACE";
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 300);
    await assert.rejects(
      compactAndDefragment(etcd, 70, () => undefined, stop.signal),
      (thrown: KmsEtcdError) => thrown.code === "cancelled",
    );
    assert.ok(!log.some((line) => /compact|defragment/.test(line)));
  });

  it("a member that was started and has no endpoint here => refused by its name, and nothing is compacted", async () => {
    first().listed = [...bothMembers, [3, "c"]];
    (members[1] as Member).listed = first().listed;
    await assert.rejects(
      compactAndDefragment(etcd, 70, () => undefined, signal),
      (error: KmsEtcdError) => error.code === "blocked" && error.message.includes("its members c are at none of http"),
    );
    assert.ok(!log.some((line) => /compact|defragment/.test(line)));
    first().listed = [...bothMembers, [3, ""]];
    (members[1] as Member).listed = first().listed;
    const { defragmented } = await compactAndDefragment(etcd, 70, () => undefined, signal);
    assert.equal(defragmented.length, 2, "one that has not started yet holds nothing");
  });

  it("a snapshot => the bytes as etcd sends them, 0600, with a record that says what they need", async () => {
    const content = randomBytes(5_000);
    first().snapshot = Buffer.concat([content, createHash("sha256").update(content).digest()]);
    const keys = [{ key: { provider: "kms/v2/a", keyId: "1" }, objects: 3 }];
    writeFileSync(join(directory, ".etcd-ffffffffffffffff-1.db.unfinished"), "of an engine that was killed");
    const count = async () => ({ keys, unknown: 1 });
    const taken = await keepSnapshot(etcd, { directory, writers: [] }, count, () => undefined, signal);
    const [name = ""] = readdirSync(directory).sort();
    assert.deepEqual(readdirSync(directory).sort(), [name, `${name}.needs.json`]);
    assert.match(name, /^etcd-ffffffffffffffff-77-\d{8}T\d{6}Z\.db$/);
    assert.ok(readFileSync(join(directory, name)).equals(first().snapshot));
    assert.equal(statSync(join(directory, name)).mode & 0o777, 0o600);
    const [record] = (await readSnapshotRecords(directory)) ?? [];
    assert.deepEqual(record, taken.record);
    assert.equal(record.sha256, createHash("sha256").update(first().snapshot).digest("hex"));
    assert.deepEqual([record.needs, record.unknown, record.revision], [[{ ...keys[0]?.key, objects: 3 }], 1, 77]);
  });

  it("a snapshot that does not fit its SHA-256, or is cut off => refused, and nothing is left of it", async () => {
    const content = randomBytes(3_000);
    const digest = createHash("sha256").update(content).digest();
    for (const wrong of [
      Buffer.concat([content, randomBytes(32)]),
      Buffer.concat([content, digest]).subarray(0, 2_500),
    ]) {
      first().snapshot = wrong;
      const count = async () => ({ keys: [], unknown: 0 });
      await assert.rejects(
        keepSnapshot(etcd, { directory, writers: [] }, count, () => undefined, signal),
        (thrown: KmsEtcdError) => thrown.code === "corrupt",
      );
      assert.deepEqual(readdirSync(directory), []);
    }
  });

  it("a directory that cannot be made => said, with what to do", async () => {
    writeFileSync(join(directory, "file"), "");
    await assert.rejects(
      keepSnapshot(
        etcd,
        { directory: join(directory, "file"), writers: [] },
        async () => ({ keys: [], unknown: 0 }),
        () => undefined,
        signal,
      ),
      (thrown: KmsEtcdError) =>
        thrown.message.includes("cannot be kept in") && (thrown.remedy ?? "").includes("may write to"),
    );
  });
});
