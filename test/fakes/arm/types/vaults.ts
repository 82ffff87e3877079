/**
 * Key vaults. facts/aks.md 1.7, 3 and 5.7: a deleted vault keeps its name for as long as it says, it can be recovered but without
 * its role assignments, and purge protection can be switched on and never off.
 */
import { ArmError } from "../arm-error";
import type { ActionWork, ArmType, ArmWorld, PutWork, ResourceWork, StoredResource } from "../arm-type";
import {
  isList,
  isObject,
  type Json,
  type JsonObject,
  list,
  object,
  readBody,
  required,
  sameJson,
  textAt,
} from "../shape";
import { bodyProperties, propertiesOf, regionOf } from "./common";
import { accessPolicy, deletedVaultShape, vaultApiVersions, vaultShape } from "./vault-shapes";

const type = "Microsoft.KeyVault/vaults";
const day = 24 * 60 * 60 * 1_000;

export const vaults: ArmType = {
  type,
  apiVersions: vaultApiVersions,
  // 3 to 24 characters, a letter first, no hyphen at the end and no two in a row.
  name: /^(?=.{3,24}$)[a-zA-Z](-?[a-zA-Z0-9])+$/,
  shape: vaultShape,
  put(work) {
    const { world, id, before, body } = work;
    const name = id.names[0] ?? "";
    const asked = bodyProperties(work);
    const location = regionOf(type, body["location"]);
    if (asked["tenantId"] !== world.tenantOf(id.subscription)) {
      throw badRequest(
        `The tenant ID of the vault must be '${world.tenantOf(id.subscription)}', that of the subscription.`,
      );
    }
    requireValid(asked, propertiesOf(before));
    const deleted = world
      .list(deletedVaults.type, "/")
      .find((vault) => vault.id.names.at(-1)?.toLowerCase() === name.toLowerCase());
    if (before === undefined && deleted !== undefined) return recover(work, deleted, name);
    if (before === undefined && asked["createMode"] === "recover") {
      throw new ArmError(404, "DeletedVaultNotFound", `The deleted vault '${name}' does not exist.`);
    }
    if (
      before === undefined &&
      world.list(type, "/").some(({ id: other }) => other.names[0]?.toLowerCase() === name.toLowerCase())
    ) {
      throw new ArmError(
        409,
        "VaultAlreadyExists",
        `The vault name '${name}' is already in use. Vault names are globally unique so it is possible that the name is already taken.`,
      );
    }
    const properties = complete(world, name, asked, propertiesOf(before));
    world.keyVaults.open({ name, tenantId: textAt(properties, "tenantId"), path: id.path });
    return { body: { ...body, location, properties } };
  },
  delete(work) {
    const { world, resource } = work;
    world.store(deletedPath(work), { properties: tombstone(world, resource) });
  },
  removed: (resource, world) => world.keyVaults.close(resource.id.names[0] ?? ""),
  actions: { accesspolicies: changePolicies },
  actionPermissions: { accesspolicies: `${type}/accessPolicies/write` },
};

export const deletedVaults: ArmType = {
  type: "Microsoft.KeyVault/locations/deletedVaults",
  apiVersions: vaultApiVersions,
  shape: deletedVaultShape,
  noDelete: true,
  put: () => {
    throw new ArmError(
      405,
      "MethodNotAllowed",
      "A deleted vault is recovered by creating it with createMode 'recover'.",
    );
  },
  actions: {
    purge({ resource, world }) {
      if (propertiesOf(resource)["purgeProtectionEnabled"] === true) {
        throw badRequest("The vault has purge protection: it can't be purged before its retention is over.");
      }
      world.remove(resource.path);
      world.keyVaults.purge(resource.id.names.at(-1) ?? "");
      return { status: 202, operation: async () => undefined };
    },
  },
};

function requireValid(asked: JsonObject, known: JsonObject): void {
  // azure-cli issue 29115: only true is taken, or nothing.
  if (asked["enablePurgeProtection"] === false) {
    throw badRequest(
      'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for a vault is an irreversible action.',
    );
  }
  if (asked["enableSoftDelete"] === false) {
    throw badRequest(
      "The property \"enableSoftDelete\" can be set to false only for creating new vault. Enabling the 'soft delete' functionality is an irreversible action.",
    );
  }
  const [retention, before] = [asked["softDeleteRetentionInDays"], known["softDeleteRetentionInDays"]];
  if (before !== undefined && retention !== undefined && retention !== before) {
    throw badRequest('The property "softDeleteRetentionInDays" has been set already and it can\'t be modified.');
  }
}

