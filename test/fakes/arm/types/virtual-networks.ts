/** Virtual networks, their subnets, and network security groups. A subnet is in its network's body and a resource of its own. */
import { randomUUID } from "node:crypto";
import { ArmError } from "../arm-error";
import type { ArmType, ArmWorld, PutWork, StoredResource } from "../arm-type";
import { isList, isObject, type Json, type JsonObject, textAt } from "../shape";
import { bodyProperties, propertiesOf, regionOf } from "./common";
import { networkApiVersions, securityGroupShape, subnetShape, virtualNetworkShape } from "./network-shapes";
import { isInside, overlap } from "./subnet-addresses";

const networkType = "Microsoft.Network/virtualNetworks";
const subnetType = `${networkType}/subnets`;
const settled = async () => undefined;

export const virtualNetworks: ArmType = {
  type: networkType,
  apiVersions: networkApiVersions,
  name: /^[a-zA-Z0-9](?:[-\w.]{0,62}\w)?$/,
  etag: "etag",
  longRunning: true,
  patchTags: true,
  shape: virtualNetworkShape,
  put(work) {
    const { body, before, world, id } = work;
    const location = regionOf(networkType, body["location"]);
    const { subnets: given, ...rest } = bodyProperties(work);
    const wanted = isList(given) ? given : [];
    const names = wanted.map((subnet) => textAt(subnet, "name").toLowerCase());
    for (const subnet of world.list(subnetType, id.path)) {
      // A PUT without a subnet deletes it: the trap for networks whose subnets are resources of their own.
      if (names.includes((subnet.id.names.at(-1) ?? "").toLowerCase())) continue;
      requireUnused(subnet);
      world.remove(subnet.path);
    }
    const space = prefixesOf(rest["addressSpace"], "addressPrefixes");
    for (const subnet of wanted) {
      const inner = isObject(subnet) && isObject(subnet["properties"]) ? subnet["properties"] : {};
      const path = `${id.path}/subnets/${textAt(subnet, "name")}`;
      const known = propertiesOf(world.find(path));
      requireFits(path, inner, space, world, id.path);
      world.store(path, { properties: { ...defaultsOf(inner, known), ...inner } });
    }
    const properties = {
      resourceGuid: propertiesOf(before)["resourceGuid"] ?? randomUUID(),
      enableDdosProtection: false,
      ...rest,
    };
    return { body: { ...body, location, properties }, finish: settled };
  },
  view(resource, world) {
    const subnets = world.list(subnetType, resource.path).map((subnet) => ({
      id: subnet.path,
      name: subnet.id.names.at(-1) ?? "",
      type: subnetType,
      etag: subnet.etag,
      ...subnet.body,
    }));
    return { ...resource.body, properties: { ...propertiesOf(resource), subnets } };
  },
  delete: ({ world, resource }) => {
    for (const subnet of world.list(subnetType, resource.path)) requireUnused(subnet);
  },
};

export const subnets: ArmType = {
  type: subnetType,
  apiVersions: networkApiVersions,
  name: /^[a-zA-Z0-9](?:[-\w.]{0,78}\w)?$/,
  etag: "etag",
  longRunning: true,
  shape: subnetShape,
  put(work) {
    const { before, world, id } = work;
    const asked = bodyProperties(work);
    const network = world.find(id.parent);
    const space = prefixesOf(propertiesOf(network)["addressSpace"], "addressPrefixes");
    requireFits(id.path, asked, space, world, id.parent);
    if (network?.busy !== undefined) {
      throw new ArmError(
        429,
        "AnotherOperationInProgress",
        "Another operation on this or dependent resource is in progress.",
        {
          "retry-after": "0",
        },
      );
    }
    return { body: { properties: { ...defaultsOf(asked, propertiesOf(before)), ...asked } }, finish: settled };
  },
  delete: ({ resource }) => requireUnused(resource),
};

