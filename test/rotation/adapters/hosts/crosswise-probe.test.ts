import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { probeCrosswise } from "../../../../rotation/adapters/hosts/crosswise-probe";
import { askPlugin } from "../../../../rotation/adapters/hosts/kms-socket";
import { localHost } from "../../../../rotation/adapters/hosts/local-host";
import { type PlainPlugin, plainPlugin } from "../grpc/plain-plugin";

const soon = () => AbortSignal.timeout(2_000);

describe("the crosswise probe", () => {
  let plugins: PlainPlugin[] = [];
  const started = async (...keys: readonly (readonly [keyId: string, mask: number])[]) => {
    plugins = await Promise.all(keys.map(([keyId, mask]) => plainPlugin(keyId, mask)));
    return plugins.map(({ socketPath }, index) => ({ host: localHost(`cp${index + 1}`), socketPath }));
  };
  afterEach(() => Promise.all(plugins.map((plugin) => plugin.close())));

  it("the same key everywhere => proven, with its key_id and the servers", async () => {
    const hosts = await started(["k", 1], ["k", 1], ["k", 1]);
    assert.deepEqual(await probeCrosswise("p", hosts, soon()), {
      plugin: "p",
      servers: ["cp1", "cp2", "cp3"],
      keyId: "k",
      failure: undefined,
    });
  });

  it("another key under the same key_id => failure that names both hosts", async () => {
    const hosts = await started(["k", 1], ["k", 1], ["k", 2]);
    assert.equal(
      (await probeCrosswise("p", hosts, soon())).failure,
      "cp3 decrypts what cp1 encrypted to something else",
    );
  });

  it("another key_id => failure that names hosts and key_ids", async () => {
    const hosts = await started(["k", 1], ["other", 1]);
    assert.equal((await probeCrosswise("p", hosts, soon())).failure, "cp1 has key_id k, but cp2 has other");
  });

  it("a plugin that refuses or is not well => failure; one that is down or hangs => an error that may pass; each names the host", async () => {
    const hosts = await started(["k", 1], ["k", 1]);
    const second = plugins[1] as PlainPlugin;
    const failure = async () => (await probeCrosswise("p", hosts, AbortSignal.timeout(300))).failure ?? "";
    second.status = { ...second.status, healthz: "vault not reachable" };
    assert.match(await failure(), /^cp2 cannot encrypt: Status says: vault not reachable/);
    second.status = { version: "v9", healthz: "ok", keyId: "k" };
    assert.match(await failure(), /^cp2 cannot encrypt: Status has version "v9"/);
    second.status = { version: "v2beta1", healthz: "ok", keyId: "k" };
    second.refusal = { code: status.FAILED_PRECONDITION, details: "key disabled" };
    assert.match(await failure(), /^cp2 cannot encrypt: .*key disabled/);
    second.refusal = undefined;
    second.hang = true;
    await assert.rejects(failure, { code: "timeout", message: /^cp2 cannot encrypt: cp2: .*in time/ });
    const [first] = hosts;
    assert.ok(first);
    const nowhere = { host: localHost("cp9"), socketPath: "/nonexistent/s" };
    await assert.rejects(probeCrosswise("p", [first, nowhere], soon()), {
      code: "not-found",
      message: /^cp9 cannot encrypt: cp9: cannot connect to \/nonexistent\/s: ENOENT/,
    });
  });

  it("a plugin is asked by the version that the configuration gives it", async () => {
    const [at] = await started(["k", 1]);
    assert.ok(at);
    assert.deepEqual(await askPlugin(at.host, at.socketPath, "v2", soon()), { keyId: "k", problem: undefined });
    assert.deepEqual(await askPlugin(at.host, at.socketPath, "v1", soon()), { keyId: undefined, problem: undefined });
    (plugins[0] as PlainPlugin).status = { version: "v2", healthz: "ok", keyId: "" };
    assert.deepEqual(await askPlugin(at.host, at.socketPath, "v2", soon()), {
      keyId: undefined,
      problem: "Status has no key_id",
    });
  });
});
