/**
 * What the rules of core/azure-rules can be told by asking Azure: the cluster, its vault, its key, and what its identity may do. What
 * may not be asked is left out, and said.
 */
import { parseAzureKeyId } from "../../../core/azure-key-id";
import { azureRoleNames } from "../../../core/azure-roles";
import type { AzureFacts } from "../../../core/azure-rules/facts";
import { type GivenFacts, notYetKnown } from "../../../core/azure-rules/rule";
import { describeError, KmsEtcdError } from "../../../core/errors";
import type { ArmBody, ArmClient } from "../azure/arm-client";
import { apiVersionFor, type KmsSettings } from "./kms-settings";
import { isKmsV1, kubernetesVersionOf } from "./kubernetes-version";
import type { ManagedClusterState } from "./managed-cluster";
import { vaultApiVersion } from "./vault-network";

type LiveFacts = Partial<AzureFacts>;

export interface LiveLook {
  readonly facts: GivenFacts;
  /** What could not be asked, and why: a sentence each. */
  readonly unseen: readonly string[];
}

export interface LiveRequest {
  readonly state: ManagedClusterState;
  readonly goal: KmsSettings;
  /** Of the vault that is wanted; undefined where it is not known. */
  readonly vaultId: string | undefined;
  /** The vault's network is ours, so it is not what the rollout will meet. */
  readonly ownsVaultNetwork: boolean;
}

/** Of the vault's network, where nobody has seen it: left out they would mean that the vault lets everybody in. */
const unseenNetwork: GivenFacts = {
  vaultPublicNetworkAccess: notYetKnown,
  vaultDefaultAction: notYetKnown,
  vaultBypass: notYetKnown,
  vaultNetworkRules: notYetKnown,
};

const identityApiVersion = "2023-01-31";
const roleApiVersion = "2022-04-01";

export async function liveFacts(client: ArmClient, request: LiveRequest, signal: AbortSignal): Promise<LiveLook> {
  const { state, goal, vaultId } = request;
  const unseen: string[] = [];
  const facts = clusterFacts(state, goal);

  async function look(what: string, work: () => Promise<LiveFacts>): Promise<LiveFacts> {
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown instanceof KmsEtcdError) || thrown.code === "cancelled") throw thrown;
      unseen.push(`${what} could not be looked at: ${describeError(thrown)}`);
      return {};
    }
  }
  const ask = (id: string, version: string) => client.get(id, version, signal);

  if (goal.mode !== "legacy" && goal.mode !== "cmk") return { facts, unseen };
  if (vaultId === undefined) return { facts: { ...facts, ...unseenNetwork }, unseen };
  const [identityId] = facts.clusterIdentityIds ?? [];
  const identity =
    identityId === undefined
      ? {}
      : await look("the cluster's identity", async () => {
          const tenant = textAt(await ask(identityId, identityApiVersion), "properties", "tenantId");
          return tenant === undefined ? {} : { clusterTenantId: tenant };
        });
  const principalId = identityId === undefined ? undefined : principalOf(state.body, identityId);
  const vault = await look("the vault", async () =>
    vaultFacts(await ask(vaultId, vaultApiVersion), principalId, request),
  );
  const name = parseAzureKeyId(goal.keyId)?.keyName;
  const key =
    name === undefined
      ? {}
      : await look("the key", async () => keyFacts(await ask(`${vaultId}/keys/${name}`, vaultApiVersion), goal.keyId));
  const grants =
    principalId === undefined
      ? {}
      : await look("the roles of the cluster's identity", async () => {
          const filter = encodeURIComponent(`principalId eq '${principalId}'`);
          const path = `${vaultId}/providers/Microsoft.Authorization/roleAssignments?$filter=${filter}`;
          return roleFacts(await client.list(path, roleApiVersion, signal), vaultId);
        });
  return { facts: { ...facts, ...unseenNetwork, ...identity, ...vault, ...key, ...grants }, unseen };
}

function clusterFacts(state: ManagedClusterState, goal: KmsSettings): LiveFacts {
  const { body, kms } = state;
  const access = at(body, "properties", "apiServerAccessProfile");
  const identities = at(body, "identity", "userAssignedIdentities");
  const assigned = isRecord(identities) ? Object.keys(identities) : [];
  const integrated = at(access, "enableVnetIntegration") === true;
  const pools = at(body, "properties", "agentPoolProfiles");
  const subnetId = textAt(access, "subnetId");
  return defined({
    clusterExists: true,
    clusterId: textAt(body, "id"),
    location: textAt(body, "location"),
    kubernetesVersion: kubernetesVersionOf(state) || undefined,
    modeBefore: kms.mode,
    kmsV1Before: isKmsV1(state),
    keyIdBefore: kms.mode === "legacy" || kms.mode === "cmk" ? kms.keyId : undefined,
    clusterIdentityType: textAt(body, "identity", "type"),
    clusterIdentityTypeBefore: textAt(body, "identity", "type"),
    clusterIdentityIds: assigned,
    // Nothing here changes the cluster's identity or its network.
    clusterIdentityIdsBefore: assigned,
    servicePrincipalClientId: textAt(body, "properties", "servicePrincipalProfile", "clientId"),
    vnetIntegration: integrated,
    vnetIntegrationBefore: integrated,
    apiServerSubnetId: subnetId,
    privateCluster: at(access, "enablePrivateCluster") === true,
    disableRunCommand: at(access, "disableRunCommand") === true,
    aksApiVersion: apiVersionFor(kms, goal),
    systemPoolsToZero: (Array.isArray(pools) ? (pools as unknown[]) : [])
      .filter((pool) => at(pool, "mode") === "System" && at(pool, "minCount") === 0)
      .flatMap((pool) => textAt(pool, "name") ?? []),
  });
}