export const securityGroups: ArmType = {
  type: "Microsoft.Network/networkSecurityGroups",
  apiVersions: networkApiVersions,
  etag: "etag",
  longRunning: true,
  patchTags: true,
  shape: securityGroupShape,
  put(work) {
    const location = regionOf("Microsoft.Network/networkSecurityGroups", work.body["location"]);
    const properties = { resourceGuid: randomUUID(), securityRules: [], ...bodyProperties(work) };
    return { body: { ...work.body, location, properties }, finish: settled };
  },
};

function prefixesOf(value: Json | undefined, name: string): readonly string[] {
  const prefixes = isObject(value) ? value[name] : undefined;
  return isList(prefixes) ? prefixes.map(String) : [];
}

function defaultsOf(asked: JsonObject, known: JsonObject): JsonObject {
  const delegations = isList(asked["delegations"]) ? asked["delegations"] : [];
  return {
    provisioningState: "Succeeded",
    privateEndpointNetworkPolicies: "Disabled",
    privateLinkServiceNetworkPolicies: "Enabled",
    delegations,
    ...(known["usedBy"] === undefined ? {} : { usedBy: known["usedBy"] }),
  };
}

function requireFits(
  path: string,
  asked: JsonObject,
  space: readonly string[],
  world: ArmWorld,
  network: string,
): void {
  const prefixes = [...prefixesOf(asked, "addressPrefixes"), textAt(asked, "addressPrefix")].filter(
    (entry) => entry !== "",
  );
  const name = path.split("/").at(-1) ?? "";
  if (prefixes.length === 0) {
    throw new ArmError(400, "NoAddressPrefixOrPoolProvided", `Subnet ${name} has no address prefix.`);
  }
  for (const prefix of prefixes) {
    if (!isInside(prefix, space)) {
      throw new ArmError(
        400,
        "NetcfgSubnetRangeOutsideVnet",
        `Subnet '${name}' is not valid because its IP address range is outside the IP address range of virtual network '${network.split("/").at(-1) ?? ""}'.`,
      );
    }
    for (const other of world.list(subnetType, network)) {
      const taken = [
        ...prefixesOf(propertiesOf(other), "addressPrefixes"),
        textAt(propertiesOf(other), "addressPrefix"),
      ];
      if (
        other.path.toLowerCase() !== path.toLowerCase() &&
        taken.some((entry) => entry !== "" && overlap(entry, prefix))
      ) {
        throw new ArmError(
          400,
          "NetcfgSubnetRangesOverlap",
          `Subnet '${name}' is not valid because its IP address range overlaps with that of an existing subnet in virtual network '${network.split("/").at(-1) ?? ""}'.`,
        );
      }
    }
  }
}

/** What private endpoints and clusters note in the subnet that they are in. */
function requireUnused(subnet: StoredResource): void {
  const users = [...usersOf(subnet)];
  if (users.length === 0) return;
  throw new ArmError(
    400,
    "InUseSubnetCannotBeDeleted",
    `Subnet ${subnet.id.names.at(-1) ?? ""} is in use by ${users.join(", ")} and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.`,
  );
}

function usersOf(subnet: StoredResource): Set<string> {
  const known = subnet.memory["users"];
  if (known instanceof Set) return known as Set<string>;
  const users = new Set<string>();
  subnet.memory["users"] = users;
  return users;
}

/** Notes that a resource is in a subnet, which must exist. */
export function enterSubnet({ world, id }: Pick<PutWork, "world" | "id">, subnetPath: string): StoredResource {
  const subnet = world.find(subnetPath);
  if (subnet === undefined) {
    throw new ArmError(
      400,
      "InvalidResourceReference",
      `Resource ${subnetPath} referenced by resource ${id.path} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
    );
  }
  usersOf(subnet).add(id.path);
  return subnet;
}

export function leaveSubnet(world: ArmWorld, subnetPath: string, user: string): void {
  const subnet = world.find(subnetPath);
  if (subnet !== undefined) usersOf(subnet).delete(user);
}
