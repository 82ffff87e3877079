import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type HttpServer, startHttpServer } from "../../../plugin-server/http/http-server";

describe("the HTTP server for health and metrics", () => {
  const host = "127.0.0.1";
  let server: HttpServer;
  let opened: Socket[];
  beforeEach(async () => {
    opened = [];
    const routes = { "/livez": async () => ({ status: 200, body: "ok" }) };
    const started = await startHttpServer({ host, port: 0, explicit: true }, "healthz-port", routes);
    assert.ok(started);
    server = started;
  });
  afterEach(async () => {
    for (const socket of opened) socket.destroy();
    await server.close();
  });

  async function open(): Promise<Socket> {
    const socket = connect(server.port, host);
    socket.on("error", () => undefined);
    opened.push(socket);
    await once(socket, "connect");
    return socket;
  }
  async function livez(socket: Socket): Promise<string> {
    socket.write("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
    const [answer] = (await once(socket, "data")) as [Buffer];
    return answer.toString().split("\r\n", 1)[0] ?? "";
  }

  it("answers while hundreds of connections say nothing, and drops the oldest of them", async () => {
    const kubelet = await open();
    const first = await open();
    for (let count = 0; count < 200; count++) await open();
    assert.equal(await livez(kubelet), "HTTP/1.1 200 OK");
    const dropped = once(first, "close");
    for (let count = 0; count < 100; count++) await open();
    assert.equal(await livez(await open()), "HTTP/1.1 200 OK");
    assert.equal(
      await livez(kubelet),
      "HTTP/1.1 200 OK",
      "a connection that has been used is younger than a silent one",
    );
    await dropped;
  });

  it("ends a connection without a request after seconds, not after half a minute", async function () {
    this.timeout(20_000);
    const started = performance.now();
    await once((await open()).resume(), "close");
    assert.ok(performance.now() - started < 15_000);
  });
});
