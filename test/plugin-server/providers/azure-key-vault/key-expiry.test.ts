import assert from "node:assert/strict";
import { KmsEtcdError } from "../../../../core/errors";
import type { KeyProvider } from "../../../../plugin-server/key-provider";
import { useServe } from "../../support/served";
import { type AzureHost, callContext, startAzureHost } from "./azure-host";

describe("when a key in Azure Key Vault expires", function () {
  this.timeout(20_000);
  const serve = useServe();
  let host: AzureHost;
  before(async () => {
    host = await startAzureHost();
  });
  after(() => host.close());
  beforeEach(() => {
    host.vault.revoke(host.identity.objectId);
    host.vault.grant(host.identity.objectId, "encrypt", "decrypt", "get");
    host.key.expires = undefined;
  });

  const expiry = (provider: KeyProvider) => provider.expiry?.(AbortSignal.timeout(10_000)) ?? assert.fail();

  it("the vault's date, to the second; never, without one", async () => {
    const provider = await host.open();
    assert.equal(await expiry(provider), "never");
    host.key.expires = Date.parse("2027-05-06T07:08:09.500Z");
    assert.deepEqual(await expiry(provider), new Date("2027-05-06T07:08:09Z"));
  });

  it("an identity that may encrypt and decrypt alone => a reason with a remedy, and the key works", async () => {
    host.vault.revoke(host.identity.objectId);
    host.vault.grant(host.identity.objectId, "encrypt", "decrypt");
    const provider = await host.open();
    await assert.rejects(expiry(provider), (thrown) => {
      assert.ok(thrown instanceof KmsEtcdError);
      assert.equal(thrown.code, "permission-denied");
      assert.match(thrown.message, /does not say when .*mykey.* expires \(status 403\)$/);
      return true;
    });
    await provider.encrypt(Buffer.from("p"), callContext());
  });

  it("on /metrics => the date; a Status that goes on working", async () => {
    host.key.expires = Date.parse("2027-05-06T07:08:09Z");
    const provider = await host.open();
    const {
      plugin,
      clients: [client],
    } = await serve([provider], {
      kind: "azure",
      health: { host: "127.0.0.1", port: 0, explicit: true },
    });
    const line = `kms_etcd_key_expiry_timestamp_seconds{key_id="${provider.keyId}"} ${Date.parse("2027-05-06T07:08:09Z") / 1_000}`;
    for (;;) {
      const text = await (await fetch(`http://127.0.0.1:${plugin.health?.port}/metrics`)).text();
      if (text.includes(`${line}\n`)) break;
      assert.ok(!text.includes("kms_etcd_key_expiry_timestamp_seconds{"), text);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal((await client?.v2.Status({}))?.healthz, "ok");
  });
});
