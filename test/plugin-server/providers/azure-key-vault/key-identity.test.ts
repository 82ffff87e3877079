import assert from "node:assert/strict";
import fc from "fast-check";
import { azureKmsKeyId } from "../../../../core/key-ids";
import { createKeyIdentity } from "../../../../plugin-server/providers/azure-key-vault/key-identity";
import { type AzureHost, callContext, startAzureHost } from "./azure-host";

const names = {
  vaultName: "example",
  keyName: "mykey",
  keyVersion: "abcd",
  dnsSuffix: "vault.azure.net",
  proxy: undefined,
};

describe("the identity of a key", function () {
  this.timeout(20_000);
  it("is the hash that Azure/kubernetes-kms has for the same key", () => {
    // From the peer's own test of its key id.
    assert.equal(
      azureKmsKeyId("https://example.vault.azure.net/keys/mykey/ABCD"),
      "567d783db3043fe298fe0d9eeedb0029a3815cdd4fe4b059d018c91e6acffe3b",
    );
  });

  it("ends up in the vault's spelling, whatever the flags' spelling is", () => {
    const mixedCase = (text: string) =>
      fc
        .array(fc.boolean(), { minLength: text.length, maxLength: text.length })
        .map((upper) => [...text].map((letter, index) => (upper[index] ? letter.toUpperCase() : letter)).join(""));
    fc.assert(
      fc.property(
        mixedCase("example"),
        mixedCase("mykey"),
        mixedCase("abcd"),
        mixedCase("mykey"),
        (vaultName, keyName, keyVersion, stored) => {
          const identity = createKeyIdentity({ ...names, vaultName, keyName, keyVersion });
          const kid = `https://example.vault.azure.net/keys/${stored}/abcd`;
          identity.learn(kid);
          assert.equal(identity.keyId, azureKmsKeyId(kid));
          assert.ok(identity.spellingKnown);
          assert.ok(identity.matches(azureKmsKeyId(kid)));
          // What the peer would have made of the same flags stays readable.
          assert.ok(
            identity.matches(azureKmsKeyId(`https://${vaultName}.vault.azure.net/keys/${keyName}/${keyVersion}`)),
          );
        },
      ),
    );
  });

  it("does not become another key", () => {
    const identity = createKeyIdentity(names);
    for (const kid of [
      "https://example.vault.azure.net/keys/mykey/abce",
      "https://other.vault.azure.net/keys/mykey/abcd",
      "https://example.vault.azure.net/keys/mykey/abcd/",
      "",
    ]) {
      assert.throws(() => identity.learn(kid), { code: "key-unusable" });
    }
    assert.equal(identity.keyId, azureKmsKeyId("https://example.vault.azure.net/keys/mykey/abcd"));
    assert.ok(!identity.matches(azureKmsKeyId("https://example.vault.azure.net/keys/mykey/abce")));
  });

  describe("in a vault that spells the key in its own way", () => {
    let host: AzureHost;
    before(async () => {
      host = await startAzureHost();
    });
    after(() => host.close());

    it("is the same for instances whose flags are spelled in two ways", async () => {
      const version = host.vault.keys.add({ name: "KubeKey" }).version;
      const providers = await Promise.all([
        host.open({ vaultName: "MyVault", keyName: "kubekey", keyVersion: version.toUpperCase() }),
        host.open({ vaultName: "myvault", keyName: "KubeKey", keyVersion: version }),
      ]);
      for (const provider of providers) await provider.probe(AbortSignal.timeout(2_900));
      const expected = azureKmsKeyId(`https://myvault.vault.azure.net/keys/KubeKey/${version}`);
      assert.deepEqual(
        providers.map((provider) => provider.keyId),
        [expected, expected],
      );
    });

    it("is found out by a Decrypt that comes first", async () => {
      const version = host.vault.keys.add({ name: "CamelKey" }).version;
      const writer = await host.open({ keyName: "CamelKey", keyVersion: version });
      const encrypted = await writer.encrypt(Buffer.from("a key"), callContext());
      const reader = await host.open({ keyName: "camelkey", keyVersion: version });
      assert.equal(Buffer.from(await reader.decrypt(encrypted, callContext())).toString(), "a key");
    });
  });
});
