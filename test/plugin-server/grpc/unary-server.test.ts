/** By clients that speak HTTP/2 by hand, so that they can say what no gRPC library would, and by grpc-js. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from "node:http2";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { frameMessage, unframeMessage } from "../../../core/grpc-frame";
import type { UnaryMethod } from "../../../core/kms-protocol";
import type { UnaryCall } from "../../../plugin-server/grpc/unary-call";
import { createUnaryServer, type UnaryServer } from "../../../plugin-server/grpc/unary-server";
import { frameType, pingFrame, requestFrames, resetFrame, speakFrames } from "../support/http2-frames";

const longestRequest = 1_000;

function text(path: string): UnaryMethod<string, string> {
  const read = (bytes: Buffer) => {
    if (bytes.equals(Buffer.from("unreadable"))) throw new Error("this has no text");
    return bytes.toString();
  };
  const write = (message: string) => {
    if (message === "unsendable") throw new Error("this has no bytes");
    return Buffer.from(message);
  };
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: (message) => Buffer.from(message),
    requestDeserialize: read,
    responseSerialize: write,
    responseDeserialize: (bytes) => bytes.toString(),
  };
}

const service = { Echo: text("/test.Echo/Echo"), Fail: text("/test.Echo/Fail"), Hold: text("/test.Echo/Hold") };

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders | undefined;
  readonly body: Buffer;
  /** HTTP/2's, with which the stream was closed. */
  readonly closed: number | undefined;
}

