import assert from "node:assert/strict";
import { type ArmRequests, armRequests } from "./arm-requests";
import { type FakeArm, startFakeArm } from "./fake-arm";
import { roles } from "./roles";
import type { JsonObject } from "./shape";

const version = "2024-05-01";
const dns = "2024-06-01";

describe("networks, private endpoints and their names in the fake ARM", function () {
  this.timeout(20_000);
  let fake: FakeArm;
  let arm: ArmRequests;
  let group: string;
  let network: string;
  let vault: string;
  before(async () => {
    fake = await startFakeArm({ secondOpinion: "cached" });
    arm = armRequests(fake);
    group = await arm.group();
    network = `${group}/providers/Microsoft.Network/virtualNetworks/net`;
    vault = `${group}/providers/Microsoft.KeyVault/vaults/linked`;
    await arm.put(network, version, {
      location: "westeurope",
      properties: { addressSpace: { addressPrefixes: ["10.0.0.0/16"] }, subnets: [subnet("a", "10.0.0.0/24")] },
    });
    const properties = { tenantId: fake.tenantId, sku: { family: "A", name: "standard" } };
    await arm.put(vault, "2024-11-01", { location: "westeurope", properties });
  });
  after(async () => {
    await arm.close();
    await fake.close();
  });

  const subnet = (name: string, addressPrefix: string) => ({ name, properties: { addressPrefix } });
  const endpointPath = (name: string) => `${group}/providers/Microsoft.Network/privateEndpoints/${name}`;
  const endpoint = (change: JsonObject = {}, kind = "privateLinkServiceConnections") => ({
    location: "westeurope",
    properties: {
      subnet: { id: `${network}/subnets/a` },
      [kind]: [{ name: "vault", properties: { privateLinkServiceId: vault, groupIds: ["vault"], ...change } }],
    },
  });

  it("a subnet lies in its network, and on no other subnet", async () => {
    const outside = await arm.put(`${network}/subnets/b`, version, subnet("b", "10.1.0.0/24"));
    assert.equal(outside.code, "NetcfgSubnetRangeOutsideVnet");
    const overlapping = await arm.put(`${network}/subnets/b`, version, subnet("b", "10.0.0.128/25"));
    assert.equal(overlapping.code, "NetcfgSubnetRangesOverlap");
    assert.equal((await arm.put(`${network}/subnets/b`, version, subnet("b", "10.0.1.0/24"))).code, "");
  });

  it("PUT of a network without one of its subnets deletes that subnet", async () => {
    const body = {
      location: "westeurope",
      properties: { addressSpace: { addressPrefixes: ["10.0.0.0/16"] }, subnets: [subnet("a", "10.0.0.0/24")] },
    };
    await arm.put(network, version, body);
    assert.equal((await arm.ask("GET", `${network}/subnets/b`, version)).code, "ResourceNotFound");
  });

  it("an endpoint is approved at once where the caller may approve, and shows on the vault; deleting it takes that away", async () => {
    const { code, body } = await arm.put(endpointPath("pe"), version, endpoint());
    assert.equal(code, "");
    assert.match(JSON.stringify(body), /"status":"Approved"/);
    const seen = async () => JSON.stringify((await arm.ask("GET", vault, "2024-11-01")).body["properties"]);
    assert.match(await seen(), /privateEndpoints\/pe/);
    const inUse = await arm.ask("DELETE", `${network}/subnets/a`, version);
    assert.equal(inUse.code, "InUseSubnetCannotBeDeleted");
    await arm.follow(await arm.ask("DELETE", endpointPath("pe"), version));
    assert.doesNotMatch(await seen(), /privateEndpoints\/pe/);
  });

  it("a caller who may not approve gets a manual connection only, which waits", async () => {
    const operator = fake.addApplication(roles.networkContributor);
    const refused = await arm.put(endpointPath("pe2"), version, endpoint(), { as: operator });
    assert.equal(refused.code, "LinkedAuthorizationFailed");
    assert.match(refused.message, /PrivateEndpointConnectionsApproval\/action/);
    const manual = await arm.ask("PUT", endpointPath("pe2"), version, {
      body: endpoint({}, "manualPrivateLinkServiceConnections"),
      as: operator,
    });
    assert.match(JSON.stringify(manual.body), /"status":"Pending"/);
    await arm.follow(manual);
  });

  it("an endpoint to a vault has the group vault, one connection, and a subnet that exists", async () => {
    assert.equal(
      (await arm.put(endpointPath("pe3"), version, endpoint({ groupIds: ["keys"] }))).code,
      "InvalidPrivateLinkServiceGroupIds",
    );
    const two = {
      ...endpoint(),
      properties: { ...endpoint().properties, ...endpoint({}, "manualPrivateLinkServiceConnections").properties },
    };
    assert.equal((await arm.put(endpointPath("pe3"), version, two)).code, "InvalidRequestFormat");
    const nowhere = {
      ...endpoint(),
      properties: { ...endpoint().properties, subnet: { id: `${network}/subnets/none` } },
    };
    assert.equal((await arm.put(endpointPath("pe3"), version, nowhere)).code, "InvalidResourceReference");
  });

  it("a private zone is global, linked once to a network, goes only without links, and groups name it", async () => {
    const zone = `${group}/providers/Microsoft.Network/privateDnsZones/privatelink.vaultcore.azure.net`;
    assert.equal((await arm.put(zone, dns, { location: "westeurope" })).code, "LocationNotAvailableForResourceType");
    assert.equal((await arm.put(zone, dns, { location: "Global" })).code, "");
    const link = { location: "global", properties: { virtualNetwork: { id: network }, registrationEnabled: false } };
    assert.equal((await arm.put(`${zone}/virtualNetworkLinks/one`, dns, link)).code, "");
    assert.equal((await arm.put(`${zone}/virtualNetworkLinks/two`, dns, link)).code, "Conflict");
    assert.equal((await arm.ask("DELETE", zone, dns)).code, "CannotDeleteResource");

    await arm.put(endpointPath("pe4"), version, endpoint());
    const config = (privateDnsZoneId: string) => ({
      properties: { privateDnsZoneConfigs: [{ name: "vault", properties: { privateDnsZoneId } }] },
    });
    const groupPath = `${endpointPath("pe4")}/privateDnsZoneGroups/default`;
    assert.equal((await arm.put(groupPath, version, config(`${zone}2`))).code, "InvalidResourceReference");
    assert.equal((await arm.put(groupPath, version, config(zone))).code, "");
  });
});
