/** Private endpoints to vaults, their DNS zone groups, and private DNS zones with their links. */
import { randomUUID } from "node:crypto";
import { ArmError } from "../arm-error";
import type { ArmType, PutWork, StoredResource } from "../arm-type";
import { isList, isObject, type Json, type JsonObject, textAt } from "../shape";
import { bodyProperties, keeping, propertiesOf } from "./common";
import {
  networkApiVersions,
  privateEndpointShape,
  privateZoneShape,
  zoneGroupShape,
  zoneLinkShape,
} from "./network-shapes";
import { enterSubnet, leaveSubnet } from "./virtual-networks";

const endpointType = "Microsoft.Network/privateEndpoints";
const zoneType = "Microsoft.Network/privateDnsZones";
const vaultType = "Microsoft.KeyVault/vaults";
const approval = `${vaultType}/PrivateEndpointConnectionsApproval/action`;
const settled = async () => undefined;

export const privateEndpoints: ArmType = {
  type: endpointType,
  apiVersions: networkApiVersions,
  etag: "etag",
  longRunning: true,
  patchTags: true,
  shape: privateEndpointShape,
  put(work) {
    const { body } = work;
    const asked = bodyProperties(work);
    const subnet = textAt(asked, "subnet", "id");
    enterSubnet(work, subnet);
    work.requireLinked("Microsoft.Network/virtualNetworks/subnets/join/action", subnet);
    const automatic = isList(asked["privateLinkServiceConnections"]) ? asked["privateLinkServiceConnections"] : [];
    const manual = isList(asked["manualPrivateLinkServiceConnections"])
      ? asked["manualPrivateLinkServiceConnections"]
      : [];
    if (automatic.length + manual.length !== 1) {
      throw new ArmError(
        400,
        "InvalidRequestFormat",
        "A private endpoint must have exactly one connection, automatic or manual.",
      );
    }
    for (const connection of automatic) work.requireLinked(approval, targetOf(connection));
    const properties = {
      ...asked,
      subnet: { id: subnet },
      privateLinkServiceConnections: automatic.map((connection) => connect(work, connection, "Approved")),
      manualPrivateLinkServiceConnections: manual.map((connection) => connect(work, connection, "Pending")),
      customDnsConfigs: [...automatic, ...manual].map((connection) => ({
        fqdn: `${(targetOf(connection).split("/").at(-1) ?? "").toLowerCase()}.vault.azure.net`,
        ipAddresses: ["10.0.0.4"],
      })),
      networkInterfaces: [
        { id: `${work.id.path.replace(/\/privateEndpoints\/.*/i, "")}/networkInterfaces/${randomUUID()}` },
      ],
    };
    return { body: { ...body, properties }, finish: settled };
  },
  removed(resource, world) {
    leaveSubnet(world, textAt(resource.body, "properties", "subnet", "id"), resource.path);
    for (const vault of world.list(vaultType, "/")) setConnection(vault, resource.path, undefined);
  },
};

/** Connects an endpoint to a vault, as a request does and as AKS does for itself. */
export function connect(work: Pick<PutWork, "world" | "id">, connection: Json, status: string): JsonObject {
  const target = targetOf(connection);
  const vault = work.world.find(target);
  if (vault?.type.type !== vaultType) {
    throw new ArmError(404, "ResourceNotFound", `The private link service '${target}' was not found.`);
  }
  const groups =
    isObject(connection) && isObject(connection["properties"]) ? connection["properties"]["groupIds"] : undefined;
  if (!isList(groups) || groups.length !== 1 || groups[0] !== "vault") {
    throw new ArmError(
      400,
      "InvalidPrivateLinkServiceGroupIds",
      `The group ids of a private link to a key vault must be ["vault"].`,
    );
  }
  setConnection(vault, work.id.path, status);
  return {
    id: `${work.id.path}/privateLinkServiceConnections/${textAt(connection, "name")}`,
    name: textAt(connection, "name"),
    properties: {
      ...(isObject(connection) && isObject(connection["properties"]) ? connection["properties"] : {}),
      privateLinkServiceConnectionState: { status, description: "", actionsRequired: "None" },
      provisioningState: "Succeeded",
    },
  };
}

