import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, statSync, unlinkSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { basename, dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type ServiceError, status } from "@grpc/grpc-js";
import { KmsEtcdError } from "../../../core/errors";
import type { CallContext } from "../../../plugin-server/key-provider";
import { fakeKeyProvider, hang } from "../support/fake-key-provider";
import { useServe } from "../support/served";

async function failure(call: Promise<unknown>): Promise<ServiceError> {
  return call.then(
    () => assert.fail("the call must fail"),
    (error: unknown) => error as ServiceError,
  );
}

/** uid and code of the calls of Encrypt that the log tells of, as soon as it tells of so many. */
async function accounts(log: readonly string[], count: number): Promise<readonly (readonly [string, string])[]> {
  for (const deadline = performance.now() + 3_000; ; ) {
    const calls = log
      .map((line) => JSON.parse(line) as { readonly method?: string; readonly uid?: string; readonly code?: string })
      .filter(({ method }) => method === "encrypt")
      .map(({ uid, code }) => [uid ?? "", code ?? ""] as const);
    if (calls.length >= count || performance.now() > deadline) return calls;
    await delay(5);
  }
}

describe("the KMS server on its socket", () => {
  const serve = useServe();

  it("answers v2: Status, and Decrypt of what Encrypt gave, with uid, key_id and annotations passed on", async () => {
    const provider = fakeKeyProvider();
    const {
      clients: [client],
    } = await serve([provider]);
    assert.ok(client);
    assert.deepEqual(await client.v2.Status({}), { version: "v2", healthz: "ok", keyId: "fake-key" });
    const plaintext = randomBytes(32);
    const seen: unknown[] = [];
    const { encrypt, decrypt } = provider.behaviour;
    provider.behaviour.encrypt = (bytes, call) => {
      seen.push([call.kms, call.uid]);
      return encrypt(bytes, call);
    };
    provider.behaviour.decrypt = (input, call) => {
      seen.push([call.kms, call.uid, input.keyId, { ...input.annotations }]);
      return decrypt(input, call);
    };
    const encrypted = await client.v2.Encrypt({ plaintext, uid: "u1" });
    const { plaintext: again } = await client.v2.Decrypt({ ...encrypted, uid: "u2" });
    assert.deepEqual(again, plaintext);
    assert.deepEqual(seen, [
      ["v2", "u1"],
      ["v2", "u2", "fake-key", { "fake.example.io": Buffer.from("1") }],
    ]);
  });

  it("answers v1 on the same socket: Version, and Decrypt of what Encrypt gave", async () => {
    const {
      clients: [client],
    } = await serve([fakeKeyProvider()], { kind: "aws" });
    assert.ok(client);
    assert.deepEqual(await client.v1.Version({ version: "v1beta1" }), {
      version: "v1beta1",
      runtimeName: "AWSKMS",
      runtimeVersion: "v1.2.3",
    });
    const plain = randomBytes(32);
    const { cipher } = await client.v1.Encrypt({ version: "v1beta1", plain });
    assert.deepEqual((await client.v1.Decrypt({ version: "v1beta1", cipher })).plain, plain);
  });

  for (const [name, code, expected] of [
    ["a bad request", "invalid-input", status.INVALID_ARGUMENT],
    ["damaged ciphertext", "corrupt", status.INVALID_ARGUMENT],
    ["a disabled key", "key-unusable", status.FAILED_PRECONDITION],
    ["a denied key", "permission-denied", status.PERMISSION_DENIED],
    ["a key that is gone", "not-found", status.NOT_FOUND],
    ["a throttled key", "throttled", status.RESOURCE_EXHAUSTED],
    ["a service out of reach", "unreachable", status.UNAVAILABLE],
    ["a slow service", "timeout", status.DEADLINE_EXCEEDED],
  ] as const) {
    it(`answers ${name} with ${status[expected]} and the error's text and remedy`, async () => {
      const provider = fakeKeyProvider();
      provider.behaviour.decrypt = () =>
        Promise.reject(new KmsEtcdError(code, "what went wrong: ", { remedy: " do that " }));
      const {
        clients: [client],
      } = await serve([provider]);
      const error = await failure(
        client?.v2.Decrypt({ ciphertext: Buffer.from("c"), uid: "u", keyId: "k", annotations: {} }) ?? assert.fail(),
      );
      assert.equal(error.code, expected);
      assert.equal(error.details, "what went wrong: ;  do that");
    });
  }

  it("tells the caller nothing about an error that it does not know, and the log everything", async () => {
    const provider = fakeKeyProvider();
    provider.behaviour.encrypt = () => Promise.reject(new TypeError("internals"));
    const {
      clients: [client],
      log,
    } = await serve([provider]);
    const error = await failure(client?.v2.Encrypt({ plaintext: Buffer.from("p"), uid: "uid-7" }) ?? assert.fail());
    assert.equal(error.code, status.INTERNAL);
    assert.equal(error.details, "the plugin failed in an unexpected way; its log says more");
    const line = log.find((entry) => entry.includes("a call failed"));
    assert.match(line ?? "", /TypeError: internals.*"uid":"uid-7"|"uid":"uid-7".*TypeError: internals/);
  });

  it("refuses an empty or oversized field before the key sees it, and health stays as it is", async () => {
    const provider = fakeKeyProvider();
    let asked = 0;
    provider.behaviour.encrypt = () => Promise.reject(new Error(`asked ${++asked}`));
    provider.behaviour.decrypt = () => Promise.reject(new Error(`asked ${++asked}`));
    const {
      clients: [client],
    } = await serve([provider]);
    assert.ok(client);
    const decrypt = (ciphertext: Uint8Array) => client.v2.Decrypt({ ciphertext, uid: "", keyId: "k", annotations: {} });
    for (const [call, text] of [
      [client.v2.Encrypt({ plaintext: Buffer.alloc(0), uid: "" }), "the request has an empty plaintext"],
      [
        client.v2.Encrypt({ plaintext: Buffer.alloc(4_097), uid: "" }),
        "the request's plaintext has 4097 bytes, more than 4096",
      ],
      [client.v1.Encrypt({ version: "v1beta1", plain: Buffer.alloc(0) }), "the request has an empty plaintext"],
      [decrypt(Buffer.alloc(0)), "the request has an empty ciphertext"],
      [decrypt(Buffer.alloc(6_146)), "the request's ciphertext has 6146 bytes, more than 6145"],
      [client.v1.Decrypt({ version: "v1beta1", cipher: Buffer.alloc(0) }), "the request has an empty ciphertext"],
    ] as const) {
      const error = await failure(call);
      assert.deepEqual([error.code, error.details], [status.INVALID_ARGUMENT, text]);
    }
    const huge = await failure(client.v2.Encrypt({ plaintext: Buffer.alloc(70_000), uid: "" }));
    assert.equal(huge.code, status.RESOURCE_EXHAUSTED);
    assert.equal(asked, 0);
    assert.equal((await client.v2.Status({})).healthz, "ok");
    assert.equal(provider.probes, 1);
  });

  it("ends a call that the key does not answer, and lets the provider know", async () => {
    const provider = fakeKeyProvider();
    let signal: AbortSignal | undefined;
    provider.behaviour.encrypt = (_plaintext, call: CallContext) => {
      signal = call.signal;
      return new Promise(() => {});
    };
    const {
      clients: [client],
    } = await serve([provider], { callTimeoutMs: 50 });
    const error = await failure(client?.v2.Encrypt({ plaintext: Buffer.from("p"), uid: "u" }) ?? assert.fail());
    assert.deepEqual([error.code, error.details], [status.DEADLINE_EXCEEDED, "the key did not answer within 50 ms"]);
    assert.equal(signal?.aborted, true);
  });

  it("aborts the provider's call when the caller goes away", async () => {
    const provider = fakeKeyProvider();
    let aborted: (value: true) => void = () => {};
    const seen = new Promise<true>((resolve) => {
      aborted = resolve;
    });
    const caller = new AbortController();
    provider.behaviour.encrypt = (_plaintext, call) => {
      call.signal.addEventListener("abort", () => aborted(true), { once: true });
      caller.abort();
      return hang(call.signal);
    };
    const {
      clients: [client],
    } = await serve([provider]);
    const error = await failure(
      client?.v2.Encrypt({ plaintext: Buffer.from("p"), uid: "u" }, { signal: caller.signal }) ?? assert.fail(),
    );
    assert.equal(error.code, status.CANCELLED);
    assert.equal(await seen, true);
  });

  it("works on a hundred calls of a connection at once, and lets the others wait on the caller's side", async () => {
    const provider = fakeKeyProvider();
    const { encrypt } = provider.behaviour;
    let [underWay, most] = [0, 0];
    provider.behaviour.encrypt = async (plaintext, call) => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, 5));
      underWay--;
      return encrypt(plaintext, call);
    };
    const {
      clients: [client],
    } = await serve([provider]);
    // grpc-js opens one connection for all calls of a client.
    await client?.v2.Status({});
    await Promise.all(
      Array.from({ length: 500 }, () => client?.v2.Encrypt({ plaintext: Buffer.from("p"), uid: "u" }) ?? assert.fail()),
    );
    assert.ok(most > 10 && most <= 100, `${most} at once`);
  });

  it("accounts for a call once, also where the key answers after its end", async () => {
    const provider = fakeKeyProvider();
    let answerLate: () => void = () => {};
    const { encrypt } = provider.behaviour;
    provider.behaviour.encrypt = async (plaintext, call) => {
      await new Promise<void>((resolve) => {
        answerLate = resolve;
      });
      return encrypt(plaintext, call);
    };
    const {
      clients: [client],
      log,
    } = await serve([provider], { callTimeoutMs: 50 });
    assert.ok(client);
    await failure(client.v2.Encrypt({ plaintext: Buffer.from("p"), uid: "late" }));
    answerLate();
    provider.behaviour.encrypt = encrypt;
    await client.v2.Encrypt({ plaintext: Buffer.from("p"), uid: "next" });
    assert.deepEqual(await accounts(log, 2), [
      ["late", "DEADLINE_EXCEEDED"],
      ["next", "OK"],
    ]);
  });

  it("accounts for an answer that can't be sent as a failure, and for one that nobody waits for as cancelled", async () => {
    const provider = fakeKeyProvider();
    const { encrypt } = provider.behaviour;
    provider.behaviour.encrypt = async () => ({ ciphertext: Buffer.from("c"), keyId: null as never, annotations: {} });
    const {
      clients: [client],
      log,
    } = await serve([provider]);
    assert.ok(client);
    const error = await failure(client.v2.Encrypt({ plaintext: Buffer.from("p"), uid: "unsendable" }));
    assert.equal(error.code, status.INTERNAL);
    const caller = new AbortController();
    provider.behaviour.encrypt = async (plaintext, call) => {
      const left = once(call.signal, "abort");
      caller.abort();
      await left;
      return encrypt(plaintext, call);
    };
    await failure(client.v2.Encrypt({ plaintext: Buffer.from("p"), uid: "left" }, { signal: caller.signal }));
    assert.deepEqual(await accounts(log, 2), [
      ["unsendable", "INTERNAL"],
      ["left", "CANCELLED"],
    ]);
  });

  it("makes Status fail while the key can't be used, and never Encrypt because of it", async () => {
    const provider = fakeKeyProvider();
    provider.behaviour.probe = () =>
      Promise.reject(new KmsEtcdError("key-unusable", "the key is disabled", { remedy: "enable it" }));
    const {
      clients: [client],
    } = await serve([provider]);
    const error = await failure(client?.v2.Status({}) ?? assert.fail());
    assert.deepEqual([error.code, error.details], [status.FAILED_PRECONDITION, "the key is disabled; enable it"]);
    await client?.v2.Encrypt({ plaintext: Buffer.from("p"), uid: "u" });
  });

  it("waits with the first Status for the first probe", async () => {
    const provider = fakeKeyProvider();
    let finish: () => void = () => {};
    provider.behaviour.probe = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    const {
      clients: [client],
    } = await serve([provider]);
    const answer = client?.v2.Status({});
    await client?.v2.Encrypt({ plaintext: Buffer.from("p"), uid: "u" });
    finish();
    assert.equal((await answer)?.healthz, "ok");
  });

  it("has a socket that others can't reach, and removes it when it stops", async () => {
    const umask = process.umask(0);
    try {
      const {
        plugin,
        sockets: [socket = ""],
      } = await serve([fakeKeyProvider()]);
      assert.equal(statSync(socket).mode & 0o777, 0o660);
      assert.equal(process.umask(0), 0, "as it was before");
      await plugin.stop();
      assert.equal(existsSync(socket), false);
    } finally {
      process.umask(umask);
    }
  });

  it("knows when the socket at its path is not its own any more", async () => {
    const {
      plugin,
      sockets: [socket = ""],
    } = await serve([fakeKeyProvider()]);
    assert.equal(await plugin.servers[0]?.ownsSocket(), true);
    unlinkSync(socket);
    assert.equal(await plugin.servers[0]?.ownsSocket(), false);
    await writeFile(socket, "");
    assert.equal(await plugin.servers[0]?.ownsSocket(), false);
  });

  it("stops without taking away the socket that another plugin serves at its path by now", async () => {
    const {
      plugin,
      sockets: [socket = ""],
    } = await serve([fakeKeyProvider("first")]);
    unlinkSync(socket);
    const other = createServer((connection) => connection.end("the other one"));
    await new Promise<void>((resolve) => other.listen(socket, resolve));
    try {
      const { ino } = statSync(socket);
      await plugin.stop();
      assert.equal(statSync(socket).ino, ino);
      const connection = connect(socket);
      let heard = "";
      connection.on("data", (chunk) => {
        heard += chunk.toString();
      });
      await once(connection, "close");
      assert.equal(heard, "the other one");
      assert.deepEqual(readdirSync(dirname(socket)), [basename(socket)], "no second name is left");
    } finally {
      await new Promise((resolve) => other.close(resolve));
    }
  });

  it("lets a call that is under way end when it stops, and takes no new one", async () => {
    const provider = fakeKeyProvider();
    let answer: () => void = () => {};
    let entered: () => void = () => {};
    const underWay = new Promise<void>((resolve) => {
      entered = resolve;
    });
    const { encrypt } = provider.behaviour;
    provider.behaviour.encrypt = async (plaintext, call) => {
      entered();
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return encrypt(plaintext, call);
    };
    const {
      plugin,
      clients: [client],
    } = await serve([provider]);
    const call = client?.v2.Encrypt({ plaintext: Buffer.from("p"), uid: "u" });
    await underWay;
    const stopped = plugin.stop();
    const late = await failure(client?.v2.Status({}, { deadlineMs: 300 }) ?? assert.fail());
    assert.ok([status.UNAVAILABLE, status.DEADLINE_EXCEEDED].includes(late.code), late.message);
    answer();
    assert.equal((await call)?.keyId, "fake-key");
    await stopped;
    assert.equal(provider.closed, true);
  });

  it("stops at its limit when a call does not end", async () => {
    const provider = fakeKeyProvider();
    let entered: () => void = () => {};
    const underWay = new Promise<void>((resolve) => {
      entered = resolve;
    });
    provider.behaviour.encrypt = () => {
      entered();
      return new Promise(() => {});
    };
    const {
      plugin,
      clients: [client],
    } = await serve([provider], { drainTimeoutMs: 50 });
    const call = failure(client?.v2.Encrypt({ plaintext: Buffer.from("p"), uid: "u" }) ?? assert.fail());
    await underWay;
    const started = performance.now();
    await plugin.stop();
    assert.ok(performance.now() - started < 1_000);
    assert.ok([status.CANCELLED, status.UNAVAILABLE].includes((await call).code));
  });

  it("stops at once when nothing but connections that say nothing is left", async () => {
    const {
      plugin,
      sockets: [socket = ""],
    } = await serve([fakeKeyProvider()], { drainTimeoutMs: 4_000 });
    const connections = [connect(socket), connect(socket)];
    for (const connection of connections) connection.on("error", () => undefined);
    await Promise.all(connections.map((connection) => once(connection, "connect")));
    connections[1]?.write("PRI * HTTP/2.0\r\n");
    const started = performance.now();
    await plugin.stop();
    assert.ok(performance.now() - started < 2_000, "must not take the drain timeout");
    for (const connection of connections) connection.destroy();
  });

  it("never writes plaintext or ciphertext to its log, at any level", async () => {
    const {
      clients: [client],
      log,
    } = await serve([fakeKeyProvider()], { log: { format: "json", level: "trace" } });
    const plaintext = Buffer.from(randomBytes(16).toString("hex"));
    const encrypted = await client?.v2.Encrypt({ plaintext, uid: "uid-1" });
    assert.ok(encrypted);
    await client?.v2.Decrypt({ ...encrypted, uid: "uid-2" });
    assert.ok(log.some((line) => line.includes('"uid":"uid-1"')) && log.some((line) => line.includes('"uid":"uid-2"')));
    const all = log.join("");
    for (const bytes of [plaintext, Buffer.from(encrypted.ciphertext)]) {
      for (const encoding of ["utf8", "hex", "base64", "latin1"] as const) {
        assert.ok(!all.includes(bytes.toString(encoding).slice(0, 12)), encoding);
      }
    }
  });
});
