import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { buildConnector } from "undici";
import { createKeptOrigins, type KeptOrigins } from "../../../plugin-server/http/kept-origins";

describe("kept connections to several origins", () => {
  let server: Server;
  let sockets: Socket[];
  let origins: KeptOrigins;
  let origin: string;

  beforeEach(async () => {
    sockets = [];
    server = createServer((socket) => void sockets.push(socket.on("error", () => undefined)));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    origins = createKeptOrigins({
      connections: 4,
      answerTimeoutMs: 10_000,
      idleMs: 10_000,
      longestAnswer: 1_000,
      silenceMs: 10_000,
    });
  });
  afterEach(async () => {
    origins.close();
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  });

  const post = () => origins.post(origin, { path: "/", headers: {}, body: "" });

  it("send nothing to an origin that was not reached before", async () => {
    assert.equal(await post(), undefined);
    origins.reached("http://127.0.0.1:1", buildConnector({}));
    assert.equal(await post(), undefined);
    assert.equal(sockets.length, 0);
  });

  it("are the same when an origin is reached again, so that all end with close", async () => {
    origins.reached(origin, buildConnector({}));
    const call = post();
    await once(server, "connection");
    origins.reached(origin, buildConnector({}));
    origins.close();
    await assert.rejects(call, { code: "ECONNABORTED" });
  });
});