function vaultFacts(
  vault: ArmBody | undefined,
  principalId: string | undefined,
  { goal, ownsVaultNetwork }: LiveRequest,
): LiveFacts {
  if (vault === undefined) throw new KmsEtcdError("not-found", "it is not there");
  const properties = at(vault, "properties");
  const acls = at(properties, "networkAcls");
  const rules = ["ipRules", "virtualNetworkRules"].flatMap((name) => {
    const list = at(acls, name);
    return Array.isArray(list) ? (list as unknown[]) : [];
  });
  const isRbac = at(properties, "enableRbacAuthorization") === true;
  const isPrivate = "networkAccess" in goal && goal.networkAccess === "Private";
  return defined({
    vaultIsNew: false,
    vaultTenantId: textAt(properties, "tenantId"),
    purgeProtection: at(properties, "enablePurgeProtection") === true,
    rbacAuthorization: isRbac,
    ...(isRbac || principalId === undefined ? {} : { identityKeyPermissions: permissionsOf(properties, principalId) }),
    // Where its network is ours, this is what the rollout makes of it.
    ...(ownsVaultNetwork
      ? {
          vaultPublicNetworkAccess: isPrivate ? "Disabled" : "Enabled",
          vaultDefaultAction: isPrivate ? "Deny" : "Allow",
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
  const policies = at(properties, "accessPolicies");
  return (Array.isArray(policies) ? (policies as unknown[]) : [])
    .filter((policy) => textAt(policy, "objectId")?.toLowerCase() === principalId.toLowerCase())
    .flatMap((policy) => {
      const keys = at(policy, "permissions", "keys");
      return Array.isArray(keys) ? (keys as readonly string[]) : [];
    });
}

/** ARM shows the newest version of a key; what belongs to one version is told only where that is the one that is wanted. */
function keyFacts(key: ArmBody | undefined, keyId: string): LiveFacts {
  if (key === undefined) throw new KmsEtcdError("not-found", "it is not in the vault");
  const properties = at(key, "properties");
  const attributes = at(properties, "attributes");
  const isWanted = textAt(properties, "keyUriWithVersion")?.toLowerCase().startsWith(keyId.toLowerCase()) === true;
  const operations = at(properties, "keyOps");
  const policy = at(properties, "rotationPolicy");
  return defined({
    keyType: textAt(properties, "kty"),
    ...(Array.isArray(operations) ? { keyOperations: operations as readonly string[] } : {}),
    ...(isWanted
      ? {
          keyEnabled: at(attributes, "enabled") !== false,
          keyNotBefore: dateAt(attributes, "nbf"),
          keyExpires: dateAt(attributes, "exp"),
          now: new Date().toISOString(),
        }
      : {}),
    ...(isRecord(policy) ? { keyRotationPolicy: rotationPolicy(policy) } : {}),
  });
}

function rotationPolicy(policy: ArmBody): AzureFacts["keyRotationPolicy"] {
  const actions = at(policy, "lifetimeActions");
  const expiryTime = textAt(policy, "attributes", "expiryTime");
  return {
    ...(expiryTime === undefined ? {} : { expiryTime }),
    actions: (Array.isArray(actions) ? (actions as unknown[]) : []).map((action) => ({
      type: textAt(action, "action", "type") ?? "",
      ...defined({
        timeAfterCreate: textAt(action, "trigger", "timeAfterCreate"),
        timeBeforeExpiry: textAt(action, "trigger", "timeBeforeExpiry"),
      }),
    })),
  };
}

/** Roles at the vault and above. With one among them that is not built in, nobody can tell here what it allows, so nothing is said. */
function roleFacts(assignments: readonly ArmBody[], vaultId: string): LiveFacts {
  const held = assignments.filter(({ properties }) => {
    const scope = textAt(properties, "scope")?.toLowerCase() ?? "";
    return `${vaultId.toLowerCase()}/`.startsWith(scope.endsWith("/") ? scope : `${scope}/`);
  });
  const names = held.map(({ properties }) => {
    const id = textAt(properties, "roleDefinitionId")?.split("/").at(-1)?.toLowerCase() ?? "";
    return azureRoleNames.get(id);
  });
  return names.includes(undefined) ? {} : { identityRoles: names.filter((name) => name !== undefined) };
}

/** ARM writes identities' ids in any case. */
function principalOf(body: ArmBody, identityId: string): string | undefined {
  const identities = at(body, "identity", "userAssignedIdentities");
  return textAt(identities, identityId, "principalId");
}

function dateAt(value: unknown, name: string): string | undefined {
  const seconds = at(value, name);
  return typeof seconds === "number" ? new Date(seconds * 1_000).toISOString() : undefined;
}

function at(value: unknown, ...names: readonly string[]): unknown {
  return names.reduce<unknown>((inner, name) => (isRecord(inner) ? inner[name] : undefined), value);
}

function textAt(value: unknown, ...names: readonly string[]): string | undefined {
  const found = at(value, ...names);
  return typeof found === "string" && found !== "" ? found : undefined;
}

function isRecord(value: unknown): value is ArmBody {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Without what is not known. */
function defined<Values extends object>(values: Values): { [Name in keyof Values]: Exclude<Values[Name], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Name in keyof Values]: Exclude<Values[Name], undefined> };
}
