/** What ARM asks of every request, whatever its type: versions, preconditions, one operation at a time, and what never changes. */
import { ArmError, resourceGroupNotFound, resourceNotFound } from "./arm-error";
import type { ArmRequest } from "./arm-request";
import type { ArmType, StoredResource } from "./arm-type";
import { type ResourceId, resourceGroupType } from "./resource-id";
import { changedImmutables, isObject, type Json, type JsonObject, readBody, textAt } from "./shape";
import { armTypes } from "./types/index";

/** Codes of ARM itself, which come in its form whichever provider the request was for. */
export const armsOwn = new Set([
  "AuthorizationFailed",
  "LinkedAuthorizationFailed",
  "ResourceNotFound",
  "ResourceGroupNotFound",
  "InvalidApiVersionParameter",
  "MissingApiVersionParameter",
  "SubscriptionNotFound",
  "NoRegisteredProviderFound",
  "ParentResourceNotFound",
  "InvalidRequestContent",
]);

export function typeOf(name: string): ArmType | undefined {
  return armTypes.get(name.toLowerCase());
}

export function permissionOf(type: ArmType): string {
  return type.type === resourceGroupType ? "Microsoft.Resources/subscriptions/resourceGroups" : type.type;
}

export function checkedBody(type: ArmType, body: Json, apiVersion: string): JsonObject {
  const { body: kept, problems } = readBody(type.shape, body, apiVersion);
  const first = problems[0];
  if (first !== undefined) {
    const all = problems.map(({ path, reason }) => `${path === "" ? "the body" : path}: ${reason}`).join("; ");
    if (type.bareErrors === true && first.kind === "unknown") {
      throw new ArmError(400, "UnmarshalError", `UnmarshalEntity encountered error: json: unknown field; ${all}.`);
    }
    throw new ArmError(
      400,
      "InvalidRequestContent",
      `The request content was invalid and could not be deserialized: ${all}.`,
    );
  }
  return isObject(kept) ? kept : {};
}

export function requireVersion(type: ArmType, apiVersion: string): void {
  if (type.apiVersions.includes(apiVersion)) return;
  const [namespace = "", ...rest] = type.type.split("/");
  throw new ArmError(
    400,
    "NoRegisteredProviderFound",
    `No registered resource provider found for API version '${apiVersion}' of type '${rest.join("/")}' of '${namespace}'. The supported api-versions are '${type.apiVersions.join(", ")}'.`,
  );
}

export function requirePreconditions(type: ArmType, request: ArmRequest, resource: StoredResource | undefined): void {
  if (type.etag === undefined) return;
  const [match, none] = [request.headers["if-match"], request.headers["if-none-match"]];
  const quiet = (etag: string) => etag.replace(/^W\//, "").replace(/^"|"$/g, "");
  if (match !== undefined && (resource === undefined || (match !== "*" && quiet(match) !== quiet(resource.etag)))) {
    throw new ArmError(
      412,
      "PreconditionFailed",
      `The condition '${match}' specified using HTTP conditional header(s) is not met.`,
    );
  }
  if (none === "*" && resource !== undefined) {
    throw new ArmError(
      412,
      "PreconditionFailed",
      "The resource exists already, and the request asks that it does not.",
    );
  }
}

export function requireIdle(resource: StoredResource | undefined): void {
  if (resource?.busy === undefined) return;
  const state = textAt(resource.body, "properties", "provisioningState");
  if (resource.type.type.startsWith("Microsoft.Network/")) {
    throw new ArmError(
      429,
      "AnotherOperationInProgress",
      `Another operation on this or dependent resource is in progress (${resource.busy}).`,
      { "retry-after": "0" },
    );
  }
  throw new ArmError(
    409,
    "OperationNotAllowed",
    `Operation is not allowed: Another operation (${state}) is in progress, please wait for it to finish before starting a new operation. See https://aka.ms/aks-pending-operation for more details`,
  );
}

export function requireSame(type: ArmType, before: StoredResource, body: JsonObject): void {
  const changed = changedImmutables(type.shape, before.body, body)[0];
  if (changed === undefined) return;
  if (changed === "location") {
    throw new ArmError(
      409,
      "InvalidResourceLocation",
      `The resource '${before.id.names.at(-1) ?? ""}' already exists in location '${textAt(before.body, "location")}' in resource group '${before.id.resourceGroup}'. A resource with the same name cannot be created in location '${textAt(body, "location")}'. Please select a new resource name.`,
    );
  }
  throw new ArmError(400, "PropertyChangeNotAllowed", `Changing property '${changed}' is not allowed.`);
}

export function notFound(id: ResourceId): ArmError {
  if (id.type === resourceGroupType) return resourceGroupNotFound(id.names[0] ?? "");
  return resourceNotFound(id.type, id.names.join("/"), id.resourceGroup);
}

export function unknownType({ type }: Pick<ResourceId, "type">): ArmError {
  return new ArmError(
    404,
    "InvalidResourceType",
    `The resource type '${type}' could not be found: this model does not have it.`,
  );
}

export function methodNotAllowed({ method, path }: ArmRequest): ArmError {
  return new ArmError(405, "MethodNotAllowed", `The method '${method}' is not allowed on '${path}'.`);
}

export function etagHeader(resource: StoredResource): Record<string, string> {
  return resource.type.etag === undefined ? {} : { etag: `"${resource.etag}"` };
}

/** With the state in it, for types that have one. */
export function withState(body: JsonObject, state: string, type: ArmType): JsonObject {
  const properties = type.shape.fields["properties"];
  if (properties?.kind !== "object" || properties.fields["provisioningState"] === undefined) return body;
  const inner = isObject(body["properties"]) ? body["properties"] : {};
  return { ...body, properties: { ...inner, provisioningState: state } };
}
