import assert from "node:assert/strict";
import { azureRules } from "../../../core/azure-rules/azure-rules";
import { checkRules, describeSkipped, type GivenFacts, notYetKnown, violationOf } from "../../../core/azure-rules/rule";

const version = "0123456789abcdef0123456789abcdef";
const keyId = `https://vault-a.vault.azure.net/keys/etcd/${version}`;
const otherKeyId = `https://vault-a.vault.azure.net/keys/etcd/${version.replaceAll("0", "f")}`;
const group = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg/providers";
const vaultId = `${group}/Microsoft.KeyVault/vaults/vault-a`;
const otherSubscription = vaultId.replace("000000000001", "000000000002");
const clusterId = `${group}/Microsoft.ContainerService/managedClusters/c`;
const identityId = `${group}/Microsoft.ManagedIdentity/userAssignedIdentities/i`;
const now = "2026-11-21T00:00:00Z";
const delegations = ["Microsoft.ContainerService/managedClusters"];
const roles = ["Key Vault Crypto User", "Key Vault Contributor", "Key Vault Reader"];

/** For each rule: facts that it accepts, facts that it refuses, and what its message must say. */
const cases: Readonly<Record<string, readonly (readonly [GivenFacts, GivenFacts, RegExp])[]>> = {
  A1: [
    [{ keyId }, { keyId: "https://vault-a.vault.azure.net/key/etcd" }, /no identifier of a key/],
    [{ keyId: keyId.replace("azure.net", "azure.cn") }, { keyId: keyId.replace("azure.net", "example.com") }, /VAULT/],
    [{ keyId }, { keyId: keyId.replace(version, "1") }, /no identifier of a key/],
  ],
  A2: [[{ mode: "legacy", keyId }, { mode: "legacy", keyId: keyId.replace(`/${version}`, "") }, /names no version/]],
  A3: [[{ mode: "cmk", keyId: keyId.replace(`/${version}`, "") }, { mode: "cmk", keyId }, new RegExp(version)]],
  A4: [
    [{ keyId }, { keyId: keyId.replace("keys", "secrets") }, /vault's secrets/],
    [{ keyId }, { keyId: keyId.replace("keys", "certificates") }, /vault's certificates/],
  ],
  A5: [[{ mode: "legacy", keyId }, { mode: "legacy", keyId: keyId.replace(".vault.", ".managedhsm.") }, /managed HSM/]],
  A6: [
    [
      { keyId, keyVaultResourceId: vaultId.replace("vault-a", "VAULT-A") },
      { keyId, keyVaultResourceId: `${vaultId}b` },
      /keyId is in "vault-a"/,
    ],
  ],
  B1: [
    [
      { mode: "legacy", vaultNetworkAccess: "Private", keyVaultResourceId: vaultId },
      { mode: "legacy", vaultNetworkAccess: "Private" },
      /is missing/,
    ],
  ],
  B2: [
    [
      { mode: "cmk", vaultNetworkAccess: "Public", keyVaultResourceId: vaultId },
      { mode: "legacy", vaultNetworkAccess: "Public", keyVaultResourceId: vaultId },
      /only with network access Private/,
    ],
  ],
  B3: [[{ keyVaultResourceId: vaultId }, { keyVaultResourceId: "/vaults/vault-a" }, /no resource id of a vault/]],
  B4: [[{ vaultNetworkAccess: "Public" }, { vaultNetworkAccess: "public" }, /with a capital/]],
  B5: [
    [
      { mode: "legacy", keyVaultResourceId: vaultId, clusterId },
      { mode: "legacy", keyVaultResourceId: otherSubscription, clusterId },
      /another subscription/,
    ],
  ],
  B6: [
    [
      { vaultTenantId: "T", clusterTenantId: "t" },
      { vaultTenantId: "t", clusterTenantId: "u" },
      /no vault of another tenant/,
    ],
  ],
  C1: [
    [
      { mode: "legacy", clusterIdentityType: "UserAssigned" },
      { mode: "legacy", clusterIdentityType: "SystemAssigned" },
      /user-assigned identity/,
    ],
  ],
  C2: [
    [
      { clusterIdentityType: "UserAssigned", clusterIdentityIds: [identityId] },
      { clusterIdentityType: "UserAssigned", clusterIdentityIds: [identityId, `${identityId}2`] },
      /names 2 identities/,
    ],
  ],
  C3: [
    ...(["legacy", "cmk"] as const).map((mode) => {
      const facts = { mode, modeBefore: "off", clusterExists: true, clusterIdentityIds: [identityId] } as const;
      return [
        { ...facts, clusterIdentityIdsBefore: [identityId.toUpperCase()] },
        { ...facts, clusterIdentityIdsBefore: [] },
        /change the identity first/,
      ] as const;
    }),
  ],
  C4: [
    [
      { mode: "pmk", servicePrincipalClientId: "msi", clusterIdentityType: "SystemAssigned" },
      { mode: "pmk", servicePrincipalClientId: "a-client-id" },
      /managed identity only/,
    ],
  ],
  C5: [
    [
      { mode: "legacy", location: "eastus", clusterIdentityType: "UserAssigned" },
      { mode: "legacy", location: "USGov Iowa", clusterIdentityType: "UserAssigned" },
      /another region/,
    ],
  ],
  D1r: [
    [
      { mode: "legacy", vaultNetworkAccess: "Private", vnetIntegration: true },
      { mode: "legacy", vaultNetworkAccess: "Private", vnetIntegration: false },
      /enableVnetIntegration/,
    ],
  ],
  D2r: [
    [
      { vnetIntegration: true, ownVirtualNetwork: true, apiServerSubnetId: "/subnets/a" },
      { vnetIntegration: true, ownVirtualNetwork: true },
      /subnet of its own/,
    ],
  ],
  D3r: [
    [
      { vnetIntegration: true, apiServerSubnet: { prefixLength: 28, delegations, sharedWithNodes: false } },
      { vnetIntegration: true, apiServerSubnet: { prefixLength: 29, delegations: [], sharedWithNodes: true } },
      /\/29 and is not delegated to .* and has nodes in it/,
    ],
  ],
  D4r: [
    [
      { vnetIntegration: true, vnetIntegrationBefore: true },
      { vnetIntegration: false, vnetIntegrationBefore: true },
      /Azure can't do/,
    ],
  ],
  D5r: [
    [
      { clusterExists: false, vnetIntegration: true, vnetIntegrationBefore: false },
      { clusterExists: true, vnetIntegration: true, vnetIntegrationBefore: false },
      /stop and start/,
    ],
  ],
  D6r: [
    [
      { location: "westeurope", vnetIntegration: true },
      { location: "Qatar Central", vnetIntegration: true },
      /Qatar Central/,
    ],
  ],
  D7r: [
    [
      { mode: "legacy", privateCluster: true, vaultNetworkAccess: "Private", securityGroupAllowsVault: true },
      { mode: "legacy", privateCluster: true, vaultNetworkAccess: "Private", securityGroupAllowsVault: false },
      /TCP 443/,
    ],
  ],
  F1: [
    [
      { vaultNetworkAccess: "Public", vaultPublicNetworkAccess: "Enabled" },
      { vaultNetworkAccess: "Public", vaultPublicNetworkAccess: "disabled" },
      /refuses its public endpoint/,
    ],
  ],
  F2: [
    [
      { mode: "legacy", vaultNetworkAccess: "Public", vaultDefaultAction: "Allow", vaultNetworkRules: 0 },
      { mode: "legacy", vaultNetworkAccess: "Public", vaultDefaultAction: "Deny" },
      /selected networks/,
    ],
    [
      { mode: "legacy", vaultNetworkAccess: "Private", vaultNetworkRules: 1 },
      { mode: "legacy", vaultNetworkAccess: "Public", vaultNetworkRules: 1 },
      /selected networks/,
    ],
  ],
  F3: [
    [
      { mode: "cmk", vaultNetworkAccess: "Private", vaultBypass: "AzureServices" },
      { mode: "cmk", vaultNetworkAccess: "Private", vaultBypass: "None" },
      /trusted service/,
    ],
  ],
  F4: [
    [
      { mode: "cmk", vaultNetworkAccess: "Private", vaultDefaultAction: "Deny" },
      { mode: "cmk", vaultNetworkAccess: "Private", vaultDefaultAction: "Allow" },
      /every network/,
    ],
  ],
  F5: [
    [
      { mode: "cmk", vaultPublicNetworkAccess: "Enabled" },
      { mode: "cmk", vaultPublicNetworkAccess: "SecuredByPerimeter" },
      /perimeter/,
    ],
  ],
  F6: [[{ mode: "legacy", wantsPrivateEndpoint: true }, { mode: "cmk", wantsPrivateEndpoint: true }, /does not use/]],
  G1: [[{ keyType: "RSA-HSM" }, { keyType: "EC" }, /RSA/]],
  G2: [[{ keyOperations: ["decrypt", "encrypt"] }, { keyOperations: ["encrypt"] }, /leave out decrypt/]],
  G3: [[{ keyType: "RSA-HSM", vaultSku: "premium" }, { keyType: "RSA-HSM", vaultSku: "standard" }, /premium/]],
  G4: [[{ keySize: 3072 }, { keySize: 1024 }, /2048, 3072 or 4096/]],
  G5: [
    [{ keyEnabled: true, now }, { keyEnabled: false, now }, /enable the key/],
    [
      { keyNotBefore: "2026-01-01T00:00:00Z", now },
      { keyNotBefore: "2027-01-01T00:00:00Z", now },
      /can't be used before/,
    ],
  ],
  G6: [
    [{ keyExpires: "2027-11-21T00:00:00Z", now }, { keyExpires: "2026-11-20T00:00:00Z", now }, /has expired/],
    [{ keyExpires: "2027-11-21T00:00:00Z", now }, { keyExpires: "2026-12-21T12:00:00Z", now }, /in 30 days/],
  ],
  G7: [
    [
      { mode: "cmk", keyRotationPolicy: { expiryTime: "P1Y" } },
      { mode: "legacy", keyRotationPolicy: { expiryTime: "P1Y" } },
      /P1Y/,
    ],
  ],
  G8: [
    [
      { mode: "legacy", keyRotationPolicy: { actions: [{ type: "notify" }] } },
      { mode: "legacy", keyRotationPolicy: { actions: [{ type: "rotate" }] } },
      /keyVersion/,
    ],
  ],
  G9: [
    [
      { keyRotationPolicy: { actions: [{ type: "rotate", timeAfterCreate: "P1M" }] } },
      { keyRotationPolicy: { actions: [{ type: "rotate", timeAfterCreate: "P6D" }] } },
      /P7D/,
    ],
    [
      { keyRotationPolicy: { expiryTime: "P1Y", actions: [{ type: "rotate", timeBeforeExpiry: "P30D" }] } },
      { keyRotationPolicy: { actions: [{ type: "rotate", timeBeforeExpiry: "P30D" }] } },
      /timeAfterCreate/,
    ],
  ],
  G10: [[{ changedKeySettings: [] }, { changedKeySettings: ["keySize"] }, /\(keySize\).*ignores/]],
  H1: [
    [{ vaultIsNew: true, purgeProtection: true }, { vaultIsNew: true }, /purge protection/],
    [
      { vaultIsNew: false, purgeProtection: true },
      { vaultIsNew: false, purgeProtection: false },
      /unreadable for good/,
    ],
  ],
  H2: [[{ vaultIsNew: true, purgeProtection: true }, { vaultIsNew: true, purgeProtection: false }, /Azure refuses/]],
  H3: [
    [{ softDeleteRetentionInDays: 7 }, { softDeleteRetentionInDays: 91 }, /7 to 90/],
    [
      { softDeleteRetentionInDays: 90, softDeleteRetentionInDaysBefore: 90 },
      { softDeleteRetentionInDays: 90, softDeleteRetentionInDaysBefore: 30 },
      /write 30/,
    ],
  ],
  H4: [[{ softDeleteRetentionInDays: 90 }, { softDeleteRetentionInDays: 30 }, /write 90/]],
  H5: [
    [
      { vaultInUse: false, rbacAuthorization: true, rbacAuthorizationBefore: false },
      { vaultInUse: true, rbacAuthorization: true, rbacAuthorizationBefore: false },
      /stops at once/,
    ],
  ],
  H6: [
    [
      { rbacAuthorization: false, accessPolicies: 1 },
      { rbacAuthorization: true, accessPolicies: 1 },
      /ignored by a vault/,
    ],
  ],
  H7: [[{ vaultApiVersion: "2026-02-01" }, { vaultApiVersion: "2024-11-01" }, /2027-02-27/]],
  H8: [
    [{ vaultName: "etcd-keys" }, { vaultName: "etcd--keys" }, /single hyphens/],
    [{ vaultNameStem: "etcd-vault" }, { vaultNameStem: "encryption-of-production" }, /is missing/],
  ],
  I1: [
    [{ mode: "legacy", identityRoles: roles }, { mode: "legacy", identityRoles: ["Key Vault Reader"] }, /Crypto User/],
    [
      { mode: "legacy", rbacAuthorization: false, identityKeyPermissions: ["Decrypt", "Encrypt"] },
      { mode: "legacy", rbacAuthorization: false, identityKeyPermissions: ["get", "decrypt"] },
      /leaves out encrypt/,
    ],
  ],
  I2: [
    [
      { mode: "legacy", vaultNetworkAccess: "Private", identityRoles: roles },
      { mode: "legacy", vaultNetworkAccess: "Private", identityRoles: ["Key Vault Crypto User"] },
      /Key Vault Contributor/,
    ],
    [
      { mode: "legacy", vaultNetworkAccess: "Private", identityRoles: ["Key Vault Crypto User", "Owner"] },
      { mode: "legacy", vaultNetworkAccess: "Private", identityRoles: ["Key Vault Crypto User", "AcrPull"] },
      /Key Vault Contributor/,
    ],
  ],
  I3: [
    [{ mode: "cmk", identityRoles: roles }, { mode: "cmk", identityRoles: ["Key Vault Crypto User"] }, /Vault Reader/],
  ],
  I4: [
    [
      { mode: "legacy", identityRoles: ["Key Vault Crypto User"] },
      { mode: "legacy", identityRoles: ["Key Vault Crypto Service Encryption User"] },
      /wrap and unwrap/,
    ],
  ],
  I5: [[{ roleScope: vaultId }, { roleScope: `${vaultId}/keys/etcd` }, /at the vault/]],
  J1: [
    [
      { mode: "cmk", kubernetesVersion: "1.33" },
      { mode: "pmk", kubernetesVersion: "1.32.9" },
      /is 1\.32\.9.*1\.33 or newer/,
    ],
  ],
  J2: [
    [
      { kmsV1Before: true, modeBefore: "legacy", mode: "off", kubernetesVersion: "1.27.1" },
      { kmsV1Before: true, modeBefore: "legacy", mode: "legacy", kubernetesVersion: "1.27.1" },
      /turn encryption off/,
    ],
    [
      { kmsV1Before: false, mode: "legacy", kubernetesVersion: "1.28" },
      { mode: "legacy", kubernetesVersion: "1.26.3" },
      /will refuse the upgrade/,
    ],
    [
      { mode: "off", modeBefore: "off", kubernetesVersion: "1.26" },
      { mode: "legacy", kubernetesVersion: "1.26" },
      /KMS v1 bears 2,000 Secrets at the most/,
    ],
  ],
  J3: [
    [
      { kmsV1Before: false, modeBefore: "legacy", mode: "cmk" },
      { kmsV1Before: true, modeBefore: "legacy", mode: "cmk" },
      /KMS v2 first/,
    ],
  ],
  J4: [[{ modeBefore: "cmk", mode: "pmk" }, { modeBefore: "cmk", mode: "off" }, /can't be turned off/]],
  J5: [[{ mode: "pmk" }, { mode: "pmk", keyId }, /platform manages/]],
  J6: [
    [
      { mode: "pmk", aksApiVersion: "2026-05-02-preview", kmsPreviewRegistered: true },
      { mode: "pmk", aksApiVersion: "2026-05-02-preview", kmsPreviewRegistered: false },
      /KMSPMKPreview/,
    ],
  ],
  J7: [
    [
      { mode: "legacy", clusterExists: false, kubernetesVersion: "1.32" },
      { mode: "legacy", clusterExists: false, kubernetesVersion: "1.33" },
      /recommends/,
    ],
    [
      { mode: "legacy", modeBefore: "legacy", clusterExists: true, kubernetesVersion: "1.34" },
      { mode: "legacy", modeBefore: "off", clusterExists: true, kubernetesVersion: "1.34" },
      /recommends/,
    ],
  ],
  J8: [
    [
      { modeBefore: "legacy", mode: "cmk", secretBlockingPolicies: [] },
      { modeBefore: "legacy", mode: "cmk", secretBlockingPolicies: ["deny-secrets"] },
      /deny-secrets/,
    ],
  ],
  K1: [
    [
      {
        mode: "legacy",
        modeBefore: "legacy",
        vaultNetworkAccess: "Private",
        vaultNetworkAccessBefore: "Public",
        keyVaultResourceId: `${vaultId}2`,
        keyIdBefore: keyId,
      },
      {
        mode: "legacy",
        modeBefore: "legacy",
        vaultNetworkAccess: "Private",
        vaultNetworkAccessBefore: "Public",
        keyVaultResourceId: vaultId,
        keyIdBefore: keyId,
      },
      /from Public to Private/,
    ],
  ],
  K2: [
    [{ modeBefore: "legacy", mode: "off", kmsEnabled: false }, { modeBefore: "legacy", mode: "off" }, /write false/],
  ],
  K3: [[{ modeBefore: "off", mode: "off" }, { modeBefore: "legacy", mode: "off", keyIdBefore: keyId }, /keep the key/]],
  K4: [
    [{ kmsEnabled: true, keyId }, { kmsEnabled: true }, /is missing/],
    [{ kmsEnabled: false }, { kmsEnabled: false, keyId }, /leave it out/],
  ],
  L1: [
    [
      { mode: "legacy", clusterExists: true, keyId: otherKeyId, keyIdBefore: keyId, rewrittenWithKeyId: keyId },
      { mode: "legacy", clusterExists: true, keyId: otherKeyId, keyIdBefore: keyId },
      /holds two keys/,
    ],
  ],
  L2: [
    [
      { retiredKeyIds: [keyId], heldKeyIds: [otherKeyId] },
      { retiredKeyIds: [keyId], heldKeyIds: [otherKeyId, keyId.toUpperCase()] },
      /one of the two keys/,
    ],
  ],
  L3: [
    [
      { deletedIds: [vaultId], dependentClusters: [] },
      { deletedIds: [vaultId], dependentClusters: [clusterId] },
      /delete the cluster first/,
    ],
  ],
  M1: [
    [
      { mode: "off", vaultNetworkAccess: "Private", loadBalancerSku: "standard", loadBalancerSkuBefore: "basic" },
      { mode: "legacy", vaultNetworkAccess: "Private", loadBalancerSku: "standard", loadBalancerSkuBefore: "Basic" },
      /turn encryption off/,
    ],
    [
      { mode: "legacy", vaultNetworkAccess: "Public", migratesAvailabilitySet: true },
      { mode: "legacy", vaultNetworkAccess: "Private", migratesAvailabilitySet: true },
      /turn encryption off/,
    ],
  ],
  M2: [[{ mode: "legacy", systemPoolsToZero: [] }, { mode: "legacy", systemPoolsToZero: ["system"] }, /no nodes/]],
  M3: [
    [
      { privateCluster: true, disableRunCommand: true, rewritesInCluster: true },
      { privateCluster: true, disableRunCommand: true, rewritesInCluster: false },
      /disableRunCommand to false and kubernetes\.reach to RunCommand/,
    ],
  ],
};

const foundIn = (facts: GivenFacts, id: string) => {
  const { errors, warnings } = checkRules(azureRules, facts);
  return [...errors, ...warnings].filter((finding) => finding.id === id);
};

describe("the matrix of Azure rules", () => {
  it("every rule has a case here, and every case a rule", () => {
    assert.deepEqual([...new Set(azureRules.map((rule) => rule.id))].sort(), Object.keys(cases).sort());
  });

  for (const [id, pairs] of Object.entries(cases)) {
    it(`${id}: accepts what is right; refuses what is wrong, with a path, the reason and the remedy`, () => {
      for (const [good, bad, says] of pairs) {
        assert.deepEqual(foundIn(good, id), []);
        const [finding, ...more] = foundIn(bad, id);
        assert.ok(finding !== undefined && more.length === 0, JSON.stringify(bad));
        assert.match(`${finding.reason}; ${finding.remedy}`, says);
        for (const text of [finding.reason, finding.remedy]) assert.ok(text.length > 3 && !/[.;]$/.test(text), text);
      }
    });
  }

  it("a rule with an error and a warning level => a case for each", () => {
    const levels = new Set(azureRules.map(({ id, level }) => `${id} ${level}`));
    const seen = Object.entries(cases).flatMap(([id, pairs]) =>
      pairs.flatMap(([, bad]) => foundIn(bad, id).map((finding) => `${id} ${finding.level}`)),
    );
    assert.deepEqual([...new Set(seen)].sort(), [...levels].sort());
  });

  it("a fact that is not known yet => the rules that read it are passed over and named, the others hold", () => {
    for (const { id, reads } of azureRules) {
      for (const [, bad] of cases[id] ?? []) {
        for (const name of reads.filter((fact) => fact in bad)) {
          const { errors, warnings, skipped } = checkRules(azureRules, { ...bad, [name]: notYetKnown });
          assert.ok(![...errors, ...warnings].some((finding) => finding.id === id), `${id} guessed at ${name}`);
          assert.ok(skipped.some((entry) => entry.id === id && entry.paths.includes(name)));
        }
      }
    }
  });

  it("nothing given => nothing wrong but what must be given", () => {
    const { errors, skipped } = checkRules(azureRules, {});
    assert.deepEqual(errors, []);
    assert.deepEqual(skipped, []);
  });
});

describe("findings", () => {
  it("paths of the user's inputs => in place of the facts' names, in findings and in what was skipped", () => {
    const paths = { keySize: "azureKeyVault.key.size", keyType: "azureKeyVault.key.type" };
    const { errors, skipped } = checkRules(azureRules, { keySize: 1, keyType: notYetKnown }, paths);
    const [error] = errors;
    assert.ok(error);
    assert.deepEqual(violationOf(error), {
      path: "azureKeyVault.key.size",
      reason: "is 1; write 2048, 3072 or 4096 (rule G4)",
    });
    assert.equal(
      describeSkipped(skipped),
      "not known before the update: azureKeyVault.key.type; the update itself checks what depends on it (rules G1, G3)",
    );
    assert.equal(describeSkipped([]), undefined);
  });
});
