/** Properties that many types have, and the regions that this Azure consists of. */
import { ArmError } from "../arm-error";
import type { PutWork, StoredResource } from "../arm-type";
import { immutable, isObject, type Json, type JsonObject, json, readOnly, required, tags, text } from "../shape";

/** What every body may have, because GET gives it. */
export const envelope = {
  id: readOnly(text()),
  name: readOnly(text()),
  type: readOnly(text()),
  systemData: readOnly(json()),
};

/** A resource in a region. */
export const tracked = { ...envelope, location: required(immutable(text())), tags: tags() };

const regions = [
  "westeurope",
  "northeurope",
  "eastus",
  "eastus2",
  "westus2",
  "uksouth",
  "swedencentral",
  "qatarcentral",
];

/** The region in ARM's spelling; refused where there is none of that name. */
export function regionOf(type: string, location: Json | undefined): string {
  const region = (typeof location === "string" ? location : "").toLowerCase().replaceAll(" ", "");
  if (regions.includes(region)) return region;
  throw new ArmError(
    400,
    "LocationNotAvailableForResourceType",
    `The provided location '${region}' is not available for resource type '${type}'. List of available regions for the resource type is '${regions.join(",")}'.`,
  );
}

/** Properties of what there is, or none. */
export function propertiesOf(resource: Pick<StoredResource, "body"> | undefined): JsonObject {
  const properties = resource?.body["properties"];
  return isObject(properties) ? properties : {};
}

export function bodyProperties(work: Pick<PutWork, "body">): JsonObject {
  const { properties } = work.body;
  return isObject(properties) ? properties : {};
}

/** With a part of what there was: what the request leaves out and the service keeps. */
export function keeping(before: JsonObject, after: JsonObject, ...names: readonly string[]): JsonObject {
  const kept = names.filter((name) => !(name in after) && before[name] !== undefined);
  return { ...Object.fromEntries(kept.map((name) => [name, before[name] ?? null])), ...after };
}
