import assert from "node:assert/strict";
import { CryptographyClient } from "@azure/keyvault-keys";
import { type ErrorCode, KmsEtcdError } from "../../../../core/errors";
import type { KeyProvider } from "../../../../plugin-server/key-provider";
import { createConnections } from "../../../../plugin-server/providers/azure-key-vault/connections";
import { type Fault, throttledAnswer, vaultError } from "../../../fakes/azure/faults";
import { type AzureHost, callContext, startAzureHost } from "./azure-host";

const plaintext = Buffer.from("0123456789abcdef0123456789abcdef");

describe("the Azure Key Vault provider, when the vault has a bad day", function () {
  this.timeout(20_000);
  let host: AzureHost;
  let provider: KeyProvider;
  before(async () => {
    host = await startAzureHost();
    provider = await host.open();
    await provider.probe(AbortSignal.timeout(2_900));
  });
  afterEach(() => {
    host.azure.faults.clear();
    Object.assign(host.key, {
      enabled: true,
      notBefore: undefined,
      expires: undefined,
      keyOps: ["encrypt", "decrypt"],
    });
    host.vault.networkRule = undefined;
    host.vault.keys.recover(host.key.name);
    host.vault.grant(host.identity.objectId, "encrypt", "decrypt");
    host.azure.clockAheadMs = 0;
  });
  after(() => host.close());

  /** Encrypts and expects an error of this code in less than the API server's 3 s. */
  async function failingEncrypt(
    code: ErrorCode,
    kms: "v1" | "v2" = "v2",
    by: KeyProvider = provider,
  ): Promise<KmsEtcdError> {
    const started = performance.now();
    const error = await by.encrypt(plaintext, callContext(kms)).then(
      () => assert.fail("the call must fail"),
      (thrown: unknown) => thrown,
    );
    assert.ok(performance.now() - started < 3_000, "must end before the API server gives up");
    assert.ok(error instanceof KmsEtcdError, String(error));
    assert.equal(error.code, code, error.message);
    assert.ok(error.remedy !== undefined && error.remedy !== "");
    return error;
  }

  async function durationOf(on: AzureHost, by: KeyProvider, fault: Fault, times = 1): Promise<number> {
    on.azure.faults.order("encrypt", fault, times);
    const started = performance.now();
    await by.encrypt(plaintext, callContext());
    return performance.now() - started;
  }

  function asked(path: RegExp): number {
    return host.azure.requests.filter((request) => path.test(request.path)).length;
  }

  describe("because of the key", () => {
    const troubles: readonly (readonly [string, () => void, RegExp])[] = [
      ["is disabled", () => (host.key.enabled = false), /is disabled .*KeyDisabled/],
      ["is denied to this identity", () => host.vault.revoke(host.identity.objectId), /denied .*ForbiddenByRbac/],
      ["is deleted", () => host.vault.keys.delete(host.key.name), /has no key .*KeyNotFound/],
      ["has expired", () => (host.key.expires = Date.now() - 1_000), /outside its period of validity/],
      ["is not valid yet", () => (host.key.notBefore = Date.now() + 60_000), /outside its period of validity/],
      ["may not encrypt", () => (host.key.keyOps = ["wrapKey", "unwrapKey"]), /does not permit encrypt/],
      [
        "is behind a firewall",
        () => (host.vault.networkRule = "ForbiddenByFirewall"),
        /network rules refuse this host/,
      ],
    ];
    for (const [trouble, cause, message] of troubles) {
      it(`a key that ${trouble} cannot be used, and its probe says so`, async () => {
        cause();
        const before = asked(/encrypt$/);
        for (const kms of ["v1", "v2"] as const)
          assert.match((await failingEncrypt("key-unusable", kms)).message, message);
        assert.equal(asked(/encrypt$/) - before, 2, "asking again cannot help");
        await assert.rejects(provider.probe(AbortSignal.timeout(2_900)), { code: "key-unusable" });
      });
    }

    it("a version that does not exist cannot be used, and the error names it", async () => {
      const version = "0".repeat(32);
      const error = await failingEncrypt("key-unusable", "v2", await host.open({ keyVersion: version }));
      assert.ok(error.message.includes(`/keys/mykey/${version}`), error.message);
    });

    it("an expired key still decrypts, as in Key Vault", async () => {
      const encrypted = await provider.encrypt(plaintext, callContext());
      host.key.expires = Date.now() - 1_000;
      assert.deepEqual(Buffer.from(await provider.decrypt(encrypted, callContext())), plaintext);
    });

    it("a key that is usable again is used again at once", async () => {
      host.key.enabled = false;
      await failingEncrypt("key-unusable");
      host.key.enabled = true;
      await provider.probe(AbortSignal.timeout(2_900));
    });
  });

  describe("for a moment", () => {
    const passing: readonly (readonly [string, Fault, number])[] = [
      ["throttled without Retry-After", throttledAnswer(), 2],
      ["throttled with Retry-After: 1", throttledAnswer({ "retry-after": "1" }), 1],
      ["status 500", { kind: "answer", answer: vaultError(500, "InternalServerError", "") }, 2],
      [
        "status 503 with Retry-After: 0",
        { kind: "answer", answer: { status: 503, headers: { "retry-after": "0" }, body: "" } },
        2,
      ],
      ["a reset connection", { kind: "reset" }, 2],
      ["an answer that never comes", { kind: "hang" }, 1],
      ["an answer that stops in the middle", { kind: "stall" }, 1],
      ["an answer that is late by 1.5 s", { kind: "slow", ms: 1_500 }, 1],
      [
        "a page of a proxy",
        { kind: "answer", answer: { status: 200, headers: { "content-type": "text/html" }, body: "<html>" } },
        1,
      ],
      ["half an answer", { kind: "change", change: (answer) => ({ ...answer, body: answer.body.slice(0, 100) }) }, 1],
      ["an answer without a key", { kind: "change", change: (answer) => ({ ...answer, body: '{"value":"AAAA"}' }) }, 1],
    ];
    // All at once, each on a host of its own: they mostly wait.
    const calls = new Map<string, Promise<number>>();
    const hosts: AzureHost[] = [];
    before(async () => {
      for (const [name, fault, times] of passing) {
        const own = await startAzureHost();
        hosts.push(own);
        const ownProvider = await own.open();
        await ownProvider.probe(AbortSignal.timeout(2_900));
        calls.set(name, durationOf(own, ownProvider, fault, times));
      }
    });
    after(() => Promise.all(hosts.map((own) => own.close())));

    for (const [name] of passing) {
      it(`${name} costs time, not the call`, async () => {
        const took = (await calls.get(name)) ?? Number.NaN;
        assert.ok(took < 2_900, `took ${took} ms`);
      });
    }

    it("waits as long as Retry-After says, no less", async () => {
      const took = await durationOf(host, provider, throttledAnswer({ "retry-after": "1" }));
      assert.ok(took >= 1_000, `took ${took} ms`);
    });

    it("takes a Retry-After date by the vault's clock", async () => {
      host.azure.clockAheadMs = 3_600_000;
      const until = new Date(Date.now() + 3_600_000 + 1_000).toUTCString();
      assert.ok((await durationOf(host, provider, throttledAnswer({ "retry-after": until }))) < 2_900);
    });

    it("a connection that the vault has closed while it was idle costs nothing", async () => {
      await provider.encrypt(plaintext, callContext());
      host.azure.closeIdleConnections();
      await provider.encrypt(plaintext, callContext());
    });
  });

  describe("for longer than a call may take", () => {
    const lasting: readonly (readonly [string, Fault, ErrorCode, RegExp])[] = [
      ["throttled", throttledAnswer(), "throttled", /throttles/],
      [
        "status 500",
        { kind: "answer", answer: vaultError(500, "InternalServerError", "") },
        "unreachable",
        /status 500/,
      ],
      [
        "reset connections",
        { kind: "reset" },
        "unreachable",
        /connection to Key Vault at myvault.vault.azure.net failed/,
      ],
      ["answers that never come", { kind: "hang" }, "timeout", /did not answer in time/],
      ["answers that stop in the middle", { kind: "stall" }, "timeout", /did not answer in time/],
      ["answers that come too late", { kind: "slow", ms: 4_000 }, "timeout", /did not answer in time/],
      [
        "answers of something else",
        { kind: "answer", answer: { status: 200, headers: { "content-type": "text/html" }, body: "<html>" } },
        "unreachable",
        /not Key Vault: the answer is not JSON/,
      ],
    ];
    const calls = new Map<string, Promise<KmsEtcdError>>();
    const hosts: AzureHost[] = [];
    before(async () => {
      for (const [name, fault, code] of lasting) {
        const own = await startAzureHost();
        hosts.push(own);
        const ownProvider = await own.open();
        await ownProvider.probe(AbortSignal.timeout(2_900));
        own.azure.faults.order("encrypt", fault, 1_000);
        const call = failingEncrypt(code, "v2", ownProvider);
        // Looked at below; until then it is no unhandled rejection.
        call.catch(() => undefined);
        calls.set(name, call);
      }
    });
    after(() => Promise.all(hosts.map((own) => own.close())));

    for (const [index, [name, , , message]] of lasting.entries()) {
      it(`${name}: the call ends in time and says why, after a few attempts`, async () => {
        assert.match((await calls.get(name))?.message ?? "", message);
        const attempts =
          hosts[index]?.azure.requests.filter((request) => request.path.endsWith("/encrypt")).length ?? 0;
        // The probe before has taken two: one for the challenge.
        assert.ok(attempts > 3 && attempts <= 9, `${attempts} requests`);
      });
    }

    it("a Retry-After beyond the call's time ends the call at once, and the error says how long", async () => {
      host.azure.faults.order("encrypt", throttledAnswer({ "retry-after": "17" }), 1_000);
      const started = performance.now();
      assert.match((await failingEncrypt("throttled")).message, /asks to wait 17 s/);
      assert.ok(performance.now() - started < 1_000);
    });

    it("the caller's own limit ends the call even sooner, with the cause that was seen", async () => {
      host.azure.faults.order("encrypt", throttledAnswer(), 1_000);
      const started = performance.now();
      await assert.rejects(provider.encrypt(plaintext, { ...callContext(), signal: AbortSignal.timeout(500) }), {
        code: "throttled",
      });
      assert.ok(performance.now() - started < 900);
    });
  });

  describe("in an answer that makes no sense", () => {
    let hasty: KeyProvider;
    before(async () => {
      hasty = await host.open({ operation: { ...host.config().operation, callTimeoutMs: 1_000 } });
    });
    const strange: readonly (readonly [string, Fault, ErrorCode])[] = [
      [
        "a redirect",
        { kind: "answer", answer: { status: 302, headers: { location: "https://elsewhere.example/" }, body: "" } },
        "unreachable",
      ],
      ["a proxy's own 403", { kind: "answer", answer: { status: 403, headers: {}, body: "<html>" } }, "unreachable"],
      [
        "another key",
        { kind: "change", change: (answer) => ({ ...answer, body: answer.body.replace("mykey", "your") }) },
        "key-unusable",
      ],
      [
        "a value of another size",
        {
          kind: "change",
          change: (answer) => ({ ...answer, body: answer.body.replace(/"value":".*"/, '"value":"AAAA"') }),
        },
        "unreachable",
      ],
      [
        "a value that is not base64url",
        {
          kind: "change",
          change: (answer) => ({ ...answer, body: answer.body.replace(/"value":"../, '"value":"==') }),
        },
        "unreachable",
      ],
      [
        "megabytes",
        { kind: "change", change: (answer) => ({ ...answer, body: " ".repeat(5_000_000) }) },
        "unreachable",
      ],
    ];
    for (const [name, fault, code] of strange) {
      it(`${name} is not taken for a ciphertext`, async () => {
        host.azure.faults.order("encrypt", fault, 1_000);
        await failingEncrypt(code, "v2", hasty);
      });
    }

    it("a wrong plaintext fails the probe", async () => {
      const wrong = Buffer.from("something else").toString("base64url");
      host.azure.faults.order("decrypt", {
        kind: "change",
        change: (answer) => ({ ...answer, body: answer.body.replace(/"value":".*"/, `"value":"${wrong}"`) }),
      });
      await assert.rejects(provider.probe(AbortSignal.timeout(2_900)), { code: "key-unusable" });
    });
  });

  it("the SDK's own encryption never makes a disabled key look healthy", async () => {
    host.vault.grant(host.identity.objectId, "get");
    const reader = await host.open();
    await reader.probe(AbortSignal.timeout(2_900));
    // What the SDK does when it is left alone: it has read the public key, and no longer asks the vault.
    const token = host.azure.entra.issue(host.identity, "https://vault.azure.net").accessToken;
    const dispatcher = createConnections({
      proxyMode: undefined,
      connect: host.azure.connect,
      environment: {},
      authorities: undefined,
    });
    const unguarded = new CryptographyClient(
      host.key.kid,
      { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) },
      { httpClient: dispatcher.httpClient("KeyVault") },
    );
    await unguarded.encrypt({ algorithm: "RSA1_5", plaintext });
    host.key.enabled = false;
    await unguarded.encrypt({ algorithm: "RSA1_5", plaintext });
    await dispatcher.close();

    await failingEncrypt("key-unusable", "v1", reader);
    await failingEncrypt("key-unusable", "v2", reader);
  });

  it("a damaged ciphertext is at fault, not the key", async () => {
    const encrypted = await provider.encrypt(plaintext, callContext());
    const damaged = Buffer.from(encrypted.ciphertext);
    damaged[10] = damaged[10] === 0x41 ? 0x42 : 0x41;
    await assert.rejects(provider.decrypt({ ...encrypted, ciphertext: damaged }, callContext()), { code: "corrupt" });
    await provider.probe(AbortSignal.timeout(2_900));
  });

  it("a plaintext that the key is too small for is the caller's fault", async () => {
    await assert.rejects(provider.encrypt(Buffer.alloc(300), callContext()), { code: "invalid-input" });
    for (const size of [0, 502]) {
      const before = host.azure.requests.length;
      await assert.rejects(provider.encrypt(Buffer.alloc(size), callContext()), { code: "invalid-input" });
      assert.equal(host.azure.requests.length, before, "the vault need not be asked");
    }
  });

  it("many calls at once fail alike and end in time", async () => {
    host.azure.faults.order("encrypt", { kind: "hang" }, 1_000);
    await Promise.all(Array.from({ length: 32 }, () => failingEncrypt("timeout")));
    host.azure.faults.clear();
    await provider.encrypt(plaintext, callContext());
  });

  it("a first call that meets trouble does not spoil the calls beside it", async () => {
    const fresh = await host.open();
    host.azure.faults.order("challenge", { kind: "hang" });
    host.azure.faults.order("encrypt", { kind: "reset" }, 2);
    const all = await Promise.all(Array.from({ length: 8 }, () => fresh.encrypt(plaintext, callContext())));
    for (const encrypted of all) {
      assert.deepEqual(Buffer.from(await fresh.decrypt(encrypted, callContext())), plaintext);
    }
  });
});