/** The vault's side of the connection; without a status it goes. */
export function setConnection(vault: StoredResource, endpoint: string, status: string | undefined): void {
  const properties = propertiesOf(vault);
  const known = isList(properties["privateEndpointConnections"]) ? properties["privateEndpointConnections"] : [];
  const others = known.filter((connection) => textAt(connection, "properties", "privateEndpoint", "id") !== endpoint);
  if (status === undefined && others.length === known.length) return;
  const own = {
    id: `${vault.path}/privateEndpointConnections/${endpoint.split("/").at(-1) ?? ""}`,
    properties: {
      privateEndpoint: { id: endpoint },
      privateLinkServiceConnectionState: { status: status ?? "", description: "", actionsRequired: "None" },
      provisioningState: "Succeeded",
    },
  };
  vault.body = {
    ...vault.body,
    properties: { ...properties, privateEndpointConnections: status === undefined ? others : [...others, own] },
  };
}

function targetOf(connection: Json): string {
  return textAt(connection, "properties", "privateLinkServiceId");
}

export const privateDnsZoneGroups: ArmType = {
  type: `${endpointType}/privateDnsZoneGroups`,
  apiVersions: networkApiVersions,
  etag: "etag",
  longRunning: true,
  shape: zoneGroupShape,
  put(work) {
    const asked = bodyProperties(work);
    const configs = isList(asked["privateDnsZoneConfigs"]) ? asked["privateDnsZoneConfigs"] : [];
    for (const config of configs) {
      const zone = textAt(config, "properties", "privateDnsZoneId");
      if (work.world.find(zone)?.type.type !== zoneType) {
        throw new ArmError(
          400,
          "InvalidResourceReference",
          `Resource ${zone} referenced by resource ${work.id.path} was not found.`,
        );
      }
      work.requireLinked(`${zoneType}/join/action`, zone);
    }
    return { body: { properties: asked }, finish: settled };
  },
};

export const privateDnsZones: ArmType = {
  type: zoneType,
  apiVersions: ["2020-06-01", "2024-06-01"],
  name: /^[a-z0-9][-a-z0-9.]*\.[a-z]+$/i,
  etag: "etag",
  longRunning: true,
  patchTags: true,
  shape: privateZoneShape,
  put(work) {
    requireGlobal(work);
    const counts = {
      maxNumberOfRecordSets: 25_000,
      maxNumberOfVirtualNetworkLinks: 1_000,
      maxNumberOfVirtualNetworkLinksWithRegistration: 100,
      numberOfRecordSets: 1,
      numberOfVirtualNetworkLinks: work.world.list(zoneLinks.type, work.id.path).length,
      numberOfVirtualNetworkLinksWithRegistration: 0,
    };
    const known = propertiesOf(work.before);
    return { body: { ...work.body, location: "global", properties: keeping(known, counts) }, finish: settled };
  },
  delete({ world, resource }) {
    if (world.list(zoneLinks.type, resource.path).length > 0) {
      throw new ArmError(
        400,
        "CannotDeleteResource",
        "Cannot delete resource while nested resources exist. Some existing nested resource IDs include the zone's virtual network links. Please delete all nested resources before deleting this resource.",
      );
    }
  },
};

export const zoneLinks: ArmType = {
  type: `${zoneType}/virtualNetworkLinks`,
  apiVersions: ["2020-06-01", "2024-06-01"],
  etag: "etag",
  longRunning: true,
  patchTags: true,
  shape: zoneLinkShape,
  put(work) {
    requireGlobal(work);
    const { world, id, before } = work;
    const asked = bodyProperties(work);
    const network = textAt(asked, "virtualNetwork", "id");
    if (world.find(network) === undefined) {
      throw new ArmError(404, "ResourceNotFound", `The virtual network '${network}' was not found.`);
    }
    work.requireLinked("Microsoft.Network/virtualNetworks/join/action", network);
    const same = world
      .list(zoneLinks.type, id.parent)
      .find(
        (link) =>
          link !== before &&
          textAt(link.body, "properties", "virtualNetwork", "id").toLowerCase() === network.toLowerCase(),
      );
    if (same !== undefined) {
      throw new ArmError(
        409,
        "Conflict",
        `A virtual network cannot be linked to a zone twice: '${same.path}' links '${network}'.`,
      );
    }
    const properties = { registrationEnabled: false, ...asked, virtualNetworkLinkState: "Completed" };
    return { body: { ...work.body, location: "global", properties }, finish: settled };
  },
};

function requireGlobal({ body }: PutWork): void {
  if (textAt(body, "location").toLowerCase() !== "global") {
    throw new ArmError(
      400,
      "LocationNotAvailableForResourceType",
      `The provided location '${textAt(body, "location")}' is not available for resource type '${zoneType}'. List of available regions for the resource type is 'global'.`,
    );
  }
}
