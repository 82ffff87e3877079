/** Somebody or something that gets access to keys, and how its object id is found. */
import * as pulumi from "@pulumi/pulumi";
import { loadAzureNative } from "./azure-native";
import { AzurePrincipal, type AzurePrincipalKind } from "./azure-principal";

/**
 * Who uses a key: exactly one of the inputs. Access is always granted to an object id. A client id, also called application id, is
 * another number of the same principal: a grant to it would be accepted and have no effect.
 */
export interface AzureKeyUserArgs {
  /** Resource id of a user-assigned managed identity. */
  readonly identityId?: pulumi.Input<string>;
  /** Resource id of a virtual machine that has a system-assigned identity. Every machine is a user of its own. */
  readonly virtualMachineId?: pulumi.Input<string>;
  /** Object id of a service principal: `az ad sp show --id CLIENT_ID --query id` prints it. A client id is refused. */
  readonly servicePrincipalObjectId?: pulumi.Input<string>;
  /** Object id of a person: `az ad signed-in-user show --query id` prints one's own. */
  readonly userObjectId?: pulumi.Input<string>;
  /** Object id of a group. */
  readonly groupObjectId?: pulumi.Input<string>;
}

/** What a grant needs to know of a user. */
export interface GrantedPrincipal {
  readonly objectId: pulumi.Output<string>;
  readonly kind: pulumi.Input<AzurePrincipalKind>;
}

/** The principal of `user`, whose inputs have no problems. `name` is identity: never change how it is made. */
export function principalOf(name: string, user: AzureKeyUserArgs, parent: pulumi.Resource): GrantedPrincipal {
  if (user.identityId !== undefined)
    return { objectId: identityObjectId(user.identityId, parent), kind: "ServicePrincipal" };
  if (user.virtualMachineId !== undefined) {
    return { objectId: machineObjectId(user.virtualMachineId, parent), kind: "ServicePrincipal" };
  }
  const [objectId, kind] = given(user);
  const principal = new AzurePrincipal(name, { objectId, kind }, { parent });
  return { objectId: principal.objectId, kind };
}

function given(user: AzureKeyUserArgs): readonly [pulumi.Input<string>, AzurePrincipalKind] {
  if (user.userObjectId !== undefined) return [user.userObjectId, "User"];
  if (user.groupObjectId !== undefined) return [user.groupObjectId, "Group"];
  return [user.servicePrincipalObjectId ?? "", "ServicePrincipal"];
}

function identityObjectId(id: pulumi.Input<string>, parent: pulumi.Resource): pulumi.Output<string> {
  const { getUserAssignedIdentity } = loadAzureNative();
  return pulumi.output(id).apply(async (known) => {
    const { resourceGroupName, name } = resourceName(
      known,
      "Microsoft.ManagedIdentity/userAssignedIdentities",
      "identityId",
    );
    const found = await getUserAssignedIdentity({ resourceGroupName, resourceName: name }, { parent });
    return found.principalId;
  });
}

function machineObjectId(id: pulumi.Input<string>, parent: pulumi.Resource): pulumi.Output<string> {
  const { getVirtualMachine } = loadAzureNative();
  return pulumi.output(id).apply(async (known) => {
    const { resourceGroupName, name } = resourceName(known, "Microsoft.Compute/virtualMachines", "virtualMachineId");
    const found = await getVirtualMachine({ resourceGroupName, vmName: name }, { parent });
    const principalId = found.identity?.principalId;
    if (principalId !== undefined && principalId !== "") return principalId;
    throw new pulumi.InputPropertyError({
      propertyPath: "virtualMachineId",
      reason: `names ${name}, which has no system-assigned identity; turn it on (az vm identity assign --ids ${known}), or give identityId`,
    });
  });
}

/** The group and the name in a resource id of `type`. */
function resourceName(id: string, type: string, propertyPath: string): { resourceGroupName: string; name: string } {
  const form = new RegExp(`^/subscriptions/[^/]+/resourceGroups/([^/]+)/providers/${type}/([^/]+)$`, "i");
  const [, resourceGroupName, name] = form.exec(id) ?? [];
  if (resourceGroupName !== undefined && name !== undefined) return { resourceGroupName, name };
  throw new pulumi.InputPropertyError({
    propertyPath,
    reason: `is ${JSON.stringify(id)}; write /subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/${type}/NAME`,
  });
}
