import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { AzureKeyVaultKey, type AzureKeyVaultKeyArgs } from "../../../components/azure/azure-key-vault-key";
import {
  AzureKeyType,
  VaultAuthorization,
  VaultNetworkAccess,
  VaultSku,
} from "../../../components/azure/vault-choices";
import { KmsEtcdEncryption } from "../../../components/kms-etcd-encryption";
import { typeTokens } from "../../../core/type-tokens";
import { group, keyVersion, type RecordedAzure, recordAzure, valueOf, vaultId } from "./recorded-azure";

const vaultType = "azure-native:keyvault:Vault";
const keyType = "azure-native:keyvault:Key";
const roleAssignment = "azure-native:authorization:RoleAssignment";
const where = { resourceGroupName: "rg", location: "westeurope" };
const identityId = `${group}/Microsoft.ManagedIdentity/userAssignedIdentities/cluster`;
const givenKeyId = `https://other.vault.azure.net/keys/mine/${keyVersion(9)}`;

describe("AzureKeyVaultKey", () => {
  let azure: RecordedAzure;

  beforeEach(async () => {
    azure = await recordAzure();
  });

  /** Makes the component and waits for its outputs. */
  async function make(args: AzureKeyVaultKeyArgs) {
    const component = new AzureKeyVaultKey("etcd", args);
    return { keyIds: await valueOf(component.keyIds), vaultId: await valueOf(component.vaultId) };
  }

  it("a resource group and a region => a vault that can't lose keys, with RBAC, and a key for each version with a name of its own", async () => {
    const { keyIds, vaultId: id } = await make({ source: where, newestKeyVersion: 2 });
    assert.deepEqual(azure.of(vaultType)[0]?.inputs, {
      resourceGroupName: "rg",
      location: "westeurope",
      properties: {
        tenantId: "the-tenant",
        sku: { family: "A", name: "standard" },
        enableRbacAuthorization: true,
        enableSoftDelete: true,
        softDeleteRetentionInDays: 90,
        enablePurgeProtection: true,
        publicNetworkAccess: "Enabled",
        networkAcls: { bypass: "AzureServices", defaultAction: "Allow" },
        // The SDK's own defaults.
        enabledForDeployment: false,
        enabledForDiskEncryption: false,
        enabledForTemplateDeployment: false,
      },
    });
    assert.deepEqual(
      azure.of(keyType).map(({ name, inputs }) => [name, inputs["keyName"], inputs["vaultName"]]),
      [
        ["etcd-key-v1", "etcd-v1", "etcd-vault1234abcd"],
        ["etcd-key-v2", "etcd-v2", "etcd-vault1234abcd"],
      ],
    );
    assert.deepEqual(azure.of(keyType)[0]?.inputs["properties"], {
      kty: "RSA",
      keySize: 2048,
      keyOps: ["encrypt", "decrypt"],
      attributes: { enabled: true, exportable: false },
    });
    const uri = "https://etcd-vault1234abcd.vault.azure.net/keys";
    assert.deepEqual(keyIds, { 1: `${uri}/etcd-v1/${keyVersion(1)}`, 2: `${uri}/etcd-v2/${keyVersion(2)}` });
    assert.equal(id, `${group}/Microsoft.KeyVault/vaults/etcd-vault1234abcd`);
  });

  it("the one who runs Pulumi => may make keys in a vault that is made, and not in one that exists", async () => {
    await make({ source: where, newestKeyVersion: 1 });
    assert.deepEqual(
      azure.of(roleAssignment).map(({ name }) => name),
      ["etcd-deployer"],
    );
    azure = await recordAzure();
    await make({ source: { vaultId }, newestKeyVersion: 1 });
    assert.deepEqual(azure.of(roleAssignment), []);
    azure = await recordAzure();
    await make({ source: { ...where, keyAdministrators: {} }, newestKeyVersion: 1 });
    assert.deepEqual(azure.of(roleAssignment), []);
  });

  it("private, premium, access policies, key settings => the vault and the keys are made so", async () => {
    const source = {
      ...where,
      vaultName: "my-vault",
      authorization: VaultAuthorization.AccessPolicies,
      vaultNetworkAccess: VaultNetworkAccess.Private,
      softDeleteRetentionInDays: 30,
      keyName: "cluster-a",
      key: { type: AzureKeyType.RsaHsm, size: 4096 },
    };
    await make({ source, newestKeyVersion: 1 });
    const { vaultName, properties } = azure.of(vaultType)[0]?.inputs as {
      vaultName: string;
      properties: Record<string, unknown>;
    };
    assert.equal(vaultName, "my-vault");
    assert.deepEqual(properties["sku"], { family: "A", name: VaultSku.Premium });
    assert.equal(properties["enableRbacAuthorization"], false);
    assert.equal(properties["publicNetworkAccess"], "Disabled");
    assert.deepEqual(properties["networkAcls"], { bypass: "AzureServices", defaultAction: "Deny" });
    assert.equal(properties["softDeleteRetentionInDays"], 30);
    const key = azure.of(keyType)[0]?.inputs as { keyName: string; properties: Record<string, unknown> };
    assert.deepEqual(
      [key.keyName, key.properties["kty"], key.properties["keySize"]],
      ["cluster-a-v1", "RSA-HSM", 4096],
    );
    assert.equal(azure.of("azure-native:keyvault:AccessPolicy").length, 1, "the deployer's");
  });

  it("a vault that exists => nothing is made of it, keys are made in it", async () => {
    const { vaultId: id } = await make({ source: { vaultId, keyUsers: { c: { identityId } } }, newestKeyVersion: 1 });
    assert.equal(id, vaultId);
    assert.deepEqual(azure.of(vaultType), []);
    assert.deepEqual([azure.of(keyType)[0]?.inputs["vaultName"], azure.of(roleAssignment).length], ["found-vault", 1]);
  });

  it("a key id for one version => no key is made for it; for all versions => no vault either", async () => {
    const { keyIds } = await make({ source: { vaultId, keyIds: { 1: givenKeyId } }, newestKeyVersion: 2 });
    assert.equal(keyIds?.["1"], givenKeyId);
    assert.deepEqual(
      azure.of(keyType).map(({ name }) => name),
      ["etcd-key-v2"],
    );
    azure = await recordAzure();
    const given = await make({ source: { keyIds: { 1: givenKeyId } }, newestKeyVersion: 1 });
    assert.deepEqual(given, { keyIds: { 1: givenKeyId }, vaultId: undefined });
    for (const type of [vaultType, keyType, roleAssignment]) assert.deepEqual(azure.of(type), []);
  });

  it("no list of retired versions and no expiry => nobody touches the keys' attributes or asks the vault's own endpoint", async () => {
    await make({ source: where, newestKeyVersion: 2 });
    assert.deepEqual([...azure.of(typeTokens.azureKeyAttributes), ...azure.of(typeTokens.azureVaultAccess)], []);
  });

  it("a list of retired versions => these are disabled and the others enabled, once the vault answers", async () => {
    await make({ source: where, newestKeyVersion: 2, retireKeyVersions: [1] });
    assert.deepEqual(
      azure.of(typeTokens.azureKeyAttributes).map(({ name, inputs }) => [name, inputs["enabled"], inputs["expiresOn"]]),
      [
        ["etcd-key-v1", false, undefined],
        ["etcd-key-v2", true, undefined],
      ],
    );
    assert.deepEqual(azure.of(typeTokens.azureVaultAccess)[0]?.inputs, {
      vaultUri: "https://etcd-vault1234abcd.vault.azure.net/",
    });
  });

  it("an expiry for a version => set on that version alone, and whether it is enabled stays as it is", async () => {
    const keyExpiry = { 2: "2028-01-31T00:00:00Z" };
    await make({ source: { ...where, keyExpiry }, newestKeyVersion: 2 });
    assert.deepEqual(
      azure.of(typeTokens.azureKeyAttributes).map(({ name, inputs }) => [name, inputs["enabled"], inputs["expiresOn"]]),
      [["etcd-key-v2", undefined, "2028-01-31T00:00:00Z"]],
    );
  });

  it("a private endpoint => endpoint, zone, links and zone group", async () => {
    const subnetId = `${group}/Microsoft.Network/virtualNetworks/n/subnets/s`;
    const virtualNetworkIds = { hub: `${group}/Microsoft.Network/virtualNetworks/n` };
    await make({
      source: { ...where, privateEndpoint: { ...where, subnetId, virtualNetworkIds } },
      newestKeyVersion: 1,
      retireKeyVersions: [],
    });
    const connections = azure.of("azure-native:network:PrivateEndpoint")[0]?.inputs["privateLinkServiceConnections"];
    const id = `${group}/Microsoft.KeyVault/vaults/etcd-vault1234abcd`;
    assert.deepEqual(connections, [{ name: "vault", privateLinkServiceId: id, groupIds: ["vault"] }]);
    assert.equal(
      azure.of("azure-native:privatedns:PrivateZone")[0]?.inputs["privateZoneName"],
      "privatelink.vaultcore.azure.net",
    );
    const link = azure.of("azure-native:privatedns:VirtualNetworkLink")[0];
    assert.deepEqual([link?.name, link?.inputs["virtualNetwork"]], ["etcd-hub", { id: virtualNetworkIds.hub }]);
    assert.equal(azure.of("azure-native:network:PrivateDnsZoneGroup").length, 1);
  });

  describe("a vault that exists and is not what the block says", () => {
    const refusals: readonly (readonly [string, Record<string, unknown>, object, RegExp])[] = [
      ["access policies", { enableRbacAuthorization: false }, {}, /authorization.*grants access by AccessPolicies/],
      ["a closed public endpoint", { publicNetworkAccess: "Disabled" }, {}, /vaultNetworkAccess.*rule F1/],
      ["a standard vault for RSA-HSM", {}, { key: { type: AzureKeyType.RsaHsm } }, /key\.type.*rule G3/],
    ];
    for (const [name, properties, more, says] of refusals) {
      it(`${name} => refused, in previews too, before a key is made`, async () => {
        azure = await recordAzure(true);
        azure.vault = { ...azure.vault, ...properties };
        const component = new AzureKeyVaultKey("etcd", { source: { vaultId, ...more }, newestKeyVersion: 1 });
        await assert.rejects(valueOf(component.vaultId), (thrown: unknown) => {
          const text = pulumi.InputPropertyError.isInstance(thrown) ? `${thrown.propertyPath} ${thrown.reason}` : "";
          assert.match(text, says);
          return true;
        });
        assert.deepEqual(azure.of(keyType), []);
      });
    }
  });

  const bad: readonly (readonly [string, object, string, RegExp])[] = [
    [
      "nothing about the vault",
      { source: {} },
      "source.resourceGroupName",
      /a vault has to be made; name it, or give vaultId/,
    ],
    ["half a vault", { source: { resourceGroupName: "rg" } }, "source.location", /is missing/],
    [
      "a vault and a resource group",
      { source: { vaultId, ...where } },
      "source.resourceGroupName",
      /keep one of the two/,
    ],
    ["a misspelt input", { source: { ...where, vaultname: "x" } }, "source.vaultname", /is not an input/],
    [
      "another authorization",
      { source: { ...where, authorization: "rbac" } },
      "source.authorization",
      /Rbac or AccessPolicies/,
    ],
    [
      "a bad key id",
      { source: { vaultId, keyIds: { 1: "etcd" } } },
      "source.keyIds.1",
      /does not identify one version/,
    ],
    [
      "a key id of no version",
      { source: { ...where, keyIds: { 7: givenKeyId } } },
      "source.keyIds.7",
      /no declared version/,
    ],
    [
      "a date without a zone",
      { source: { ...where, keyExpiry: { 1: "2028-01-31" } } },
      "source.keyExpiry.1",
      /with its zone/,
    ],
    [
      "a key size",
      { source: { ...where, key: { size: 1024 } } },
      "source.key.size",
      /write 2048, 3072 or 4096 \(rule G4\)/,
    ],
    [
      "an HSM key in a standard vault",
      { source: { ...where, sku: "standard", key: { type: "RSA-HSM" } } },
      "source.key.type",
      /rule G3/,
    ],
    ["a long vault name", { source: { ...where, vaultName: "a".repeat(25) } }, "source.vaultName", /rule H8/],
    [
      "a short retention",
      { source: { ...where, softDeleteRetentionInDays: 6 } },
      "source.softDeleteRetentionInDays",
      /rule H3/,
    ],
    [
      "a client id",
      { source: { ...where, keyUsers: { sp: { clientId: "x" } } } },
      "source.keyUsers.sp.clientId",
      /az ad sp show/,
    ],
    [
      "a private endpoint nowhere",
      { source: { ...where, privateEndpoint: where } },
      "source.privateEndpoint.subnetId",
      /is missing/,
    ],
    ["no version", { source: where, newestKeyVersion: 0 }, "newestKeyVersion", /whole number/],
    [
      "retiring what is not declared",
      { source: where, retireKeyVersions: [2] },
      "retireKeyVersions[0]",
      /no declared version/,
    ],
    ["no source", {}, "source", /is missing; its inputs are vaultId/],
  ];
  for (const [name, args, path, reason] of bad) {
    it(`${name} => refused at ${path}, and no resource`, () => {
      assert.throws(
        () => new AzureKeyVaultKey("etcd", { newestKeyVersion: 1, ...args } as AzureKeyVaultKeyArgs),
        (thrown: unknown) => {
          const errors = pulumi.InputPropertiesError.isInstance(thrown)
            ? thrown.errors
            : pulumi.InputPropertyError.isInstance(thrown)
              ? [thrown]
              : assert.fail(String(thrown));
          const error = errors.find((candidate) => candidate.propertyPath === path);
          assert.match(error?.reason ?? JSON.stringify(errors), reason);
          return true;
        },
      );
      assert.deepEqual(azure.registered, []);
    });
  }

  it("the component's own fields => its outputs and nothing private", () => {
    const base = new Set(Object.keys(new pulumi.ComponentResource("test:index:Empty", "empty")));
    const component = new AzureKeyVaultKey("etcd", { source: where, newestKeyVersion: 1 });
    const own = Object.keys(component).filter((name) => !base.has(name) && !name.startsWith("__"));
    assert.deepEqual(own.sort(), ["createdAt", "keyIds", "vaultId"]);
  });
});

