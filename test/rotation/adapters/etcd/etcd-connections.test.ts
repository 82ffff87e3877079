import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { etcdConnections } from "../../../../rotation/adapters/etcd/etcd-connections";
import type { GrpcMethod } from "../../../../rotation/adapters/grpc/grpc-connection";

const method: GrpcMethod<undefined, number> = {
  path: "/etcdserverpb.Maintenance/Status",
  requestSerialize: () => Buffer.alloc(0),
  responseDeserialize: (bytes) => bytes.length,
};

describe("connections to etcd", () => {
  it("calls at once, also one that still connects when all are closed => no connection is left, or the process would not end", async () => {
    const server = createServer();
    let open = 0;
    server.on("session", (session) => {
      open += 1;
      session.once("close", () => (open -= 1));
    });
    server.on("stream", (stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.alloc(5));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const etcd = etcdConnections({ endpoints: [endpoint] });
    const ask = () => etcd.callAt(endpoint, method, undefined, AbortSignal.timeout(5_000));
    assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [0, 0, 0]);
    etcd.close();
    const late = etcdConnections({ endpoints: [endpoint] });
    const asked = late.callAt(endpoint, method, undefined, AbortSignal.timeout(5_000));
    late.close();
    await assert.rejects(asked, { code: "cancelled" });
    const until = Date.now() + 3_000;
    while (open > 0 && Date.now() < until) await delay(5);
    assert.equal(open, 0);
    server.close();
    await once(server, "close");
  });
});
