import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { VaultAuthorization, VaultNetworkAccess } from "../../../components/azure/vault-choices";
import { KmsEtcdEncryption, type KmsEtcdEncryptionArgs } from "../../../components/kms-etcd-encryption";
import { AksEncryptionMode } from "../../../core/aks-encryption-mode";
import { azureRoles } from "../../../core/azure-roles";
import { typeTokens } from "../../../core/type-tokens";
import { group, keyVersion, type RecordedAzure, recordAzure, valueOf, vaultId } from "./recorded-azure";

const where = { resourceGroupName: "rg", location: "westeurope" };
const clusterId = `${group}/Microsoft.ContainerService/managedClusters/aks`;
const identityId = `${group}/Microsoft.ManagedIdentity/userAssignedIdentities/cluster`;

describe("KmsEtcdEncryption on AKS", function () {
  this.timeout(60_000);
  let azure: RecordedAzure;
  beforeEach(async () => {
    azure = await recordAzure();
  });

  async function settingsOf(args: KmsEtcdEncryptionArgs): Promise<Record<string, unknown>> {
    const component = new KmsEtcdEncryption("etcd", args);
    await valueOf(component.evidence);
    const [settings] = azure.of(typeTokens.aksKmsSettings);
    return settings?.inputs ?? {};
  }
  const roleNames = () =>
    azure
      .of("azure-native:authorization:RoleAssignment")
      .filter(({ name }) => name.startsWith("etcd-aks"))
      .map(({ inputs }) => {
        const id = String(inputs["roleDefinitionId"]).split("/").at(-1);
        return Object.entries(azureRoles).find(([, known]) => known === id)?.[0];
      });

  it("keyVersion 2 => two keys, Crypto User for the cluster's identity, and the second key for the cluster", async () => {
    const settings = await settingsOf({ keyVersion: 2, azureKeyVault: where, aks: { clusterId, identityId } });
    assert.deepEqual(settings, {
      clusterId,
      mode: "KmsPlugin",
      enabled: true,
      keyId: `https://etcd-vault1234abcd.vault.azure.net/keys/etcd-v2/${keyVersion(2)}`,
      keyVersion: 2,
      vaultNetworkAccess: "Public",
      vaultId: `${group}/Microsoft.KeyVault/vaults/etcd-vault1234abcd`,
      ownsVaultNetwork: true,
      identityId,
      authorization: "Rbac",
    });
    assert.deepEqual(roleNames(), ["Key Vault Crypto User"]);
  });

  it("a private vault => the identity may connect to it too; a vault that exists => its network is not ours", async () => {
    const settings = await settingsOf({
      keyVersion: 1,
      azureKeyVault: { vaultId, vaultNetworkAccess: VaultNetworkAccess.Private },
      aks: { clusterId, identityId },
    });
    assert.deepEqual([settings["vaultNetworkAccess"], settings["ownsVaultNetwork"]], ["Private", false]);
    assert.deepEqual(roleNames().sort(), ["Key Vault Contributor", "Key Vault Crypto User"]);
  });

  it("the key is in another vault than the block's => AKS is told that vault; the grants stay where they are", async () => {
    const other = `${group}/Microsoft.KeyVault/vaults/other`;
    const keyIds = { 2: `https://other.vault.azure.net/keys/k/${"0".repeat(32)}` };
    const settings = await settingsOf({
      keyVersion: 2,
      azureKeyVault: { vaultId, keyIds, vaultNetworkAccess: VaultNetworkAccess.Private },
      aks: { clusterId, identityId, vaultId: other },
    });
    const { keyId, vaultId: told, ownsVaultNetwork, authorization } = settings;
    assert.deepEqual([keyId, told, ownsVaultNetwork, authorization], [keyIds[2], other, false, undefined]);
    const scopes = azure
      .of("azure-native:authorization:RoleAssignment")
      .filter(({ name }) => name.startsWith("etcd-aks"))
      .map(({ inputs }) => inputs["scope"]);
    assert.deepEqual(scopes, [vaultId, vaultId]);
  });

  it("access policies => encrypt and decrypt for the identity", async () => {
    const azureKeyVault = { ...where, authorization: VaultAuthorization.AccessPolicies };
    await settingsOf({ keyVersion: 1, azureKeyVault, aks: { clusterId, identityId } });
    const policies = azure.of("azure-native:keyvault:AccessPolicy").filter(({ name }) => name.startsWith("etcd-aks"));
    assert.deepEqual((policies[0]?.inputs["policy"] as { permissions: unknown }).permissions, {
      keys: ["decrypt", "encrypt"],
    });
  });

  it("a customer-managed key => one key without a version of ours, and Reader; a platform-managed one => nothing of the kind", async () => {
    const mode = AksEncryptionMode.CustomerManagedKey;
    const settings = await settingsOf({ azureKeyVault: where, aks: { clusterId, identityId, mode } });
    assert.equal(settings["keyVersion"], undefined);
    assert.deepEqual(roleNames().sort(), ["Key Vault Crypto User", "Key Vault Reader"]);
    azure = await recordAzure();
    const platform = await settingsOf({ aks: { clusterId, mode: AksEncryptionMode.PlatformManagedKey } });
    assert.deepEqual(platform, { clusterId, mode: "PlatformManagedKey", enabled: true });
    assert.deepEqual(azure.of("azure-native:keyvault:Vault"), []);
  });

  it("a kubeconfig => a secret in the state", async () => {
    const kubernetes = { kubeconfig: "kind: Config" };
    const settings = await settingsOf({ keyVersion: 1, azureKeyVault: where, aks: { clusterId, kubernetes } });
    // The mocks hand secrets over in their wire form.
    assert.match(
      JSON.stringify(settings["kubernetes"]),
      /^\{"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270",/,
    );
  });

  it("a key to sign reports with => a secret in the state, also as an output or a promise; and there is a report", async () => {
    for (const reportSigning of [
      { privateKey: "PEM" },
      pulumi.output({ privateKey: "PEM" }),
      Promise.resolve({ privateKey: "PEM" }),
    ]) {
      azure = await recordAzure();
      const component = new KmsEtcdEncryption("etcd", {
        keyVersion: 1,
        azureKeyVault: where,
        aks: { clusterId },
        reportSigning,
      });
      await valueOf(component.report);
      const [settings] = azure.of(typeTokens.aksKmsSettings);
      assert.match(
        JSON.stringify(settings?.inputs["reportSigning"]),
        /"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270"/,
      );
    }
  });

  describe("what is refused before anything is made", () => {
    const good = { keyVersion: 1, azureKeyVault: where, aks: { clusterId } };
    const pmk = { clusterId, mode: "PlatformManagedKey" };
    const cases: readonly (readonly [string, object, string, RegExp])[] = [
      ["no cluster id", { ...good, aks: {} }, "aks.clusterId", /is missing/],
      ["a misspelt input", { ...good, aks: { clusterId, modus: "x" } }, "aks.modus", /is not an input/],
      ["keys in AWS", { keyVersion: 1, awsKms: {}, aks: { clusterId } }, "awsKms", /AKS can't use/],
      ["no key", { keyVersion: 1, aks: { clusterId } }, "azureKeyVault", /is missing/],
      ["ConfigMaps", { ...good, resources: ["configmaps"] }, "resources", /AKS encrypts Secrets, and nothing else/],
      ["a stage", { ...good, advanceTo: "Write" }, "advanceTo", /all at once/],
      ["keyVersion where the platform rotates", { keyVersion: 1, aks: pmk }, "keyVersion", /rotates the key by itself/],
      [
        "a vault where the key is the platform's",
        { azureKeyVault: where, aks: pmk },
        "azureKeyVault",
        /the platform's/,
      ],
      ["off where that can't be", { enabled: false, aks: pmk }, "enabled", /rule J4/],
      ["a vault by its name", { ...good, aks: { clusterId, vaultId: "other" } }, "aks.vaultId", /az keyvault show/],
      [
        "an identity by its client id",
        { ...good, aks: { clusterId, identityId: "abc" } },
        "aks.identityId",
        /az identity/,
      ],
    ];
    for (const [name, args, path, reason] of cases) {
      it(`${name} => an error at ${path}`, () => {
        assert.throws(
          () => new KmsEtcdEncryption("etcd", args),
          (thrown: unknown) => {
            const problems = pulumi.InputPropertiesError.isInstance(thrown)
              ? thrown.errors
              : pulumi.InputPropertyError.isInstance(thrown)
                ? [{ propertyPath: thrown.propertyPath, reason: thrown.reason }]
                : [];
            const found = problems.find((problem) => problem.propertyPath === path);
            assert.match(found?.reason ?? String(thrown), reason);
            return found !== undefined;
          },
        );
      });
    }
  });
});