describe("KmsEtcdEncryption with keys in Azure Key Vault", () => {
  const local = { controlPlaneFile: "/state/control-plane.json" };

  it("keyVersion 2 => a rollout to the second of two keys, each with vault, name and version", async () => {
    const azure = await recordAzure();
    const encryption = new KmsEtcdEncryption("etcd", {
      keyVersion: 2,
      azureKeyVault: { ...where, vaultName: "my-vault" },
      local,
    });
    await valueOf(encryption.urn);
    await valueOf(encryption.atGoal);
    assert.deepEqual(
      azure.of(typeTokens.encryptionRollout)[0]?.inputs["keys"],
      [1, 2].map((version) => ({
        version,
        azure: { vaultName: "my-vault", keyName: `etcd-v${version}`, keyVersion: keyVersion(version) },
      })),
    );
  });

  it("preview of a rotation => the key that exists is known, the new one is not: the plan knows what it starts from", async () => {
    const azure = await recordAzure(true);
    azure.unmade.add("etcd-key-v2");
    const keys = new AzureKeyVaultKey("etcd", { source: { ...where, vaultName: "my-vault" }, newestKeyVersion: 2 });
    await valueOf(keys.urn);
    const first = keys.keyIds["1"] ?? assert.fail();
    assert.equal(await valueOf(first), `https://my-vault.vault.azure.net/keys/etcd-v1/${keyVersion(1)}`);
    const second = keys.keyIds["2"] ?? assert.fail();
    assert.equal(await (second as unknown as { isKnown: Promise<boolean> }).isKnown, false);
  });

  it("a wrong block => an error at the path in the block, and no resource", async () => {
    const azure = await recordAzure();
    assert.throws(
      () => new KmsEtcdEncryption("etcd", { keyVersion: 1, azureKeyVault: { ...where, key: { size: 1 } }, local }),
      (thrown: unknown) =>
        pulumi.InputPropertyError.isInstance(thrown) && thrown.propertyPath === "azureKeyVault.key.size",
    );
    assert.deepEqual(azure.registered, []);
  });
});
