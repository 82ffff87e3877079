import assert from "node:assert/strict";
import * as fc from "fast-check";
import { type AzureRole, azureRoles, roleAssignmentName, roleDefinitionId } from "../../core/azure-roles";

const scope =
  "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/v";
const principal = "11111111-1111-4111-8111-111111111111";

describe("names of role assignments", () => {
  it("the same grant, in any case => the same UUID of version 5; it must never change, running stacks have it in their state", () => {
    const name = roleAssignmentName(scope, principal, "Key Vault Crypto User");
    assert.equal(name, "2653473d-4050-582f-8457-d7fc41467716");
    assert.equal(roleAssignmentName(scope.toUpperCase(), principal, "Key Vault Crypto User"), name);
  });

  it("another place, principal or role => another name", () => {
    const role = fc.constantFrom(...(Object.keys(azureRoles) as AzureRole[]));
    const grant = fc.tuple(fc.constantFrom(scope, `${scope}2`), fc.uuid(), role);
    fc.assert(
      fc.property(grant, grant, (one, other) => {
        const same = one.join("|").toLowerCase() === other.join("|").toLowerCase();
        assert.equal(roleAssignmentName(...one) === roleAssignmentName(...other), same);
        assert.match(
          roleAssignmentName(...one),
          /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
        );
      }),
    );
  });

  it("a role => its definition in the subscription", () => {
    assert.match(roleDefinitionId("s", "Key Vault Contributor"), /^\/subscriptions\/s\/.*\/f25e0fa2-/);
  });
});
