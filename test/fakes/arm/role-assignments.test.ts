import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type ArmRequests, armRequests } from "./arm-requests";
import { type FakeArm, startFakeArm } from "./fake-arm";
import { roles } from "./roles";
import { type JsonObject, textAt } from "./shape";

const version = "2022-04-01";

describe("role assignments of the fake ARM", function () {
  this.timeout(20_000);
  let fake: FakeArm;
  let arm: ArmRequests;
  let group: string;
  before(async () => {
    fake = await startFakeArm({ secondOpinion: "cached" });
    arm = armRequests(fake);
    group = await arm.group();
  });
  after(async () => {
    await arm.close();
    await fake.close();
  });

  const definition = (role: { id: string }) =>
    `/subscriptions/${fake.subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${role.id}`;
  const assign = (properties: JsonObject, name: string = randomUUID()) =>
    arm.put(`${group}/providers/Microsoft.Authorization/roleAssignments/${name}`, version, { properties });
  const of = (principalId: string, more: JsonObject = {}) => ({
    roleDefinitionId: definition(roles.reader),
    principalId,
    principalType: "ServicePrincipal",
    ...more,
  });

  it("the name is a GUID of the caller's, and PUT of the same again is no conflict", async () => {
    const { objectId } = fake.addApplication();
    assert.equal((await assign(of(objectId), "reader")).status, 400);
    const name = randomUUID();
    assert.equal((await assign(of(objectId), name)).status, 201);
    assert.equal((await assign(of(objectId), name)).status, 200);
  });

  it("the same principal, role and scope under another name => 409 RoleAssignmentExists with the other's name", async () => {
    const { objectId } = fake.addApplication();
    const name = randomUUID();
    await assign(of(objectId), name);
    const { status, code, message } = await assign(of(objectId));
    assert.deepEqual([status, code], [409, "RoleAssignmentExists"]);
    assert.ok(message.includes(name.replaceAll("-", "")));
  });

  it("another principal or role under the same name => 409 RoleAssignmentUpdateNotPermitted", async () => {
    const name = randomUUID();
    const { objectId } = fake.addApplication();
    await assign(of(objectId), name);
    const { status, code } = await assign(of(objectId, { roleDefinitionId: definition(roles.owner) }), name);
    assert.deepEqual([status, code], [409, "RoleAssignmentUpdateNotPermitted"]);
  });

  it("a role that there is not => 404 RoleDefinitionDoesNotExist", async () => {
    const { objectId } = fake.addApplication();
    const { status, code } = await assign(of(objectId, { roleDefinitionId: definition({ id: randomUUID() }) }));
    assert.deepEqual([status, code], [404, "RoleDefinitionDoesNotExist"]);
  });

  it("a new identity's principal is not found for a while, unless the request says that it is a service principal", async () => {
    fake.arm.directory.delayMs = 60_000;
    const identity = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/new`;
    const { body } = await arm.put(identity, "2023-01-31", { location: "westeurope" });
    fake.arm.directory.delayMs = 0;
    const principalId = textAt(body, "properties", "principalId");
    const { principalType: _, ...untyped } = of(principalId);
    const refused = await assign(untyped);
    assert.deepEqual([refused.status, refused.code], [400, "PrincipalNotFound"]);
    assert.equal((await assign(of(principalId, { principalType: "User" }))).code, "PrincipalNotFound");
    assert.equal((await assign(of(principalId))).status, 201);
  });

  it("a principal that is known by another type => 400 UnmatchedPrincipalType", async () => {
    const { objectId } = fake.addApplication();
    assert.equal((await assign(of(objectId, { principalType: "User" }))).code, "UnmatchedPrincipalType");
  });

  it("is effective only after a while, and so is taking it away", async () => {
    const reader = fake.addApplication();
    const seen = async () => (await arm.ask("GET", group, "2024-03-01", { as: reader })).status;
    fake.arm.access.delayMs = 10 * 60_000;
    const name = randomUUID();
    await assign(of(reader.objectId), name);
    assert.equal(await seen(), 403);
    fake.azure.clockAheadMs += 11 * 60_000;
    assert.equal(await seen(), 200);
    await arm.ask("DELETE", `${group}/providers/Microsoft.Authorization/roleAssignments/${name}`, version);
    assert.equal(await seen(), 200);
    fake.azure.clockAheadMs += 11 * 60_000;
    assert.equal(await seen(), 403);
    fake.azure.clockAheadMs = 0;
    fake.arm.access.delayMs = 0;
  });

  it("can be listed on a scope by principal, with those from above", async () => {
    const { objectId } = fake.addApplication();
    await assign(of(objectId));
    const vault = `${group}/providers/Microsoft.KeyVault/vaults/listed`;
    const properties = { tenantId: fake.tenantId, sku: { family: "A", name: "standard" } };
    await arm.put(vault, "2024-11-01", { location: "westeurope", properties });
    const { body } = await arm.ask("GET", `${vault}/providers/Microsoft.Authorization/roleAssignments`, version, {
      query: `&$filter=${encodeURIComponent(`principalId eq '${objectId}'`)}`,
    });
    assert.equal((body["value"] as unknown[]).length, 1);
  });
});
