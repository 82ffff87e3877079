import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { callsUnderWay } from "../../../../rotation/adapters/etcd/etcd-members";
import { readPage } from "../../../../rotation/adapters/etcd/etcd-page";

/** As etcd 3.6 writes them. */
const metrics = (snapshots: readonly [number, number], defragmentations: readonly [number, number]) => `
grpc_server_handled_total{grpc_code="OK",grpc_method="Defragment",grpc_service="etcdserverpb.Maintenance",grpc_type="unary"} ${defragmentations[1]}
grpc_server_handled_total{grpc_code="Canceled",grpc_method="Snapshot",grpc_service="etcdserverpb.Maintenance",grpc_type="server_stream"} 1
grpc_server_handled_total{grpc_code="OK",grpc_method="Snapshot",grpc_service="etcdserverpb.Maintenance",grpc_type="server_stream"} ${snapshots[1] - 1}
grpc_server_started_total{grpc_method="Defragment",grpc_service="etcdserverpb.Maintenance",grpc_type="unary"} ${defragmentations[0]}
grpc_server_started_total{grpc_method="Snapshot",grpc_service="etcdserverpb.Maintenance",grpc_type="server_stream"} ${snapshots[0]}
grpc_server_started_total{grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"} 40
`;

describe("what etcd is doing for others", () => {
  it("calls that have begun and not ended, whatever they ended with", () => {
    assert.deepEqual(callsUnderWay(metrics([3, 3], [1, 1])), []);
    assert.deepEqual(callsUnderWay(metrics([4, 3], [1, 1])), ["snapshot"]);
    assert.deepEqual(callsUnderWay(metrics([4, 3], [2, 1])), ["snapshot", "defragmentation"]);
    assert.deepEqual(callsUnderWay("etcd_server_is_leader 1\n"), [], "one that does not tell");
  });

  it("a page over a connection that is there => its text; another status => an error that names the page", async () => {
    const server = createServer((request, response) => {
      response.statusCode = request.url === "/metrics" ? 200 : 404;
      response.end("etcd_server_is_leader 1\n");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const read = (path: string) =>
      readPage(new URL(path, `http://127.0.0.1:${port}`), connect(port, "127.0.0.1"), AbortSignal.timeout(5_000));
    assert.equal(await read("/metrics"), "etcd_server_is_leader 1\n");
    await assert.rejects(read("/other"), /\/other: status 404/);
    await new Promise((resolve) => server.close(resolve));
  });
});
