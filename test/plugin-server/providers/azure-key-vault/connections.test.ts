import assert from "node:assert/strict";
import type { KeyProvider } from "../../../../plugin-server/key-provider";
import { type AzureHost, callContext, startAzureHost } from "./azure-host";

describe("connections of the Azure Key Vault provider", function () {
  this.timeout(20_000);
  let host: AzureHost;
  beforeEach(async () => {
    host = await startAzureHost();
  });
  afterEach(() => host.close());

  async function load(provider: KeyProvider, calls: number, atOnce: number): Promise<void> {
    let left = calls;
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        while (left > 0) {
          left -= 1;
          await provider.encrypt(Buffer.from("a key"), callContext());
        }
      }),
    );
  }

  // The first calls go through the SDK and undici, whose connections serve nobody later: so there may be two for each call
  // under way and one to Entra, and never more.
  for (const atOnce of [1, 16]) {
    it(`${atOnce} at once use at most ${2 * atOnce + 1} connections, and no new ones later`, async () => {
      host.vault.cacheAnswers = true;
      const provider = await host.open();
      await load(provider, 20 * atOnce, atOnce);
      const opened = host.azure.connections();
      assert.ok(opened <= 2 * atOnce + 1, `${opened} connections`);
      await load(provider, 20 * atOnce, atOnce);
      assert.ok(host.azure.connections() <= 2 * atOnce + 1, `${host.azure.connections()} connections`);
    });
  }

  it("stay open between probes", async () => {
    const provider = await host.open();
    // The first probe is the SDK's.
    for (let probe = 0; probe < 2; probe += 1) await provider.probe(AbortSignal.timeout(2_900));
    const opened = host.azure.connections();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await provider.probe(AbortSignal.timeout(2_900));
    assert.equal(host.azure.connections(), opened);
  });

  it("go through HTTPS_PROXY, which cannot look inside", async () => {
    // The tunnel leads to the fake, whose certificate only `connect` of this process trusts.
    const provider = await host.open({}, { HTTPS_PROXY: `http://127.0.0.1:${host.azure.plainPort}` });
    await assert.rejects(provider.encrypt(Buffer.from("a key"), callContext()), {
      code: "unreachable",
      message: /the certificate of Key Vault at myvault\.vault\.azure\.net is not accepted/,
    });
    assert.ok(host.azure.tunnels() > 0);
  });

  for (const [name, environment] of [
    ["NO_PROXY", { NO_PROXY: "other.example,.vault.azure.net" }],
    ["no_proxy", { no_proxy: "*" }],
  ] as const) {
    it(`go straight to hosts in ${name}`, async () => {
      const proxy = `http://127.0.0.1:${host.azure.plainPort}`;
      await load(await host.open({}, { HTTPS_PROXY: proxy, ...environment }), 3, 1);
      assert.equal(host.azure.tunnels(), 0);
    });
  }

  it("to the metadata service never go through a proxy", async () => {
    await load(await host.open({}, { HTTP_PROXY: "http://127.0.0.1:1", http_proxy: "http://127.0.0.1:1" }), 1, 1);
  });

  it("end when the provider is closed", async () => {
    const provider = await host.open();
    await load(provider, 4, 4);
    await provider.close();
    const deadline = performance.now() + 2_000;
    while (host.azure.openConnections() > 0) {
      assert.ok(performance.now() < deadline, `${host.azure.openConnections()} connections are still open`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await assert.rejects(provider.encrypt(Buffer.from("a key"), callContext()), /after close/);
  });
});
