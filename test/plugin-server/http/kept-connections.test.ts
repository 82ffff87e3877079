import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { buildConnector } from "undici";
import {
  createKeptConnections,
  type KeptConnections,
  type KeptConnectionsOptions,
} from "../../../plugin-server/http/kept-connections";

/** What the service does with a request: the bytes that it sends, or something else. */
type Behaviour = (socket: Socket, request: string) => void;

const ok = (text: string) => `HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${text}`;
/** Gives back the path, so that an answer can be told from another one's. */
const echo: Behaviour = (socket, request) => socket.write(ok(pathOf(request)));

describe("kept connections", () => {
  let server: Server;
  let connections: KeptConnections;
  let sockets: Socket[];
  let requests: string[];
  let behave: Behaviour;

  beforeEach(async () => {
    sockets = [];
    requests = [];
    behave = echo;
    server = createServer((socket) => {
      sockets.push(socket);
      let text = "";
      socket
        .on("error", () => undefined)
        .on("data", (chunk) => {
          text += chunk.toString("latin1");
          const length = /content-length: (\d+)\r\n\r\n/.exec(text);
          if (length === null || text.length < length.index + length[0].length + Number(length[1])) return;
          const request = text;
          text = "";
          requests.push(request);
          behave(socket, request);
        });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    connections = open();
  });
  afterEach(async () => {
    connections.close();
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  });

  function open(limits: Partial<KeptConnectionsOptions> = {}) {
    const { port } = server.address() as AddressInfo;
    return createKeptConnections({
      origin: new URL(`http://127.0.0.1:${port}`),
      connect: buildConnector({}),
      silenceMs: 10_000,
      connections: 4,
      answerTimeoutMs: 10_000,
      idleMs: 10_000,
      longestAnswer: 1_000,
      ...limits,
    });
  }

  async function post(
    path: string,
    more: { readonly signal?: AbortSignal; readonly headers?: Record<string, string> } = {},
  ) {
    const answer = await connections.post({ path, headers: {}, body: "body", ...more });
    return answer?.body.toString("latin1");
  }

  it("carry one request after another", async () => {
    for (const path of ["/1", "/2", "/3"]) assert.equal(await post(path), path);
    assert.equal(sockets.length, 1);
  });

  it("are as many as there are requests at once, up to the limit, and each request gets its own answer", async () => {
    behave = (socket, request) => void delay(Math.random() * 20).then(() => echo(socket, request));
    const paths = Array.from({ length: 50 }, (_, index) => `/${index}`);
    assert.deepEqual(await Promise.all(paths.map((path) => post(path))), paths);
    assert.equal(sockets.length, 4);
  });

  it("send head and body as they were given, with the host that is asked for", async () => {
    await connections.post({ path: "/a?b=c", host: "other.example", headers: { "x-a": "b" }, body: "ü" });
    assert.equal(
      requests[0],
      "POST /a?b=c HTTP/1.1\r\nhost: other.example\r\nconnection: keep-alive\r\nx-a: b\r\ncontent-length: 2\r\n\r\nÃ¼",
    );
  });

  it("refuse a header that would begin another one, before anything is sent", async () => {
    await assert.rejects(post("/", { headers: { "x-a": "b\r\nx-evil: c" } }), {
      code: "ERR_INVALID_CHAR",
      message: /x-a/,
    });
    assert.equal(sockets.length, 0);
  });

  for (const [what, request] of [
    ["path", { path: "/ HTTP/1.1\r\nx-evil: c\r\n" }],
    ["host", { path: "/", host: "a\r\nx-evil: c" }],
    ["header that can't be sent in one way only", { path: "/", headers: { "x-a": "\u00e4" } }],
  ] as const) {
    it(`refuse a ${what}, too`, async () => {
      await assert.rejects(connections.post({ headers: {}, body: "", ...request }), { code: "ERR_INVALID_CHAR" });
      assert.equal(sockets.length, 0);
    });
  }

  it("reach a service at an IPv6 address", async () => {
    server.close();
    server.listen(0, "::1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    connections = open({ origin: new URL(`http://[::1]:${port}`) });
    assert.equal(await post("/1"), "/1");
    assert.match(requests[0] ?? "", new RegExp(`\r\nhost: \\[::1\\]:${port}\r\n`));
  });

  it("are opened anew when the service has closed one that idled", async () => {
    assert.equal(await post("/1"), "/1");
    sockets[0]?.end();
    await closed(sockets[0]);
    assert.equal(await post("/2"), "/2");
    assert.equal(sockets.length, 2);
  });

  it("let a request go over another one when theirs ends before it is sent", async () => {
    assert.equal(await post("/1"), "/1");
    // In one phase of the event loop, before the one that polls: the end is in the kernel when the request comes.
    await delay(1);
    sockets[0]?.resetAndDestroy();
    assert.equal(await post("/2"), "/2");
    assert.equal(requests.length, 2);
  });

  it("are given up as soon as the service ends its side, not when both have", async () => {
    const ours: Socket[] = [];
    connections = open({ connect: seen(ours) });
    assert.equal(await post("/1"), "/1");
    const second = new Promise<string | undefined>((resolve, reject) => {
      ours[0]?.once("end", () => void post("/2").then(resolve, reject));
    });
    sockets[0]?.end();
    assert.equal(await second, "/2");
    assert.equal(sockets.length, 2);
  });

  it("are closed before the service does so, where it says when", async () => {
    behave = (socket) =>
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nkeep-alive: timeout=2, max=100\r\n\r\na");
    assert.equal(await post("/1"), "a");
    const started = performance.now();
    await closed(sockets[0]);
    assert.ok(performance.now() - started < 2_000);
    behave = (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nKeep-Alive: timeout=1\r\n\r\na");
    assert.equal(await post("/2"), "a");
    await closed(sockets[1]);
  });

  it("are closed when the service says so", async () => {
    behave = (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\na");
    assert.equal(await post("/1"), "a");
    assert.equal(await post("/2"), "a");
    assert.equal(sockets.length, 2);
  });

  it("take nothing that comes without a request: it is not the next one's answer", async () => {
    assert.equal(await post("/1"), "/1");
    await delay(1);
    sockets[0]?.write(ok("poison"));
    assert.equal(await post("/2"), "/2");
    sockets[1]?.write(ok("poison"));
    await closed(sockets[1]);
    assert.equal(await post("/3"), "/3");
  });

  for (const [what, answer] of [
    ["has another form", "HTTP/1.1 200 OK\r\n\r\nuntil the end"],
    ["brings a second one along", ok("a") + ok("b")],
  ] as const) {
    it(`leave an origin to undici whose answer ${what}, for good`, async () => {
      behave = (socket) => socket.write(answer);
      assert.equal(await post("/1"), undefined);
      behave = echo;
      assert.equal(await post("/2"), undefined);
      assert.equal(requests.length, 1);
    });
  }

  it("do not try the requests that wait when an answer has another form", async () => {
    connections = open({ connections: 1 });
    behave = (socket) => socket.write("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    assert.deepEqual(await Promise.all([post("/1"), post("/2"), post("/3")]), [undefined, undefined, undefined]);
    assert.deepEqual(requests.map(pathOf), ["/1"]);
  });

  it("tell a request whose connection breaks", async () => {
    behave = (socket) => void socket.resetAndDestroy();
    await assert.rejects(post("/1"), { code: "ECONNRESET" });
    behave = (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-len");
    await assert.rejects(post("/2"), { code: "ECONNRESET" });
    behave = echo;
    assert.equal(await post("/3"), "/3");
  });

  it("do not wait longer for an answer than they may", async () => {
    connections = open({ answerTimeoutMs: 50 });
    behave = () => undefined;
    await assert.rejects(post("/1"), { code: "ETIMEDOUT" });
    behave = echo;
    assert.equal(await post("/2"), "/2");
  });

  it("are closed when nothing has used them for a while", async () => {
    connections = open({ idleMs: 50 });
    assert.equal(await post("/1"), "/1");
    await closed(sockets[0]);
    assert.equal(await post("/2"), "/2");
  });

  it("are closed when nothing has used them at all, because their first call was given up", async () => {
    const connect = buildConnector({});
    const giveUp = new AbortController();
    connections = open({
      idleMs: 50,
      connect: (options, callback) =>
        connect(options, (...result) => {
          giveUp.abort();
          callback(...result);
        }),
    });
    await assert.rejects(post("/1", { signal: giveUp.signal }), { code: "ABORT_ERR" });
    while (sockets.length === 0) await delay(1);
    await closed(sockets[0]);
    assert.equal(requests.length, 0);
  });

  it("that were open before one fell silent are not trusted: the path through the network may be gone", async () => {
    connections = open({ silenceMs: 50 });
    await Promise.all(["/1", "/2", "/3"].map((path) => post(path)));
    assert.equal(sockets.length, 3);
    const lost = new Set(sockets);
    behave = (socket, request) => {
      if (!lost.has(socket)) echo(socket, request);
    };
    const silent = post("/silent");
    silent.catch(() => undefined);
    await delay(60);
    assert.equal(await post("/4"), "/4");
    assert.equal(await post("/5"), "/5");
    assert.equal(sockets.length, 4);
    assert.deepEqual(requests.slice(3).map(pathOf), ["/silent", "/4", "/5"]);
  });

  it("that were open before one was given up in silence are not trusted", async () => {
    connections = open({ silenceMs: 50, answerTimeoutMs: 100 });
    await Promise.all(["/1", "/2", "/3"].map((path) => post(path)));
    const lost = new Set(sockets);
    behave = (socket, request) => {
      if (!lost.has(socket)) echo(socket, request);
    };
    await assert.rejects(post("/silent"), { code: "ETIMEDOUT" });
    assert.equal(await post("/4"), "/4");
  });

  it("are trusted while another is slow for less", async () => {
    await Promise.all(["/1", "/2"].map((path) => post(path)));
    behave = (socket, request) => {
      if (pathOf(request) !== "/slow") echo(socket, request);
    };
    const slow = post("/slow");
    slow.catch(() => undefined);
    assert.equal(await post("/3"), "/3");
    assert.equal(sockets.length, 2);
  });

  it("end with a call that is given up: its answer can't become another one's", async () => {
    const begun = new Promise<void>((resolve) => {
      behave = () => resolve();
    });
    const giveUp = new AbortController();
    const call = post("/1", { signal: giveUp.signal });
    await begun;
    giveUp.abort();
    await assert.rejects(call, { code: "ABORT_ERR" });
    await closed(sockets[0]);
    behave = echo;
    assert.equal(await post("/2"), "/2");
    await assert.rejects(post("/3", { signal: AbortSignal.abort() }), { code: "ABORT_ERR" });
    assert.equal(requests.length, 2);
  });

  it("forget a call that is given up while it waits for a connection", async () => {
    connections = open({ connections: 1 });
    const held: (() => void)[] = [];
    behave = (socket, request) => void held.push(() => echo(socket, request));
    const first = post("/1");
    const giveUp = new AbortController();
    const second = post("/2", { signal: giveUp.signal });
    const third = post("/3");
    giveUp.abort();
    await assert.rejects(second, { code: "ABORT_ERR" });
    while (held.length === 0) await delay(1);
    behave = echo;
    held[0]?.();
    assert.deepEqual(await Promise.all([first, third]), ["/1", "/3"]);
    assert.deepEqual(requests.map(pathOf), ["/1", "/3"]);
  });

  it("tell when no connection can be opened, and try again with the next request", async () => {
    const { port } = server.address() as AddressInfo;
    server.close();
    await assert.rejects(post("/1"), { code: "ECONNREFUSED" });
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    assert.equal(await post("/2"), "/2");
  });

  it("end with a request whose connection is being opened when they are closed", async () => {
    const callbacks: Parameters<KeptConnectionsOptions["connect"]>[1][] = [];
    const connect = buildConnector({});
    connections = open({ connect: (_options, callback) => void callbacks.push(callback) });
    const call = post("/1");
    connections.close();
    await assert.rejects(call, { code: "ECONNABORTED" });
    // It is opened nevertheless: nobody may keep it.
    const { port } = server.address() as AddressInfo;
    const options = { hostname: "127.0.0.1", protocol: "http:", port: String(port) };
    connect(options, (...result) => callbacks[0]?.(...result));
    while (sockets.length === 0) await delay(1);
    await closed(sockets[0]);
    assert.equal(requests.length, 0);
  });

  it("end with all their requests when they are closed, also those that wait", async () => {
    connections = open({ connections: 1 });
    behave = () => undefined;
    const calls = [post("/1"), post("/2")];
    while (requests.length === 0) await delay(1);
    connections.close();
    for (const call of calls) await assert.rejects(call, { code: "ECONNABORTED" });
    await assert.rejects(post("/3"), { code: "ECONNABORTED" });
  });
});

async function closed(socket: Socket | undefined): Promise<void> {
  if (socket !== undefined && !socket.closed) await once(socket, "close");
}

/** Opens connections, and remembers them. */
function seen(ours: Socket[]): KeptConnectionsOptions["connect"] {
  const connect = buildConnector({});
  return (options, callback) =>
    connect(options, (...result) => {
      const [, socket] = result;
      if (socket !== null) ours.push(socket);
      callback(...result);
    });
}

function pathOf(request: string): string {
  return request.split(" ", 2)[1] ?? "";
}
