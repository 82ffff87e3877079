import assert from "node:assert/strict";
import * as fc from "fast-check";
import { parseAzureKeyId, parseVaultId, vaultDomains, versionedAzureKeyId } from "../../core/azure-key-id";
import { KmsEtcdError } from "../../core/errors";

describe("identifiers of keys in Key Vault", () => {
  const hex = fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 32, maxLength: 32 });
  const name = fc.string({ unit: fc.constantFrom(..."abcXYZ019-"), minLength: 3, maxLength: 24 });

  it("any vault, cloud, key and version => its parts", () => {
    fc.assert(
      fc.property(name, fc.constantFrom(...vaultDomains), name, hex, (vaultName, domain, keyName, keyVersion) => {
        const id = `https://${vaultName}.${domain}/keys/${keyName}/${keyVersion}`;
        assert.deepEqual(versionedAzureKeyId(id), { vaultName, domain, keyName, keyVersion });
      }),
    );
  });

  it("no version => parsed, but no key of ours: the newest version would change without a trace", () => {
    const id = "https://vault.vault.azure.net/keys/etcd";
    assert.deepEqual(parseAzureKeyId(id), { vaultName: "vault", domain: "vault.azure.net", keyName: "etcd" });
    assert.throws(
      () => versionedAzureKeyId(id),
      (thrown: unknown) => thrown instanceof KmsEtcdError && thrown.message.includes("does not identify one version"),
    );
  });

  for (const text of [
    "",
    "etcd",
    "http://vault.vault.azure.net/keys/etcd",
    "https://vault.vault.azure.net/keys/etcd/",
    "https://vault.vault.azure.net/secrets/etcd",
    "https://vault.vault.azure.net/keys/etcd/1",
    "https://vault.vault.azure.net/keys/etcd?x=1",
  ]) {
    it(`${JSON.stringify(text)} => no key`, () => assert.equal(parseAzureKeyId(text), undefined));
  }

  it("a vault's resource id, in any case => its parts; another resource's => none", () => {
    const subscription = "00000000-0000-4000-8000-000000000001";
    const id = `/subscriptions/${subscription}/resourcegroups/rg/providers/microsoft.keyvault/vaults/v`;
    assert.deepEqual(parseVaultId(id), { subscriptionId: subscription, resourceGroupName: "rg", vaultName: "v" });
    assert.equal(parseVaultId(`${id}/keys/k`), undefined);
    assert.equal(parseVaultId(id.replace("vaults", "managedHSMs")), undefined);
  });
});
