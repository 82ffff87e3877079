import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import { Pool } from "undici";
import { defaultLimits } from "../../rotation/goal";
import { assertAllThere } from "../e2e/support/disturbed-rotation";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

/** What etcd says of itself while somebody works on it, and that nothing is begun then. */
describe("somebody else at work on a real etcd", function () {
  this.timeout(30 * 60_000);
  let cluster: RealCluster;
  let etcd: Pool;
  let version = 0;

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 1 });
    await cluster.createSecrets(20);
    etcd = new Pool(endpoint(), { connect: tls() });
  });
  after(async () => {
    await etcd.destroy();
    await cluster.close();
  });

  const endpoint = () => cluster.controlPlane.etcd.endpoints[0] ?? "";
  function tls() {
    const { caFile, certFile, keyFile } = cluster.controlPlane.etcd.client;
    return { ca: readFileSync(caFile), cert: readFileSync(certFile), key: readFileSync(keyFile) };
  }
  async function ask(path: string, body: object): Promise<Record<string, unknown>> {
    const answer = await etcd.request({ method: "POST", path, body: JSON.stringify(body) });
    const text = await answer.body.text();
    assert.equal(answer.statusCode, 200, text);
    return JSON.parse(text) as Record<string, unknown>;
  }

  /** Refused with the reason while it is so, and carried out once it is over. */
  async function refusedUntil(
    over: () => Promise<unknown>,
    reason: RegExp,
    backup = defaultLimits.backup,
  ): Promise<void> {
    version += 1;
    const logStart = cluster.log.length;
    const refused = await cluster.rotate(version, { limits: { ...defaultLimits, backup } });
    assert.equal(refused.kind, "blocked");
    assert.match(refused.reason ?? "", reason);
    assert.ok(!cluster.log.slice(logStart).some((line) => line.includes(" action: ")), "nothing was begun");
    await over();
    const outcome = await cluster.rotate(version);
    assert.equal(outcome.kind, "done", outcome.reason);
    await assertAllThere(cluster, version);
  }

  it("a snapshot that is being sent => waited for, and past the limit the run says so", async () => {
    const session = connect(endpoint(), tls());
    const path = "/etcdserverpb.Maintenance/Snapshot";
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => undefined);
    // An empty request; of the answer nothing is taken, so etcd can't end it.
    stream.end(Buffer.alloc(5));
    await new Promise((resolve, reject) => stream.once("response", resolve).once("error", reject));
    const end = async () => {
      stream.close();
      session.destroy();
    };
    await refusedUntil(end, /a snapshot of etcd on https:\/\/127\.0\.0\.1:\d+ is still under way/, 20_000);
  });

  it("a member that was added and has not started => refused", async () => {
    const { member } = await ask("/v3/cluster/member/add", { peerURLs: ["https://127.0.0.1:1"], isLearner: true });
    const { ID } = member as { ID: string };
    await refusedUntil(() => ask("/v3/cluster/member/remove", { ID }), /https:\/\/127\.0\.0\.1:1 is on its way/);
  });

  it("an alarm => refused, in etcd's words", async () => {
    const { header } = await ask("/v3/maintenance/status", {});
    const { member_id: memberID } = header as { member_id: string };
    const alarm = { memberID, alarm: "NOSPACE" };
    await ask("/v3/maintenance/alarm", { ...alarm, action: "ACTIVATE" });
    await refusedUntil(() => ask("/v3/maintenance/alarm", { ...alarm, action: "DEACTIVATE" }), /alarm:NOSPACE/);
  });
});
