import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { principalOf } from "../../../components/azure/azure-key-user";
import { KeyAccess } from "../../../components/azure/key-access";
import { VaultAuthorization } from "../../../components/azure/vault-choices";
import { azureRoles, roleAssignmentName, roleDefinitionId } from "../../../core/azure-roles";
import { typeTokens } from "../../../core/type-tokens";
import { refusedInput } from "../support/refused-input";
import {
  deployerObjectId,
  group,
  type RecordedAzure,
  recordAzure,
  subscriptionId,
  valueOf,
  vaultId,
} from "./recorded-azure";

const identityId = `${group}/Microsoft.ManagedIdentity/userAssignedIdentities/cluster`;
const machineId = `${group}/Microsoft.Compute/virtualMachines/cp-0`;
const roleAssignment = "azure-native:authorization:RoleAssignment";
const accessPolicy = "azure-native:keyvault:AccessPolicy";

describe("KeyAccess", () => {
  let azure: RecordedAzure;

  beforeEach(async () => {
    azure = await recordAzure();
  });

  it("a vault with RBAC => Key Vault Crypto User at the vault, of the identity's object id, under a name that is always the same", async () => {
    const access = new KeyAccess("etcd", { vaultId, users: { cluster: { identityId } } });
    assert.equal(await valueOf(access.vaultId), vaultId);
    assert.deepEqual(azure.of(roleAssignment), [
      {
        type: roleAssignment,
        name: "etcd-cluster",
        inputs: {
          scope: vaultId,
          principalId: "object-of-cluster",
          principalType: "ServicePrincipal",
          roleDefinitionId: roleDefinitionId(subscriptionId, "Key Vault Crypto User"),
          roleAssignmentName: roleAssignmentName(vaultId, "object-of-cluster", "Key Vault Crypto User"),
        },
      },
    ]);
    assert.deepEqual(azure.of(accessPolicy), []);
  });

  it("a vault with access policies => the seed's permissions, decrypt and encrypt, and no role", async () => {
    const access = new KeyAccess("etcd", {
      vaultId,
      authorization: VaultAuthorization.AccessPolicies,
      users: { cluster: { identityId } },
    });
    await valueOf(access.vaultId);
    assert.deepEqual(azure.of(accessPolicy)[0]?.inputs, {
      resourceGroupName: "rg",
      vaultName: "found-vault",
      policy: {
        objectId: "object-of-cluster",
        tenantId: "the-tenant",
        permissions: { keys: ["decrypt", "encrypt"] },
      },
    });
    assert.deepEqual(azure.of(roleAssignment), []);
  });

  it("each virtual machine => its own system-assigned identity", async () => {
    const users = {
      "cp-0": { virtualMachineId: machineId },
      "cp-1": { virtualMachineId: machineId.replace("0", "1") },
    };
    users["cp-1"] = { virtualMachineId: `${group}/Microsoft.Compute/virtualMachines/cp-1` };
    await valueOf(new KeyAccess("etcd", { vaultId, users }).vaultId);
    assert.deepEqual(
      azure.of(roleAssignment).map(({ name, inputs }) => [name, inputs["principalId"]]),
      [
        ["etcd-cp-0", "object-of-cp-0"],
        ["etcd-cp-1", "object-of-cp-1"],
      ],
    );
  });

  it("a machine without an identity => refused, with the command that turns it on", async () => {
    const bare = `${group}/Microsoft.Compute/virtualMachines/bare`;
    const parent = new pulumi.ComponentResource("test:index:Parent", "parent");
    const { objectId } = principalOf("etcd-bare", { virtualMachineId: bare }, parent);
    await assert.rejects(valueOf(objectId), /has no system-assigned identity; turn it on \(az vm identity assign/);
  });

  it("a service principal, a person and a group => looked up first; the grant takes the looked-up object id and says the kind", async () => {
    const users = {
      sp: { servicePrincipalObjectId: "11111111-0000-4000-8000-000000000001" },
      me: { userObjectId: "11111111-0000-4000-8000-000000000002" },
      ops: { groupObjectId: "11111111-0000-4000-8000-000000000003" },
    };
    await valueOf(new KeyAccess("etcd", { vaultId, users }).vaultId);
    assert.deepEqual(
      azure.of(typeTokens.azurePrincipal).map(({ inputs }) => inputs["kind"]),
      ["ServicePrincipal", "User", "Group"],
    );
    assert.deepEqual(
      azure.of(roleAssignment).map(({ inputs }) => inputs["principalType"]),
      ["ServicePrincipal", "User", "Group"],
    );
  });

  it("connectPrivateEndpoints => Key Vault Contributor too, a role whatever the vault does for keys", async () => {
    for (const authorization of Object.values(VaultAuthorization)) {
      azure = await recordAzure();
      const inputs = { vaultId, authorization, users: { cluster: { identityId } }, connectPrivateEndpoints: true };
      await valueOf(new KeyAccess("etcd", inputs).vaultId);
      const contributor = azure.of(roleAssignment).filter(({ name }) => name === "etcd-cluster-contributor");
      assert.equal(contributor.length, 1);
      assert.match(String(contributor[0]?.inputs["roleDefinitionId"]), new RegExp(azureRoles["Key Vault Contributor"]));
    }
  });

  it("the deployer and an administrator => Crypto Officer, or the permissions to make and change keys, not to delete them", async () => {
    const inputs = { vaultId, deployerAdministers: true, administrators: { ops: { identityId } } };
    await valueOf(new KeyAccess("etcd", inputs).vaultId);
    assert.deepEqual(
      azure.of(roleAssignment).map(({ name, inputs }) => [name, inputs["principalId"], inputs["principalType"]]),
      [
        ["etcd-admin-ops", "object-of-cluster", "ServicePrincipal"],
        ["etcd-deployer", deployerObjectId, "ServicePrincipal"],
      ],
    );
    azure = await recordAzure();
    await valueOf(new KeyAccess("etcd", { ...inputs, authorization: VaultAuthorization.AccessPolicies }).vaultId);
    for (const { inputs: policy } of azure.of(accessPolicy)) {
      const { keys } = (policy["policy"] as { permissions: { keys: string[] } }).permissions;
      assert.deepEqual(keys, ["create", "get", "list", "recover", "update"]);
    }
  });

  it("the component's own fields => its outputs and nothing private", () => {
    const base = new Set(Object.keys(new pulumi.ComponentResource("test:index:Empty", "empty")));
    const own = Object.keys(new KeyAccess("etcd", { vaultId })).filter(
      (name) => !base.has(name) && !name.startsWith("__"),
    );
    assert.deepEqual(own, ["vaultId"]);
  });

  const clientId = "99999999-0000-4000-8000-000000000009";
  const bad: readonly (readonly [string, object, string, RegExp])[] = [
    [
      "a client id",
      { users: { sp: { clientId } } },
      "users.sp.clientId",
      new RegExp(`az ad sp show --id ${clientId} --query id`),
    ],
    ["no way to name a user", { users: { sp: {} } }, "users.sp", /names 0 principals; give exactly one of identityId/],
    ["two ways", { users: { sp: { identityId, userObjectId: "x" } } }, "users.sp", /names 2 principals/],
    ["a misspelt way", { users: { sp: { identityID: identityId } } }, "users.sp.identityID", /is not an input/],
    ["a name with a blank", { users: { "s p": { identityId } } }, "users.s p", /letters, digits and hyphens/],
    ["a misspelt input", { user: {} }, "user", /is not an input; the inputs are vaultId/],
  ];
  for (const [name, changed, path, reason] of bad) {
    it(`${name} => an InputPropertyError at ${path}, and no resource`, () => {
      assert.throws(() => new KeyAccess("etcd", { vaultId, ...changed }), refusedInput(path, reason));
      assert.deepEqual(azure.registered, []);
    });
  }

  it("a vaultId that is no resource id => refused when it is known", async () => {
    const access = new KeyAccess("etcd", { vaultId: pulumi.output("found-vault") });
    await assert.rejects(valueOf(access.vaultId), /is "found-vault", which is no resource id of a vault/);
  });
});
