import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import { KmsEtcdError } from "../../../../core/errors";
import { kmsV2Service } from "../../../../core/kms-protocol";
import { type GrpcMethod, GrpcStatusError, grpcConnection } from "../../../../rotation/adapters/grpc/grpc-connection";
import { type PlainPlugin, plainPlugin } from "./plain-plugin";

const soon = () => AbortSignal.timeout(2_000);
const limits = { peer: "cp1", longestAnswer: 1 << 20 };
const code = (expected: string) => (error: unknown) => error instanceof KmsEtcdError && error.code === expected;

describe("a gRPC call over a connection of ours", function () {
  this.timeout(30_000); // other work may share the machine
  let plugin: PlainPlugin;
  beforeEach(async () => {
    plugin = await plainPlugin("key-1", 5);
  });
  afterEach(() => plugin.close());

  const dialled = async () => grpcConnection(connect(plugin.socketPath), limits);

  it("a grpc-js server answers, many calls at once over one connection", async () => {
    const connection = await dialled();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        connection.call(kmsV2Service.Encrypt, { plaintext: Buffer.alloc(32, index), uid: String(index) }, soon()),
      ),
    );
    for (const [index, { ciphertext, keyId, annotations }] of answers.entries()) {
      assert.equal(ciphertext[1], index ^ 5);
      assert.equal(keyId, "key-1");
      assert.equal(annotations["nonce.test.example"]?.length, 8);
    }
    connection.close();
    assert.equal(connection.isOpen(), false);
  });

  it("a refusal => its code and its words, also when they need escaping", async () => {
    plugin.refusal = { code: status.PERMISSION_DENIED, details: "the key is disabled: 100 % über" };
    const connection = await dialled();
    await assert.rejects(connection.call(kmsV2Service.Status, {}, soon()), (error: GrpcStatusError) => {
      assert.ok(error instanceof GrpcStatusError);
      assert.deepEqual([error.code, error.message], [7, "Status: the key is disabled: 100 % über"]);
      return true;
    });
    connection.close();
  });

  it("no answer in time => timeout, naming the peer, and the connection stays usable", async () => {
    plugin.hang = true;
    const connection = await dialled();
    await assert.rejects(connection.call(kmsV2Service.Status, {}, AbortSignal.timeout(50)), (error: KmsEtcdError) => {
      assert.match(error.message, /^cp1: no answer to Status in time/);
      return error.code === "timeout";
    });
    plugin.hang = false;
    assert.equal((await connection.call(kmsV2Service.Status, {}, soon())).healthz, "ok");
    connection.close();
  });

  it("an answer longer than allowed => throttled, and the rest of it is not taken", async () => {
    const method: GrpcMethod<number, Buffer> = {
      path: "/t.T/Long",
      requestSerialize: (length) => Buffer.from(String(length)),
      responseDeserialize: (bytes) => bytes,
    };
    const server = new Server({ "grpc.max_send_message_length": -1 });
    const Long = {
      path: "/t.T/Long",
      requestStream: false,
      responseStream: false,
      requestSerialize: (x: Buffer) => x,
      requestDeserialize: (x: Buffer) => x,
      responseSerialize: (x: Buffer) => x,
      responseDeserialize: (x: Buffer) => x,
    } as const;
    server.addService(
      { Long },
      {
        Long: (call: { request: Buffer }, done: (error: null, bytes: Buffer) => void) =>
          done(null, Buffer.alloc(Number(call.request.toString()), 1)),
      },
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    const connection = grpcConnection(connect(port, "127.0.0.1"), { peer: "x", longestAnswer: 20 << 20 });
    assert.equal((await connection.call(method, 19 << 20, soon())).length, 19 << 20);
    await assert.rejects(connection.call(method, 30 << 20, soon()), code("throttled"));
    connection.close();
    server.forceShutdown();
  });

  it("nobody listens, or the other side hangs up => unreachable", async () => {
    const nowhere = grpcConnection(connect("/nonexistent/socket"), limits);
    await assert.rejects(nowhere.call(kmsV2Service.Status, {}, soon()), code("unreachable"));
    nowhere.close();
    const connection = await dialled();
    await connection.call(kmsV2Service.Status, {}, soon());
    plugin.hang = true;
    const call = connection.call(kmsV2Service.Status, {}, soon());
    await plugin.close();
    await assert.rejects(call, code("unreachable"));
    await assert.rejects(connection.call(kmsV2Service.Status, {}, soon()), code("unreachable"));
    connection.close();
    plugin = await plainPlugin("key-1", 5);
  });

  it("what answers is no gRPC server => unreachable, in bounded time", async () => {
    const server = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const connection = grpcConnection(connect(port, "127.0.0.1"), limits);
    await assert.rejects(connection.call(kmsV2Service.Status, {}, soon()), code("unreachable"));
    connection.close();
    server.close();
  });
});