/** With what the service sets and what it keeps when the request leaves it out. */
function complete(world: ArmWorld, name: string, asked: JsonObject, known: JsonObject): JsonObject {
  const { createMode: _, ...rest } = asked;
  const network = textAt(asked, "publicNetworkAccess") || textAt(known, "publicNetworkAccess") || "Enabled";
  return {
    enabledForDeployment: false,
    softDeleteRetentionInDays: known["softDeleteRetentionInDays"] ?? 90,
    enableRbacAuthorization: known["enableRbacAuthorization"] ?? false,
    ...(known["enablePurgeProtection"] === true ? { enablePurgeProtection: true } : {}),
    ...(known["privateEndpointConnections"] === undefined
      ? {}
      : { privateEndpointConnections: known["privateEndpointConnections"] }),
    ...rest,
    accessPolicies: asked["accessPolicies"] ?? [],
    enableSoftDelete: true,
    publicNetworkAccess:
      network.toLowerCase() === "enabled" ? "Enabled" : network.toLowerCase() === "disabled" ? "Disabled" : network,
    vaultUri: world.keyVaults.uriOf(name),
    provisioningState: "Succeeded",
  };
}

function recover({ world, body, id }: PutWork, deleted: StoredResource, name: string) {
  const asked = bodyProperties({ body });
  if (
    asked["createMode"] !== "recover" ||
    textAt(propertiesOf(deleted), "vaultId").toLowerCase() !== id.path.toLowerCase()
  ) {
    throw new ArmError(
      409,
      "ConflictError",
      "A vault with the same name already exists in deleted state. You need to either recover or purge existing key vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete.",
    );
  }
  world.remove(deleted.path);
  const properties = complete(world, name, asked, {});
  world.keyVaults.open({ name, tenantId: textAt(properties, "tenantId"), path: id.path });
  for (const key of world.keyVaults.keyNames(name)) world.store(`${id.path}/keys/${key}`, { properties: {} });
  return { body: { ...body, properties } };
}

function deletedPath({ resource, id }: ResourceWork): string {
  const location = textAt(resource.body, "location");
  return `/subscriptions/${id.subscription}/providers/Microsoft.KeyVault/locations/${location}/deletedVaults/${id.names[0] ?? ""}`;
}

function tombstone(world: ArmWorld, resource: StoredResource): JsonObject {
  const properties = propertiesOf(resource);
  const days = Number(properties["softDeleteRetentionInDays"]);
  return {
    vaultId: resource.path,
    location: resource.body["location"] ?? "",
    tags: resource.body["tags"] ?? {},
    deletionDate: new Date(world.now()).toISOString(),
    scheduledPurgeDate: new Date(world.now() + days * day).toISOString(),
    purgeProtectionEnabled: properties["enablePurgeProtection"] === true,
  };
}

/** PUT `accessPolicies/add`, `replace` or `remove`: what az and the azure-native plugin do. */
function changePolicies({ resource, body }: ActionWork, verb: string) {
  const shape = object({ properties: required(object({ accessPolicies: required(list(accessPolicy)) })) });
  const { body: kept, problems } = readBody(shape, body ?? {}, "");
  if (problems[0] !== undefined) throw badRequest(`${problems[0].path}: ${problems[0].reason}`);
  const properties = propertiesOf(resource);
  const given = policiesOf(isObject(kept) ? kept["properties"] : undefined);
  const others = policiesOf(properties).filter((old) => !given.some((entry) => samePrincipal(old, entry)));
  const next: Record<string, readonly Json[]> = {
    add: [
      ...others,
      ...given.map((entry) =>
        merged(
          policiesOf(properties).find((old) => samePrincipal(old, entry)),
          entry,
        ),
      ),
    ],
    replace: [...others, ...given],
    remove: others,
  };
  const policies = next[verb.toLowerCase()];
  if (policies === undefined) throw badRequest(`There is no operation '${verb}' on access policies.`);
  const created = !sameJson(policiesOf(properties), policies);
  resource.body = { ...resource.body, properties: { ...properties, accessPolicies: policies } };
  return {
    status: created ? 201 : 200,
    body: {
      id: `${resource.path}/accessPolicies/`,
      type: `${type}/accessPolicies`,
      properties: { accessPolicies: policies },
    },
  };
}

function policiesOf(properties: Json | undefined): readonly Json[] {
  const policies = isObject(properties) ? properties["accessPolicies"] : undefined;
  return isList(policies) ? policies : [];
}

function samePrincipal(left: Json, right: Json): boolean {
  return (
    textAt(left, "objectId") === textAt(right, "objectId") &&
    textAt(left, "applicationId") === textAt(right, "applicationId")
  );
}

function merged(old: Json | undefined, added: Json): Json {
  if (!isObject(old) || !isObject(added)) return added;
  const [before, after] = [old["permissions"], added["permissions"]];
  const names = [...Object.keys(isObject(before) ? before : {}), ...Object.keys(isObject(after) ? after : {})];
  const union = (name: string) => [
    ...new Set([before, after].flatMap((side) => (isObject(side) && isList(side[name]) ? side[name] : []))),
  ];
  return { ...added, permissions: Object.fromEntries(names.map((name) => [name, union(name)])) };
}

function badRequest(message: string): ArmError {
  return new ArmError(400, "BadRequest", message);
}
