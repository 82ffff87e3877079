import assert from "node:assert/strict";
import { type ErrorCode, KmsEtcdError } from "../../../../core/errors";
import type { KeyProvider } from "../../../../plugin-server/key-provider";
import { type Fault, vaultError } from "../../../fakes/azure/faults";
import { jsonAnswer } from "../../../fakes/azure/wire";
import { type AzureHost, callContext, startAzureHost } from "./azure-host";

const plaintext = Buffer.from("0123456789abcdef0123456789abcdef");

const ways = {
  "a managed identity": { place: "identity", service: /the managed identity endpoint of this host/ },
  "a service principal": { place: "token", service: /Entra ID at login\.microsoftonline\.com/ },
} as const;

for (const [way, { place, service }] of Object.entries(ways)) {
  describe(`tokens of ${way}`, function () {
    this.timeout(20_000);
    let host: AzureHost;
    beforeEach(async () => {
      host = await start();
    });
    afterEach(() => host.close());

    async function start(): Promise<AzureHost> {
      const started = await startAzureHost();
      if (place === "token") {
        const { tenantId } = started.vault;
        const { clientId, objectId } = started.azure.entra.addApplication({ tenantId, secret: "a secret" });
        started.vault.grant(objectId, "encrypt", "decrypt");
        await started.writeAzureJson({ tenantId, aadClientId: clientId, aadClientSecret: "a secret" });
      }
      return started;
    }

    /** For what mostly waits, so that several can wait together. */
    async function onHost(use: (own: AzureHost) => Promise<void>): Promise<void> {
      const own = await start();
      try {
        await use(own);
      } finally {
        await own.close();
      }
    }

    const encrypt = (by: KeyProvider) => by.encrypt(plaintext, callContext());

    async function failingEncrypt(by: KeyProvider, code: ErrorCode): Promise<KmsEtcdError> {
      const started = performance.now();
      const error = await encrypt(by).then(
        () => assert.fail("the call must fail"),
        (thrown: unknown) => thrown,
      );
      assert.ok(performance.now() - started < 3_000, "must end before the API server gives up");
      assert.ok(error instanceof KmsEtcdError, String(error));
      assert.equal(error.code, code, error.message);
      return error;
    }

    it("one serves all calls", async () => {
      const provider = await host.open();
      await Promise.all(Array.from({ length: 16 }, () => encrypt(provider)));
      for (let index = 0; index < 10; index += 1) await encrypt(provider);
      assert.equal(host.azure.entra.granted(), 1);
    });

    it("an expired one is replaced within the call", async () => {
      const provider = await host.open();
      await encrypt(provider);
      host.vault.expireTokens();
      await Promise.all(Array.from({ length: 8 }, () => encrypt(provider)));
      assert.equal(host.azure.entra.granted(), 2);
    });

    it("one that the vault takes never is not replaced over and over", async () => {
      const provider = await host.open();
      await encrypt(provider);
      host.azure.faults.order("encrypt", { kind: "change", change: () => unauthorized }, 1_000);
      const before = host.azure.entra.granted();
      for (let index = 0; index < 5; index += 1) await failingEncrypt(provider, "key-unusable");
      assert.ok(host.azure.entra.granted() - before <= 2, `${host.azure.entra.granted() - before} new tokens`);
    });

    it("short-lived ones are renewed, and none is used after its end", async () => {
      host.azure.entra.tokenLifetimeSeconds = 1;
      const provider = await host.open();
      const until = performance.now() + 2_200;
      while (performance.now() < until) {
        await encrypt(provider);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assert.ok(host.azure.entra.granted() >= 3, `${host.azure.entra.granted()} tokens`);
      assert.ok(host.azure.entra.granted() <= 6, `${host.azure.entra.granted()} tokens`);
    });

    describe("when there is none at the start", () => {
      const passing: readonly (readonly [string, Fault, number])[] = [
        ["throttled", { kind: "answer", answer: jsonAnswer(429, { error: "temporarily_unavailable" }) }, 2],
        ["throttled with Retry-After: 1", { kind: "answer", answer: jsonAnswer(429, {}, { "retry-after": "1" }) }, 1],
        ["status 500", { kind: "answer", answer: jsonAnswer(500, {}) }, 2],
        ["a reset connection", { kind: "reset" }, 2],
        ["an answer that never comes", { kind: "hang" }, 1],
        ["an answer that stops in the middle", { kind: "stall" }, 1],
        [
          "a page of a proxy",
          { kind: "answer", answer: { status: 200, headers: { "content-type": "text/html" }, body: "<html>" } },
          1,
        ],
        ["an answer without a token", { kind: "answer", answer: jsonAnswer(200, { token_type: "Bearer" }) }, 1],
      ];
      it("the call waits for it and works", async () => {
        await Promise.all(
          passing.map(([name, fault, times]) =>
            onHost(async (own) => {
              const provider = await own.open();
              own.azure.faults.order(place, fault, times);
              await assert.doesNotReject(encrypt(provider), name);
            }),
          ),
        );
      });

      const lasting: readonly (readonly [string, Fault, ErrorCode])[] = [
        ["throttled", { kind: "answer", answer: jsonAnswer(429, {}, { "retry-after": "60" }) }, "throttled"],
        ["status 503", { kind: "answer", answer: jsonAnswer(503, {}) }, "unreachable"],
        ["reset connections", { kind: "reset" }, "unreachable"],
        ["answers that never come", { kind: "hang" }, "timeout"],
      ];
      it("the call ends in time, and the error names the issuer", async () => {
        await Promise.all(
          lasting.map(([name, fault, code]) =>
            onHost(async (own) => {
              const provider = await own.open();
              own.azure.faults.order(place, fault, 1_000);
              assert.match((await failingEncrypt(provider, code)).message, service, name);
            }),
          ),
        );
      });

      it("a long Retry-After keeps later calls from asking at all", async () => {
        const provider = await host.open();
        host.azure.faults.order(place, { kind: "answer", answer: jsonAnswer(429, {}, { "retry-after": "60" }) }, 1_000);
        await failingEncrypt(provider, "throttled");
        const before = host.azure.requests.length;
        for (let index = 0; index < 3; index += 1) await failingEncrypt(provider, "throttled");
        assert.equal(host.azure.requests.length, before);
      });
    });

    for (const [name, aheadMs] of [
      ["behind", 3 * 3_600_000],
      ["ahead of", -3 * 3_600_000],
    ] as const) {
      it(`work on a host whose clock is hours ${name} Azure's`, async () => {
        host.azure.clockAheadMs = aheadMs;
        const provider = await host.open();
        for (let index = 0; index < 3; index += 1) await encrypt(provider);
        assert.equal(host.azure.entra.granted(), 1);
      });
    }
  });
}

describe("a certificate on a host whose clock is wrong", function () {
  this.timeout(20_000);

  it("is refused, and the error tells by how much the clock is wrong", async () => {
    const host = await startAzureHost();
    try {
      const { readFile, writeFile } = await import("node:fs/promises");
      const { join } = await import("node:path");
      const forms = JSON.parse(await readFile(join(__dirname, "client-certificate-forms.json"), "utf8")) as Record<
        "certificate" | "pem",
        string
      >;
      const { clientId, tenantId } = host.azure.entra.addApplication({
        tenantId: host.vault.tenantId,
        certificate: forms.certificate,
      });
      const file = join(host.directory, "principal.pem");
      await writeFile(file, forms.pem);
      await host.writeAzureJson({ tenantId, aadClientId: clientId, aadClientCertPath: file });
      host.azure.clockAheadMs = 30 * 60_000;
      const provider = await host.open();
      await assert.rejects(provider.probe(AbortSignal.timeout(2_900)), {
        code: "key-unusable",
        message:
          /aadClientCertPath made an assertion outside its period of validity \(.*AADSTS700024; this host's clock is 30 minutes behind the service's\)/,
      });
    } finally {
      await host.close();
    }
  });
});

const unauthorized = vaultError(401, "Unauthorized", "AKV10032: Invalid issuer.", undefined, {
  "www-authenticate": 'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"',
});
