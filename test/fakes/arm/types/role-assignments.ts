/**
 * Role assignments. The name is a GUID of the caller's; the same principal, role and scope under another name is a conflict, and
 * so is another principal under the same name.
 */
import { ArmError } from "../arm-error";
import type { ArmType, PutWork } from "../arm-type";
import { samePath } from "../resource-id";
import { findRole } from "../roles";
import { flat, object, oneOf, readOnly, required, text, textAt } from "../shape";
import { bodyProperties, envelope } from "./common";

const type = "Microsoft.Authorization/roleAssignments";

export const roleAssignments: ArmType = {
  type,
  apiVersions: ["2022-04-01"],
  name: /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i,
  extension: true,
  shape: object({
    ...envelope,
    properties: required(
      flat(
        object({
          roleDefinitionId: required(text(/\/roleDefinitions\/[0-9a-f-]{36}$/i)),
          principalId: required(text(/^[0-9a-f-]{36}$/i)),
          principalType: oneOf("User", "Group", "ServicePrincipal", "ForeignGroup", "Device"),
          description: text(),
          condition: text(),
          conditionVersion: oneOf("2.0"),
          delegatedManagedIdentityResourceId: text(),
          scope: readOnly(text()),
          createdOn: readOnly(text()),
          updatedOn: readOnly(text()),
          createdBy: readOnly(text()),
          updatedBy: readOnly(text()),
        }),
      ),
    ),
  }),
  put(work) {
    const { world, before, id, caller } = work;
    const properties = bodyProperties(work);
    const roleId = textAt(properties, "roleDefinitionId").split("/").at(-1) ?? "";
    const principalId = textAt(properties, "principalId");
    if (findRole(roleId) === undefined) {
      throw new ArmError(
        404,
        "RoleDefinitionDoesNotExist",
        `The specified role definition with ID '${roleId.replaceAll("-", "")}' does not exist.`,
      );
    }
    const principalType = requirePrincipal(work, principalId, textAt(properties, "principalType"));
    const scope = id.parent;
    if (before !== undefined) {
      if (textAt(before.body, "properties", "principalId") !== principalId || roleOf(before.body) !== roleId) {
        throw new ArmError(
          409,
          "RoleAssignmentUpdateNotPermitted",
          "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
        );
      }
    } else {
      const same = world
        .list(type, "/")
        .find(
          ({ body, id: other }) =>
            samePath(other.parent, scope) &&
            textAt(body, "properties", "principalId") === principalId &&
            roleOf(body) === roleId,
        );
      if (same !== undefined) {
        throw new ArmError(
          409,
          "RoleAssignmentExists",
          `The role assignment already exists. The ID of the existing role assignment is ${(same.id.names[0] ?? "").replaceAll("-", "")}.`,
        );
      }
      world.access.assign({ id: id.path, principalId, roleId, scope });
    }
    const stamp = new Date(world.now()).toISOString();
    return {
      body: {
        properties: {
          ...properties,
          principalType,
          scope,
          createdOn: stamp,
          updatedOn: stamp,
          createdBy: caller.objectId,
          updatedBy: caller.objectId,
        },
      },
    };
  },
  removed: (resource, world) => world.access.remove(resource.path),
};

function roleOf(body: Parameters<typeof textAt>[0]): string {
  return textAt(body, "properties", "roleDefinitionId").split("/").at(-1) ?? "";
}

/** facts/aks.md 1.7: a principal that says its type need not be seen yet; one that does not must be. */
function requirePrincipal({ world, id }: PutWork, principalId: string, principalType: string): string {
  const known = world.directory.find(principalId);
  if (known !== undefined && principalType !== "" && known !== principalType) {
    throw new ArmError(
      400,
      "UnmatchedPrincipalType",
      `The PrincipalId '${principalId}' has type '${known}', which is different from specified PrincipalType '${principalType}'.`,
    );
  }
  // `User` is what the SDK writes when nobody says anything: no sign that the caller knows the principal.
  if (known !== undefined || principalType === "ServicePrincipal" || principalType === "Group")
    return known ?? principalType;
  throw new ArmError(
    400,
    "PrincipalNotFound",
    `Principal ${principalId.replaceAll("-", "")} does not exist in the directory ${world.tenantOf(id.subscription)}. Check that you have the correct principal ID. If you are creating this principal and then immediately assigning a role, this error might be related to a replication delay. In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype`,
  );
}
