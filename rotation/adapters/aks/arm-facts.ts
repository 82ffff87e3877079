/** What ARM's answers about a vault, a key, a subnet and role assignments tell the rules of core/azure-rules. */
import { azureRoleNames } from "../../../core/azure-roles";
import type { AzureFacts } from "../../../core/azure-rules/facts";
import { KmsEtcdError } from "../../../core/errors";
import type { ArmBody } from "../azure/arm-client";
import { at, defined, isRecord, listAt, textAt } from "./arm-values";
import type { VaultNetwork } from "./kms-settings";
import { vaultApiVersion } from "./vault-network";

type LiveFacts = Partial<AzureFacts>;

/** `ours`: the network that the rollout gives it; undefined where its network is not ours. */
export function vaultFacts(
  vault: ArmBody | undefined,
  principalId: string | undefined,
  ours: VaultNetwork | undefined,
): LiveFacts {
  if (vault === undefined) throw new KmsEtcdError("not-found", "it is not there");
  const properties = at(vault, "properties");
  const acls = at(properties, "networkAcls");
  const rules = ["ipRules", "virtualNetworkRules"].flatMap((name) => listAt(acls, name));
  const isRbac = at(properties, "enableRbacAuthorization") === true;
  return defined({
    vaultIsNew: false,
    vaultTenantId: textAt(properties, "tenantId"),
    purgeProtection: at(properties, "enablePurgeProtection") === true,
    rbacAuthorization: isRbac,
    rbacAuthorizationBefore: isRbac,
    accessPolicies: listAt(properties, "accessPolicies").length,
    vaultApiVersion,
    ...(isRbac || principalId === undefined ? {} : { identityKeyPermissions: permissionsOf(properties, principalId) }),
    // Where its network is ours, this is what the rollout makes of it.
    ...(ours !== undefined
      ? {
          vaultPublicNetworkAccess: ours === "Private" ? "Disabled" : "Enabled",
          vaultDefaultAction: ours === "Private" ? "Deny" : "Allow",
          vaultBypass: "AzureServices",
          vaultNetworkRules: 0,
        }
      : {
          vaultPublicNetworkAccess: textAt(properties, "publicNetworkAccess") ?? "Enabled",
          vaultDefaultAction: textAt(acls, "defaultAction"),
          vaultBypass: textAt(acls, "bypass"),
          vaultNetworkRules: rules.length,
        }),
  });
}

/** Of the vault's own list; the roles of such a vault are for ARM alone. */
function permissionsOf(properties: unknown, principalId: string): readonly string[] {
  return listAt(properties, "accessPolicies")
    .filter((policy) => textAt(policy, "objectId")?.toLowerCase() === principalId.toLowerCase())
    .flatMap((policy) => listAt(policy, "permissions", "keys") as readonly string[]);
}

/** A subnet's address prefix stands in one of two places. */
export function subnetFacts(subnet: ArmBody | undefined, subnetId: string, cluster: ArmBody): LiveFacts {
  if (subnet === undefined) throw new KmsEtcdError("not-found", "it is not there");
  const properties = at(subnet, "properties");
  const [first] = listAt(properties, "addressPrefixes");
  const prefix = textAt(properties, "addressPrefix") ?? (typeof first === "string" ? first : "");
  const prefixLength = Number(/\/(\d+)$/.exec(prefix)?.[1] ?? Number.NaN);
  if (Number.isNaN(prefixLength)) throw new KmsEtcdError("not-found", "it has no address prefix");
  const nodes = listAt(cluster, "properties", "agentPoolProfiles").map((pool) => textAt(pool, "vnetSubnetID"));
  return {
    apiServerSubnet: {
      prefixLength,
      delegations: listAt(properties, "delegations").flatMap(
        (delegation) => textAt(delegation, "properties", "serviceName") ?? [],
      ),
      sharedWithNodes: nodes.some((id) => id?.toLowerCase() === subnetId.toLowerCase()),
    },
  };
}

/** What all versions of a key have in common: ARM shows the newest one by the key's name. */
export function keyFacts(key: ArmBody | undefined): LiveFacts {
  if (key === undefined) throw new KmsEtcdError("not-found", "it is not in the vault");
  const properties = at(key, "properties");
  const operations = at(properties, "keyOps");
  const policy = at(properties, "rotationPolicy");
  return defined({
    keyType: textAt(properties, "kty"),
    ...(Array.isArray(operations) ? { keyOperations: operations as readonly string[] } : {}),
    ...(isRecord(policy) ? { keyRotationPolicy: rotationPolicy(policy) } : {}),
  });
}

function rotationPolicy(policy: ArmBody): AzureFacts["keyRotationPolicy"] {
  const actions = listAt(policy, "lifetimeActions");
  const expiryTime = textAt(policy, "attributes", "expiryTime");
  return {
    ...(expiryTime === undefined ? {} : { expiryTime }),
    actions: actions.map((action) => ({
      type: textAt(action, "action", "type") ?? "",
      ...defined({
        timeAfterCreate: textAt(action, "trigger", "timeAfterCreate"),
        timeBeforeExpiry: textAt(action, "trigger", "timeBeforeExpiry"),
      }),
    })),
  };
}

/** Roles at the vault and above. What one allows that is not among the names is not known here: `unknownRoles` has their definitions' ids. */
export function roleFacts(
  assignments: readonly ArmBody[],
  vaultId: string,
): { readonly facts: LiveFacts; readonly unknownRoles: readonly string[] } {
  const scopeOf = ({ properties }: ArmBody) => textAt(properties, "scope") ?? "";
  const held = assignments.filter((assignment) => {
    const scope = scopeOf(assignment).toLowerCase();
    return `${vaultId.toLowerCase()}/`.startsWith(scope.endsWith("/") ? scope : `${scope}/`);
  });
  const ids = held.map(
    ({ properties }) => textAt(properties, "roleDefinitionId")?.split("/").at(-1)?.toLowerCase() ?? "",
  );
  const roleScope = assignments.map(scopeOf).find((scope) => /\/vaults\/[^/]+\/keys\//i.test(scope));
  return {
    facts: {
      identityRoles: ids.flatMap((id) => azureRoleNames.get(id) ?? []),
      ...(roleScope === undefined ? {} : { roleScope }),
    },
    unknownRoles: [...new Set(ids.filter((id) => !azureRoleNames.has(id)))],
  };
}
