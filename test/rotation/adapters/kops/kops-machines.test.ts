import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createKopsMachines, type KopsMachines } from "../../../../rotation/adapters/kops/kops-machines";
import type { KopsInstance } from "../../../../rotation/adapters/kops/kops-output";
import { secretHash } from "../../../../rotation/adapters/kops/secret-text";
import { addObjects, type FakeApiServer, fakeApiServer, fakeStore } from "../kubernetes/api-server-fake";
import { seedConfiguration } from "./seed-002";

const never = new AbortController().signal;
const idHash = (name: string) => `sha256:${createHash("sha256").update(name).digest("hex")}`;

/** What a machine's API server says of itself. */
interface Said {
  version: string;
  hash?: string;
  lease: string;
}

describe("kOps' machines by their own API servers", () => {
  const store = fakeStore();
  const servers = new Map<string, FakeApiServer>();
  const leases = new Map<string, () => string>();
  let machines: KopsMachines;

  async function boot(id: string, said: Said): Promise<void> {
    const server = await fakeApiServer(store, id, "new");
    server.intercept = (_request, path) => {
      if (path.startsWith("/readyz")) return { status: 500, body: "[-]kms-providers failed" };
      if (path === "/version") return { status: 200, body: { gitVersion: said.version } };
      if (path === "/metrics") {
        const name = "apiserver_encryption_config_controller_";
        const labels = `apiserver_id_hash="${idHash(said.lease)}"`;
        const hash =
          said.hash === undefined
            ? `${name}automatic_reloads_total{${labels},status="failure"} 0`
            : `${name}last_config_info{${labels},hash="${said.hash}"} 1`;
        return { status: 200, body: `# x\n${hash}\nprocess_start_time_seconds 12\n` };
      }
      if (!path.includes("/leases")) return undefined;
      const items = [...leases].map(([lease, renewTime]) => ({
        metadata: { name: lease, labels: { "kubernetes.io/hostname": `host-${lease}` } },
        spec: { renewTime: renewTime() },
      }));
      return { status: 200, body: { items }, headers: { date: new Date().toUTCString() } };
    };
    servers.set(id, server);
  }

  const instances = (...ids: string[]): readonly KopsInstance[] =>
    ids.map((id) => ({
      ...{ id, group: "g", isApiServer: true, needsUpdate: false, nodeName: undefined },
      ...{ internalAddress: "", externalAddress: "" },
    }));

  beforeEach(() => {
    machines = createKopsMachines({
      addressOf: ({ id }) => ({ name: id, url: servers.get(id)?.url ?? "http://127.0.0.1:9", tls: { ca: "" } }),
      limitMs: 1_500,
      leaseWatchMs: 2_500,
    });
  });
  afterEach(async () => {
    await machines.close();
    for (const server of servers.values()) await server.close();
    servers.clear();
    leases.clear();
    store.objects.clear();
  });

  it("the hash that a server names => with its text where that is known; a server that names none has none, or is too old to say", async () => {
    const text = seedConfiguration;
    await boot("known", { version: "v1.36.2", hash: secretHash(text), lease: "a" });
    await boot("other", { version: "v1.36.2", hash: "sha256:11", lease: "b" });
    await boot("none", { version: "v1.34.0", lease: "c" });
    await boot("old", { version: "v1.33.9", lease: "d" });
    const known = new Map([[secretHash(text), text]]);
    const looks = await machines.look.look(instances("known", "other", "none", "old"), known, never);
    assert.deepEqual(
      looks.map(({ loaded }) => [loaded.kind, loaded.kind === "hash" && loaded.known?.text === text]),
      [
        ["hash", true],
        ["hash", false],
        ["none", false],
        ["unknown", false],
      ],
    );
    assert.deepEqual(
      looks.map(({ processStartedAt, unreachable }) => [processStartedAt, unreachable]),
      Array(4).fill([12_000, undefined]),
    );
  });

  it("a machine whose server does not answer => unreachable, with the reason; one that answers again is seen", async () => {
    const [look] = await machines.look.look(instances("away"), new Map(), never);
    assert.match(look?.unreachable ?? "", /ECONNREFUSED|timeout/i);
    assert.equal(look?.loaded.kind, "unknown");
    await boot("away", { version: "v1.36.2", lease: "a" });
    const [again] = await machines.look.look(instances("away"), new Map(), never);
    assert.equal(again?.unreachable, undefined);
  });

  it("objects => through the servers of the latest look, also after every machine was replaced", async () => {
    addObjects(store, "secrets", 3, "old");
    const target = { resource: "secrets", key: { provider: "new" } };
    for (const id of ["first", "second"]) {
      await boot(id, { version: "v1.36.2", lease: id });
      await machines.look.look(instances(id), new Map(), never);
      const { objects } =
        (
          await machines.stored.count(
            [target],
            [{ server: id, loadedHash: "", processStartedAt: 0 }],
            () => undefined,
            never,
          )
        ).resources[0] ?? {};
      assert.equal(objects, 3);
      const result = await machines.stored.rewrite([target], [id], () => undefined, never);
      assert.deepEqual([result.offered, result.failures], [3, []]);
    }
    assert.ok(servers.get("second")?.requests.some((request) => request.startsWith("PATCH")));
  });

  it("a Lease of none of the machines => a stranger if it is renewed, and nothing if it is not, or was a machine's before", async () => {
    const now = () => new Date().toISOString();
    const stopped = now();
    await boot("one", { version: "v1.36.2", lease: "lease-one" });
    await boot("two", { version: "v1.36.2", lease: "lease-two" });
    leases.set("lease-one", now);
    leases.set("lease-two", now);
    await machines.look.look(instances("one", "two"), new Map(), never);
    assert.deepEqual(await machines.look.strangers(instances("one", "two"), never), []);
    // Replaced: its Lease looks alive for a while.
    await machines.look.look(instances("one"), new Map(), never);
    assert.deepEqual(await machines.look.strangers(instances("one"), never), []);
    leases.set("lease-dead", () => stopped);
    leases.set("lease-stranger", now);
    assert.deepEqual(await machines.look.strangers(instances("one"), never), ["host-lease-stranger"]);
  });
});
