import assert from "node:assert/strict";
import { ArmError } from "./arm-error";
import { type ArmRequests, armRequests } from "./arm-requests";
import { type FakeArm, startFakeArm } from "./fake-arm";
import { roles } from "./roles";
import { textAt } from "./shape";

const identityVersion = "2023-01-31";
const groupVersion = "2024-03-01";

describe("the fake ARM refuses what ARM refuses", function () {
  this.timeout(20_000);
  let fake: FakeArm;
  let arm: ArmRequests;
  let group: string;
  let identity: string;
  before(async () => {
    fake = await startFakeArm({ secondOpinion: "cached" });
    arm = armRequests(fake);
    group = await arm.group();
    identity = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kms`;
    await arm.put(identity, identityVersion, { location: "westeurope" });
  });
  after(async () => {
    await arm.close();
    await fake.close();
  });

  it("takes a request that is in order", async () => {
    const { status, body } = await arm.ask("GET", identity, identityVersion);
    assert.equal(status, 200);
    assert.equal(body["id"], identity);
    assert.equal(body["type"], "Microsoft.ManagedIdentity/userAssignedIdentities");
  });

  it("no token, another audience, an expired one, one of another tenant => 401, with the reason in the code", async () => {
    const principal = { objectId: "o", clientId: "c", tenantId: fake.tenantId };
    const other = fake.azure.entra.issue(principal, "https://vault.azure.net").accessToken;
    const foreign = fake.azure.entra.issue(
      { ...principal, tenantId: "another" },
      "https://management.azure.com",
    ).accessToken;
    for (const [token, code] of [
      ["", "AuthenticationFailed"],
      ["a.b.c", "InvalidAuthenticationToken"],
      [other, "InvalidAuthenticationTokenAudience"],
      [foreign, "InvalidAuthenticationTokenTenant"],
    ] as const) {
      const answer = await arm.ask("GET", identity, identityVersion, { token });
      assert.deepEqual([answer.status, answer.code], [401, code]);
    }
    const old = fake.token(fake.deployer);
    fake.azure.clockAheadMs = 2 * 60 * 60 * 1_000;
    const expired = await arm.ask("GET", identity, identityVersion, { token: old });
    fake.azure.clockAheadMs = 0;
    assert.equal(expired.code, "ExpiredAuthenticationToken");
  });

  it("no api-version, a malformed one, one that the type does not have => 400", async () => {
    for (const [version, code] of [
      ["", "MissingApiVersionParameter"],
      ["2024", "InvalidApiVersionParameter"],
      ["2019-01-01", "NoRegisteredProviderFound"],
    ] as const) {
      const answer = await arm.ask("GET", identity, version);
      assert.deepEqual([answer.status, answer.code], [400, code]);
    }
  });

  it("a subscription, a group, a parent, a resource or a type that is not there => 404, each with its code", async () => {
    const missing: readonly (readonly [string, string, string])[] = [
      [
        identity.replace(fake.subscriptionId, "00000000-0000-0000-0000-000000000000"),
        identityVersion,
        "SubscriptionNotFound",
      ],
      [identity.replace("/rg/", "/none/"), identityVersion, "ResourceGroupNotFound"],
      [identity.replace("/kms", "/none"), identityVersion, "ResourceNotFound"],
      [`${group}/providers/Microsoft.Compute/disks/disk`, identityVersion, "InvalidResourceType"],
    ];
    for (const [path, version, code] of missing) {
      const answer = await arm.ask("GET", path, version);
      assert.deepEqual([answer.status, answer.code], [404, code]);
    }
    const key = `${group}/providers/Microsoft.KeyVault/vaults/none/keys/key`;
    const answer = await arm.ask("PUT", key, "2024-11-01", { body: { properties: {} } });
    assert.deepEqual([answer.status, answer.code], [404, "ParentResourceNotFound"]);
  });

  it("a property that the type does not have => 400 that names it, with its whole path", async () => {
    const answer = await arm.put(`${identity}2`, identityVersion, { location: "westeurope", tag: {} });
    assert.deepEqual([answer.status, answer.code], [400, "InvalidRequestContent"]);
    assert.match(answer.message, /\btag\b/);
    const vault = {
      location: "westeurope",
      properties: { tenantId: fake.tenantId, sku: { family: "A", name: "standard", tear: 1 } },
    };
    const nested = await arm.put(`${group}/providers/Microsoft.KeyVault/vaults/strictvault`, "2024-11-01", vault);
    assert.match(nested.message, /properties\.sku\.tear/);
  });

  it("a required property left out, a wrong type, a value out of the list, no JSON, no body => 400", async () => {
    const path = `${group}/providers/Microsoft.KeyVault/vaults/strictvault`;
    const properties = { tenantId: fake.tenantId, sku: { family: "A", name: "standard" } };
    for (const [body, said] of [
      [{ properties }, /location: is required/],
      [
        { location: "westeurope", properties: { ...properties, enableSoftDelete: "yes" } },
        /enableSoftDelete: expected a Boolean/,
      ],
      [{ location: "westeurope", properties: { ...properties, networkAcls: { bypass: "All" } } }, /'All' is none of/],
    ] as const) {
      const answer = await arm.put(path, "2024-11-01", body);
      assert.deepEqual([answer.status, answer.code], [400, "InvalidRequestContent"]);
      assert.match(answer.message, said);
    }
    const empty = await arm.ask("PUT", path, "2024-11-01");
    assert.equal(empty.code, "MissingRequestBody");
    const form = await arm.ask("PUT", path, "2024-11-01", { body: {}, headers: { "content-type": "text/plain" } });
    assert.equal(form.status, 415);
  });

  it("what GET gave can be sent back by PUT: read-only properties are ignored", async () => {
    const { body } = await arm.ask("GET", identity, identityVersion);
    const again = await arm.put(identity, identityVersion, body);
    assert.equal(again.status, 200);
    assert.deepEqual(again.body, body);
  });

  it("a region that there is not, and another one for what is there => 400 and 409", async () => {
    const elsewhere = await arm.put(`${identity}2`, identityVersion, { location: "moon" });
    assert.deepEqual([elsewhere.status, elsewhere.code], [400, "LocationNotAvailableForResourceType"]);
    const moved = await arm.put(identity, identityVersion, { location: "eastus" });
    assert.deepEqual([moved.status, moved.code], [409, "InvalidResourceLocation"]);
  });

  it("a caller without the permission => 403 with the action and the scope; with the role, the same request passes", async () => {
    const stranger = fake.addApplication(roles.reader);
    assert.equal((await arm.ask("GET", identity, identityVersion, { as: stranger })).status, 200);
    const refused = await arm.put(`${identity}3`, identityVersion, { location: "westeurope" }, { as: stranger });
    assert.deepEqual([refused.status, refused.code], [403, "AuthorizationFailed"]);
    assert.match(refused.message, /userAssignedIdentities\/write' over scope '.*kms3'/);
    fake.arm.access.grant(stranger.objectId, roles.contributor, group);
    assert.equal(
      (await arm.put(`${identity}3`, identityVersion, { location: "westeurope" }, { as: stranger })).status,
      201,
    );
  });

  it("Contributor may not assign roles", async () => {
    const contributor = fake.addApplication(roles.contributor);
    const path = `${group}/providers/Microsoft.Authorization/roleAssignments/11111111-1111-4111-8111-111111111111`;
    const { code } = await arm.ask("PUT", path, "2022-04-01", { body: { properties: {} }, as: contributor });
    assert.equal(code, "AuthorizationFailed");
  });

  it("lists come in pages that lead on", async () => {
    fake.arm.pageSize = 1;
    const list = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities`;
    const first = await arm.ask("GET", list, identityVersion);
    assert.equal((first.body["value"] as unknown[]).length, 1);
    const next = new URL(textAt(first.body, "nextLink"));
    const second = await arm.ask("GET", next.pathname, identityVersion, {
      query: `&$skiptoken=${next.searchParams.get("$skiptoken") ?? ""}`,
    });
    assert.equal((second.body["value"] as unknown[]).length, 1);
    assert.notDeepEqual(second.body["value"], first.body["value"]);
    fake.arm.pageSize = 100;
  });

  it("a fault on order is answered once, with its headers", async () => {
    fake.arm.failNext(
      new ArmError(429, "TooManyRequests", "Number of requests exceeded the limit.", { "retry-after": "7" }),
      ({ path }) => path === identity,
    );
    const throttled = await arm.ask("GET", identity, identityVersion);
    assert.deepEqual([throttled.status, throttled.headers["retry-after"]], [429, "7"]);
    assert.equal((await arm.ask("GET", identity, identityVersion)).status, 200);
  });

  it("PATCH takes tags and nothing else", async () => {
    const tagged = await arm.ask("PATCH", identity, identityVersion, { body: { tags: { team: "a" } } });
    assert.deepEqual([tagged.status, tagged.body["tags"]], [200, { team: "a" }]);
    assert.equal((await arm.ask("PATCH", identity, identityVersion, { body: { properties: {} } })).status, 400);
  });

  it("deleting a group goes on after the answer, and takes all that is in it; what is not there is 204", async () => {
    const path = `/subscriptions/${fake.subscriptionId}/resourceGroups/other`;
    await arm.put(path, groupVersion, { location: "westeurope" });
    const inside = `${path}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kms`;
    await arm.put(inside, identityVersion, { location: "westeurope" });
    const answer = await arm.ask("DELETE", path, groupVersion);
    assert.equal(answer.status, 202);
    assert.equal((await arm.follow(answer)).body["status"], "Succeeded");
    assert.equal((await arm.ask("GET", inside, identityVersion)).code, "ResourceGroupNotFound");
    assert.equal((await arm.ask("DELETE", `${identity}9`, identityVersion)).status, 204);
  });
});
