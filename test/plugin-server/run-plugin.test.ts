import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, unlinkSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { type ServiceError, status } from "@grpc/grpc-js";
import { KmsEtcdError } from "../../core/errors";
import type { ListenAddress } from "../../plugin-server/config/operation-config";
import { fakeKeyProvider } from "./support/fake-key-provider";
import { useServe } from "./support/served";

const host = "127.0.0.1";
/** The system picks a port; flags can't say this, where port 0 turns the server off. */
const anyPort: ListenAddress = { host, port: 0, explicit: true };

async function get(port: number | undefined, path: string, method = "GET"): Promise<readonly [number, string]> {
  const response = await fetch(`http://${host}:${port}${path}`, { method });
  return [response.status, await response.text()];
}

describe("a running plugin", () => {
  const serve = useServe();
  let taken: Server;
  let takenPort: number;
  before(async () => {
    taken = createServer();
    taken.listen(0, host);
    await once(taken, "listening");
    takenPort = (taken.address() as AddressInfo).port;
  });
  after(() => taken.close());

  const unusable = () => Promise.reject(new KmsEtcdError("key-unusable", "the key is disabled: request 4711"));

  it("serves /healthz, /livez and /metrics on one port, and nothing else", async () => {
    const { plugin } = await serve([fakeKeyProvider()], { health: anyPort });
    const port = plugin.health?.port;
    assert.deepEqual(await get(port, "/healthz"), [200, "ok"]);
    assert.deepEqual(await get(port, "/livez?verbose"), [200, "ok"]);
    assert.deepEqual(await get(port, "/healthz", "HEAD"), [200, ""]);
    assert.equal((await get(port, "/metrics"))[0], 200);
    assert.equal((await get(port, "/"))[0], 404);
    assert.equal((await get(port, "/constructor"))[0], 404);
    assert.equal((await get(port, "/healthz", "POST"))[0], 405);
  });

  for (const target of ["//", "http://[", "*", "?", "/%", "//a:b@c"]) {
    it(`answers a request for ${target} with "not found", and goes on`, async () => {
      const { plugin } = await serve([fakeKeyProvider()], { health: anyPort });
      const port = plugin.health?.port ?? 0;
      const socket = connect(port, host);
      socket.end(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk.toString();
      });
      await once(socket, "close");
      assert.match(text, /^HTTP\/1\.1 40[04] /);
      assert.deepEqual(await get(port, "/healthz"), [200, "ok"]);
    });
  }

  it("names a key in /metrics and /healthz as it is called now, not as the flags spelt it", async () => {
    const provider = fakeKeyProvider("Key-1");
    const { plugin } = await serve([provider], { health: anyPort });
    await get(plugin.health?.port, "/healthz");
    provider.keyId = "key-1";
    const [, metrics] = await get(plugin.health?.port, "/metrics");
    assert.match(metrics, /kms_etcd_key_usable\{key_id="key-1"\} 1/);
    assert.doesNotMatch(metrics, /kms_etcd_key_usable\{key_id="Key-1"\}/);
  });

  it("has a health of its own for each key, and sees a missing second key before its first use", async () => {
    const [good, bad] = [fakeKeyProvider("key-1"), fakeKeyProvider("key-2")];
    bad.behaviour.probe = () => Promise.reject(new KmsEtcdError("not-found", "no such key"));
    const {
      plugin,
      clients: [first, second],
    } = await serve([good, bad], { kind: "aws", health: anyPort });
    assert.equal((await first?.v2.Status({}))?.keyId, "key-1");
    await assert.rejects(
      second?.v2.Status({}) ?? assert.fail(),
      (error: ServiceError) => error.code === status.NOT_FOUND,
    );
    assert.deepEqual(await get(plugin.health?.port, "/healthz"), [503, "key key-2: not-found\n"]);
    assert.match(
      (await get(plugin.health?.port, "/metrics"))[1],
      /^kms_etcd_key_usable\{key_id="key-1"\} 1\nkms_etcd_key_usable\{key_id="key-2"\} 0$/m,
    );
    await first?.v2.Encrypt({ plaintext: Buffer.from("p"), uid: "u" });
  });

  it("says on /healthz which key is in trouble with one word, and stays alive on /livez", async () => {
    const provider = fakeKeyProvider();
    provider.behaviour.probe = unusable;
    const { plugin } = await serve([provider], { health: anyPort });
    assert.deepEqual(await get(plugin.health?.port, "/healthz"), [503, "key fake-key: key-unusable\n"]);
    assert.deepEqual(await get(plugin.health?.port, "/livez"), [200, "ok"]);
  });

  it("makes one probe for a hundred health requests and Status calls", async () => {
    const provider = fakeKeyProvider();
    const {
      plugin,
      clients: [client],
    } = await serve([provider], { health: anyPort });
    const ask = (): readonly Promise<unknown>[] => [
      get(plugin.health?.port, "/healthz"),
      client?.v2.Status({}) ?? assert.fail(),
    ];
    await Promise.all(Array.from({ length: 100 }, ask).flat());
    assert.equal(provider.probes, 1);
  });

  it("serves metrics beside health, with a warning, when its default metrics port is taken", async () => {
    const { plugin, log } = await serve([fakeKeyProvider()], {
      health: anyPort,
      metrics: { host, port: takenPort, explicit: false },
    });
    assert.equal(plugin.metrics, undefined);
    assert.equal((await get(plugin.health?.port, "/metrics"))[0], 200);
    assert.ok(
      log.some((line) => line.includes('"level":"warn"') && line.includes("the default metrics port is taken")),
    );
  });

  it("goes on without health, with a warning, when its default health port is taken", async () => {
    const {
      plugin,
      clients: [client],
      log,
    } = await serve([fakeKeyProvider()], { health: { host, port: takenPort, explicit: false } });
    assert.equal(plugin.health, undefined);
    assert.equal((await client?.v2.Status({}))?.healthz, "ok");
    assert.ok(log.some((line) => line.includes("the default health port is taken")));
  });

  it("says that metrics are served nowhere when both default ports are taken", async () => {
    const { plugin, log } = await serve([fakeKeyProvider()], {
      health: { host, port: takenPort, explicit: false },
      metrics: { host, port: takenPort, explicit: false },
    });
    assert.deepEqual([plugin.health, plugin.metrics], [undefined, undefined]);
    assert.ok(log.some((line) => line.includes("the default metrics port is taken: metrics are not served")));
    assert.ok(!log.some((line) => line.includes("beside health")));
  });

  it("serves metrics on a port of their own, and then not beside health", async () => {
    const { plugin } = await serve([fakeKeyProvider()], { health: anyPort, metrics: anyPort });
    assert.equal((await get(plugin.metrics?.port, "/metrics"))[0], 200);
    assert.equal((await get(plugin.health?.port, "/metrics"))[0], 404);
  });

  for (const which of ["health", "metrics"] as const) {
    it(`does not start when a ${which} port that was named is taken`, async () => {
      const provider = fakeKeyProvider();
      const start = serve([provider], { health: anyPort, [which]: { host, port: takenPort, explicit: true } });
      await assert.rejects(
        start,
        (error) =>
          error instanceof KmsEtcdError && error.code === "conflict" && error.message.includes(`${host}:${takenPort}`),
      );
      assert.equal(provider.closed, true);
    });
  }

  it("leaves nothing behind when the second of its sockets is served by another process", async () => {
    const {
      sockets: [served = ""],
      clients: [client],
    } = await serve([fakeKeyProvider()]);
    const providers = [fakeKeyProvider("key-1"), fakeKeyProvider("key-2")];
    const fresh = `${served}.2`;
    await assert.rejects(serve(providers, { sockets: [fresh, served] }), /a running process serves/);
    assert.equal(existsSync(fresh), false);
    assert.deepEqual(
      providers.map(({ closed }) => closed),
      [true, true],
    );
    assert.equal((await client?.v2.Status({}))?.keyId, "fake-key");
  });

  it("fails /livez when its socket is gone, so that kubelet restarts it", async () => {
    const {
      plugin,
      sockets: [socket = ""],
    } = await serve([fakeKeyProvider()], { health: anyPort });
    unlinkSync(socket);
    assert.deepEqual(await get(plugin.health?.port, "/livez"), [503, `the socket ${socket} is not ours any more\n`]);
  });

  it("can be stopped twice", async () => {
    const { plugin } = await serve([fakeKeyProvider()], { health: anyPort });
    await Promise.all([plugin.stop(), plugin.stop()]);
  });
});