describe("the server of unary calls", () => {
  let directory: string;
  let socket: string;
  let server: UnaryServer;
  let session: ClientHttp2Session;
  let library: Client;
  let held: (call: UnaryCall<string, string>) => void;
  let holding: Promise<UnaryCall<string, string>>;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "kms-etcd-unary-"));
    socket = join(directory, "echo.sock");
    server = createUnaryServer({ longestRequest, concurrentCalls: 3 });
    holding = new Promise((resolve) => {
      held = resolve;
    });
    server.serve(service, {
      Echo: (call) => call.answer(call.request),
      Fail: (call) => call.fail({ code: "NOT_FOUND", details: call.request }),
      Hold: (call) => held(call),
    });
    await server.listen(socket);
    session = connect("http://localhost", { createConnection: () => connectSocket(socket) });
    session.on("error", () => undefined);
    library = new Client(`unix:${socket}`, credentials.createInsecure());
  });
  afterEach(async () => {
    library.close();
    session.destroy();
    server.destroy();
    await server.close();
    await rm(directory, { recursive: true });
  });

  const request = (path: string, headers: Readonly<Record<string, string>> = {}): ClientHttp2Stream =>
    session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });

  async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders | undefined;
    const chunks: Buffer[] = [];
    stream
      .on("response", (head: IncomingHttpHeaders) => {
        headers = head;
      })
      .on("trailers", (tail: IncomingHttpHeaders) => {
        trailers = tail;
      })
      .on("data", (chunk: Buffer) => chunks.push(chunk))
      .on("error", () => undefined);
    await once(stream, "close");
    return { headers, trailers, body: Buffer.concat(chunks), closed: stream.rstCode };
  }

  async function ask(path: string, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const stream = request(path, headers);
    stream.end(body);
    return answerOf(stream);
  }

  const byLibrary = (
    { path, requestSerialize, responseDeserialize }: UnaryMethod<string, string>,
    message: string,
  ): Promise<string | undefined> =>
    new Promise((resolve, reject) => {
      library.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, (error, response) =>
        error ? reject(error) : resolve(response),
      );
    });

  /** No message, one block of headers with the status. */
  const refusal = ({ headers, trailers, body }: Answer) => {
    assert.equal(headers[":status"], 200);
    assert.deepEqual([trailers, body.length], [undefined, 0]);
    return [Number(headers["grpc-status"]), decodeURIComponent(String(headers["grpc-message"]))];
  };

  it("answers with a head, the message and the status behind it", async () => {
    const { headers, trailers, body, closed } = await ask("/test.Echo/Echo", frameMessage(Buffer.from("hello")));
    assert.equal(headers[":status"], 200);
    assert.equal(headers["content-type"], "application/grpc");
    assert.deepEqual(unframeMessage(body), Buffer.from("hello"));
    assert.equal(trailers?.["grpc-status"], "0");
    assert.equal(closed, constants.NGHTTP2_NO_ERROR);
  });

  it("takes an empty message, the longest one, and one that comes byte by byte", async () => {
    assert.equal(await byLibrary(service.Echo, ""), "");
    assert.equal(await byLibrary(service.Echo, "a".repeat(longestRequest)), "a".repeat(longestRequest));
    const stream = request("/test.Echo/Echo");
    const answer = answerOf(stream);
    for (const byte of frameMessage(Buffer.from("slow"))) {
      stream.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    stream.end();
    assert.deepEqual(unframeMessage((await answer).body), Buffer.from("slow"));
  });

  for (const details of ["gone", "100 % \u00fcber \u{1F511}\nnext line"]) {
    it(`tells a failure's code and text: ${JSON.stringify(details)}`, async () => {
      const error = await byLibrary(service.Fail, details).catch((thrown: unknown) => thrown as ServiceError);
      assert.ok(typeof error === "object");
      assert.deepEqual([error.code, error.details], [status.NOT_FOUND, details]);
      const answer = await ask("/test.Echo/Fail", frameMessage(Buffer.from(details)));
      assert.deepEqual(refusal(answer), [status.NOT_FOUND, details]);
    });
  }

  const hello = frameMessage(Buffer.from("hello"));
  const compressed = Buffer.from(hello);
  compressed[0] = 1;
  for (const [name, path, body, headers, code, details] of [
    [
      "a method that isn't there",
      "/test.Echo/Other",
      hello,
      {},
      "UNIMPLEMENTED",
      "there is no method /test.Echo/Other",
    ],
    [
      "a method with an endless name",
      `/${"%".repeat(5_000)}`,
      hello,
      {},
      "UNIMPLEMENTED",
      `there is no method /${"%".repeat(199)}`,
    ],
    [
      "a request without a message",
      "/test.Echo/Echo",
      Buffer.alloc(0),
      {},
      "INTERNAL",
      "the request has no whole message",
    ],
    ["half a message", "/test.Echo/Echo", hello.subarray(0, 7), {}, "INTERNAL", "the request has no whole message"],
    [
      "two messages",
      "/test.Echo/Echo",
      Buffer.concat([hello, hello]),
      {},
      "INTERNAL",
      "the request has more than one message",
    ],
    [
      "a message that can't be read",
      "/test.Echo/Echo",
      frameMessage(Buffer.from("unreadable")),
      {},
      "INTERNAL",
      "the request's message is malformed",
    ],
    [
      "a compressed message that says how",
      "/test.Echo/Echo",
      compressed,
      { "grpc-encoding": "gzip" },
      "UNIMPLEMENTED",
      "compressed requests are not read",
    ],
    [
      "a compressed message that doesn't",
      "/test.Echo/Echo",
      compressed,
      {},
      "INTERNAL",
      "the request's message is compressed, and its head says not how",
    ],
    [
      "a timeout that can't be read",
      "/test.Echo/Echo",
      hello,
      { "grpc-timeout": "3" },
      "INTERNAL",
      "grpc-timeout can't be read",
    ],
    [
      "a message that is too long",
      "/test.Echo/Echo",
      frameMessage(Buffer.alloc(longestRequest + 1)),
      {},
      "RESOURCE_EXHAUSTED",
      "the request has more than 1000 bytes",
    ],
    [
      "a message that is far too long",
      "/test.Echo/Echo",
      frameMessage(Buffer.alloc(1_000_000)),
      {},
      "RESOURCE_EXHAUSTED",
      "the request has more than 1000 bytes",
    ],
  ] as const) {
    it(`refuses ${name}, and goes on`, async () => {
      const answer = await ask(path, body, headers);
      assert.deepEqual(refusal(answer), [status[code], details]);
      if ("grpc-encoding" in headers) assert.equal(answer.headers["grpc-accept-encoding"], "identity");
      assert.equal(await byLibrary(service.Echo, "still there"), "still there");
      assert.equal((await ask("/test.Echo/Echo", hello)).trailers?.["grpc-status"], "0", "on the same connection");
    });
  }

  it("takes content types with a format and parameters, and says in HTTP's terms what is not gRPC", async () => {
    for (const type of ["application/grpc+proto", "application/grpc;charset=utf-8"])
      assert.equal((await ask("/test.Echo/Echo", hello, { "content-type": type })).trailers?.["grpc-status"], "0");
    for (const type of ["application/json", "application/grpc-web", "application/grpcs"])
      assert.equal((await ask("/test.Echo/Echo", hello, { "content-type": type })).headers[":status"], 415);
    const stream = session.request({ ":path": "/test.Echo/Echo" });
    assert.equal((await answerOf(stream)).headers[":status"], 405);
  });

  it("tells its handler how long the caller waits", async () => {
    void ask("/test.Echo/Hold", hello, { "grpc-timeout": "1500m" });
    const call = await holding;
    assert.equal(call.timeoutMs, 1_500);
    call.answer("");
  });

  it("tells its handler that the caller has left, once, and sends it nothing more", async () => {
    const stream = request("/test.Echo/Hold");
    stream.on("error", () => undefined);
    stream.end(hello);
    const call = await holding;
    let told = 0;
    const left = new Promise<void>((resolve) =>
      call.onLeaving(() => {
        told++;
        resolve();
      }),
    );
    assert.equal(call.hasLeft, false);
    stream.close(constants.NGHTTP2_CANCEL);
    await left;
    assert.equal(call.hasLeft, true);
    call.answer("too late");
    call.fail({ code: "INTERNAL", details: "too late" });
    assert.equal(await byLibrary(service.Echo, "still there"), "still there");
    assert.equal(told, 1);
  });

  it("tells its handler that the caller's connection has gone", async () => {
    request("/test.Echo/Hold")
      .on("error", () => undefined)
      .end(hello);
    const call = await holding;
    const left = new Promise<void>((resolve) => call.onLeaving(resolve));
    session.destroy();
    await left;
    call.answer("too late");
    assert.equal(await byLibrary(service.Echo, "still there"), "still there");
  });

  it("does not tell of callers that leave with their answers", async () => {
    const answered = ask("/test.Echo/Hold", hello);
    const call = await holding;
    call.onLeaving(() => assert.fail("it had its answer"));
    call.answer("bye");
    await answered;
    session.destroy();
    assert.equal(await byLibrary(service.Echo, "still there"), "still there");
    assert.equal(call.hasLeft, false);
  });

  it("does not tell of callers that leave between the message and the status", async () => {
    const caller = await speakFrames(socket);
    caller.send(requestFrames("/test.Echo/Hold", hello));
    const call = await holding;
    call.onLeaving(() => assert.fail("it had its answer"));
    const message = caller.seen(frameType.data);
    call.answer("bye");
    await message;
    caller.send(resetFrame(constants.NGHTTP2_CANCEL));
    assert.equal(await byLibrary(service.Echo, "still there"), "still there");
    assert.equal(call.hasLeft, false);
    caller.destroy();
  });

  for (const code of ["NGHTTP2_NO_ERROR", "NGHTTP2_INTERNAL_ERROR", "NGHTTP2_CANCEL"] as const) {
    it(`outlives callers that take back a call, with ${code}`, async () => {
      const caller = await speakFrames(socket);
      caller.send(requestFrames("/test.Echo/Hold", hello));
      const call = await holding;
      const left = new Promise<void>((resolve) => call.onLeaving(resolve));
      caller.send(resetFrame(constants[code]));
      await left;
      assert.equal(await byLibrary(service.Echo, "still there"), "still there");
      caller.destroy();
    });

    it(`never carries out a request that was taken back before its end, with ${code}`, async () => {
      let carriedOut = false;
      void holding.then(() => {
        carriedOut = true;
      });
      const caller = await speakFrames(socket);
      caller.send(requestFrames("/test.Echo/Hold", hello, { isWhole: false }), resetFrame(constants[code]));
      // The answer to a ping comes behind what was said before.
      caller.send(pingFrame());
      await caller.seen(frameType.ping);
      assert.equal(await byLibrary(service.Echo, "still there"), "still there");
      assert.equal(carriedOut, false);
      caller.destroy();
    });
  }

  for (const [name, path, type, bytes] of [
    ["refused by their heads", "/test.Echo/Other", "application/grpc", 3],
    ["too long", "/test.Echo/Echo", "application/grpc", longestRequest + 100],
    ["not gRPC", "/test.Echo/Echo", "application/json", 3],
  ] as const) {
    it(`waits for nothing more of requests that are ${name}`, async () => {
      // More than the server takes at once, and none of them ends by itself.
      for (let count = 0; count < 10; count++) {
        const stream = request(path, { "content-type": type });
        stream.write(Buffer.alloc(bytes));
        await answerOf(stream);
      }
      assert.equal((await ask("/test.Echo/Echo", hello)).trailers?.["grpc-status"], "0");
    });
  }

  it("can still fail a call whose answer can't be sent", async () => {
    const answered = ask("/test.Echo/Hold", hello);
    const call = await holding;
    assert.throws(() => call.answer("unsendable"), /this has no bytes/);
    call.fail({ code: "INTERNAL", details: "no bytes" });
    assert.deepEqual(refusal(await answered), [status.INTERNAL, "no bytes"]);
  });

  it("answers a call once", async () => {
    const answered = ask("/test.Echo/Hold", hello);
    const call = await holding;
    call.answer("first");
    call.answer("second");
    call.fail({ code: "INTERNAL", details: "third" });
    const { body, trailers } = await answered;
    assert.deepEqual(unframeMessage(body), Buffer.from("first"));
    assert.equal(trailers?.["grpc-status"], "0");
  });

  it("lets a request that never ends keep nobody from the others", async () => {
    request("/test.Echo/Echo")
      .on("error", () => undefined)
      .write(hello.subarray(0, 3));
    assert.equal(await byLibrary(service.Echo, "still there"), "still there");
    assert.equal((await ask("/test.Echo/Echo", hello)).trailers?.["grpc-status"], "0");
  });

  it("outlives what is not HTTP/2", async () => {
    const connection = connectSocket(socket);
    connection.on("error", () => undefined);
    connection.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    connection.resume();
    await once(connection, "close");
    assert.equal(await byLibrary(service.Echo, "still there"), "still there");
  });

  it("closes: lets the call under way end, and the connections with it", async () => {
    const answered = ask("/test.Echo/Hold", hello);
    const call = await holding;
    const closed = server.close();
    const refused = await byLibrary(service.Echo, "late").catch((thrown: unknown) => (thrown as ServiceError).code);
    assert.equal(refused, status.UNAVAILABLE);
    call.answer("bye");
    assert.deepEqual(unframeMessage((await answered).body), Buffer.from("bye"));
    await closed;
    assert.equal(session.destroyed || session.closed, true);
  });

  it("ends connections whose callers take no answers and never close", async () => {
    const caller = await speakFrames(socket, { windowBytes: 0 });
    caller.send(requestFrames("/test.Echo/Hold", hello));
    (await holding).answer("it can't leave");
    const closed = server.close();
    assert.equal(await Promise.race([closed, delay(100, "waits")]), "waits");
    server.destroy();
    await closed;
    caller.destroy();
  });

  it("says why it can't listen", async () => {
    const other = createUnaryServer({ longestRequest, concurrentCalls: 1 });
    await assert.rejects(other.listen(socket), { code: "EADDRINUSE" });
    await assert.rejects(other.listen(join(directory, "missing", "a.sock")), { code: "EACCES" });
  });
});
