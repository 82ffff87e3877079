import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { KmsEtcdError } from "../../../../core/errors";
import { createEngineLease } from "../../../../rotation/adapters/kubernetes/engine-lease";
import type { EngineLease } from "../../../../rotation/engine-lease";

const path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";

interface StoredLease {
  metadata: { name?: string; resourceVersion?: string };
  spec: Record<string, unknown>;
}

/** Leases as API servers serve them, several servers on one store; `date` is their clock. */
function leaseServers() {
  const state = {
    stored: undefined as StoredLease | undefined,
    version: 10,
    date: Date.parse("2031-05-01T00:00:00Z"),
    /** Answers before the store does, by the index of the server. */
    status: new Map<number, number>(),
    requests: [] as string[],
  };
  const listen = async (index: number): Promise<Server> => {
    const server = createServer((request, response) => {
      let text = "";
      request.on("data", (chunk: Buffer) => (text += chunk.toString()));
      request.on("end", () => {
        state.requests.push(`${index} ${request.method}`);
        const answer = (status: number, body: object) => {
          response.writeHead(status, { date: new Date(state.date).toUTCString(), "content-type": "application/json" });
          response.end(JSON.stringify(body));
        };
        const fault = state.status.get(index);
        if (fault !== undefined) return answer(fault, { kind: "Status", reason: "Fault", message: "by the test" });
        if (request.url !== (request.method === "POST" ? path : `${path}/kms-etcd-rotation`)) return answer(400, {});
        const store = (status: number, lease: StoredLease) => {
          state.stored = { ...lease, metadata: { ...lease.metadata, resourceVersion: String((state.version += 1)) } };
          answer(status, state.stored);
        };
        const sent = (text === "" ? {} : JSON.parse(text)) as StoredLease & {
          preconditions?: { resourceVersion: string };
        };
        const present = state.stored?.metadata.resourceVersion;
        if (request.method === "POST") return state.stored ? answer(409, {}) : store(201, sent);
        if (state.stored === undefined) return answer(404, {});
        if (request.method === "GET") return answer(200, state.stored);
        if ((sent.preconditions ?? sent.metadata).resourceVersion !== present) return answer(409, {});
        if (request.method === "PUT") return store(200, sent);
        state.stored = undefined;
        answer(200, {});
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return server;
  };
  return { state, listen };
}

describe("the engine's Lease in kube-system", () => {
  let servers: Server[];
  let lease: EngineLease;
  let state: ReturnType<typeof leaseServers>["state"];
  const { signal } = new AbortController();

  beforeEach(async () => {
    const fake = leaseServers();
    state = fake.state;
    servers = [await fake.listen(0), await fake.listen(1)];
    lease = createEngineLease(
      servers.map((server, index) => ({
        name: `cp${index + 1}`,
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        tls: { ca: "", cert: "", key: "" },
      })),
    );
  });
  afterEach(async () => {
    await lease.close();
    for (const server of servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it("made, renewed, taken over, removed => what Kubernetes shows, with times of the servers' clock", async () => {
    assert.equal(await lease.read(signal), undefined);
    const made = await lease.write(undefined, "a", signal);
    assert.ok(made);
    assert.equal(state.stored?.metadata.name, "kms-etcd-rotation");
    const { acquireTime, renewTime, ...rest } = state.stored.spec;
    assert.deepEqual(rest, { holderIdentity: "a", leaseDurationSeconds: 15, leaseTransitions: 0 });
    assert.match(String(renewTime), /^2031-05-01T00:00:0\d\.\d{6}Z$/, "apimachinery's MicroTime has six digits");
    assert.equal(acquireTime, renewTime);
    state.date += 60_000;
    const renewed = await lease.write(await lease.read(signal), "a", signal);
    assert.equal(renewed?.acquiredAt, made.acquiredAt);
    assert.ok(renewed.renewedAt - made.renewedAt >= 59_000);
    assert.equal(renewed.now, state.date);
    const taken = await lease.write(renewed, "b", signal);
    assert.equal(taken?.holder, "b");
    assert.equal(state.stored.spec["leaseTransitions"], 1);
    assert.ok(taken);
    await lease.remove(taken, signal);
    assert.equal(state.stored, undefined);
  });

  it("another engine was faster => undefined, and its record stays", async () => {
    const made = await lease.write(undefined, "a", signal);
    assert.ok(made);
    assert.equal(await lease.write(undefined, "b", signal), undefined);
    const renewed = await lease.write(made, "a", signal);
    assert.equal(await lease.write(made, "b", signal), undefined);
    await lease.remove(made, signal);
    assert.equal((await lease.read(signal))?.version, renewed?.version);
    state.stored = undefined;
    assert.equal(await lease.write(renewed, "a", signal), undefined, "deleted meanwhile");
  });

  it("a server that is starting or away => the next one is asked, and first from then on", async () => {
    state.status.set(0, 503);
    assert.ok(await lease.write(undefined, "a", signal));
    await lease.read(signal);
    assert.deepEqual(state.requests, ["0 POST", "1 POST", "1 GET"]);
    const [, away] = servers;
    away?.closeAllConnections();
    await new Promise((resolve) => away?.close(resolve));
    state.status.clear();
    assert.equal((await lease.read(signal))?.holder, "a");
    servers.pop();
  });

  it("no server answers => an error that says so; forbidden => what to allow", async () => {
    for (const index of [0, 1]) state.status.set(index, 500);
    await assert.rejects(lease.read(signal), /cp\d: GET .*kms-etcd-rotation: 500 Fault/);
    for (const index of [0, 1]) state.status.set(index, 403);
    await assert.rejects(lease.write(undefined, "a", signal), (thrown) => {
      assert.ok(thrown instanceof KmsEtcdError);
      assert.equal(thrown.code, "permission-denied");
      assert.match(thrown.remedy ?? "", /get, create, update and delete of the Lease kube-system\/kms-etcd-rotation/);
      return true;
    });
  });
});
