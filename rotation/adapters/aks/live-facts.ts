/**
 * What the rules of core/azure-rules can be told by asking Azure: the cluster, its vault, its key, and what its identity may do. What
 * may not be asked is left out, and said.
 */
import { parseAzureKeyId, parseVaultId } from "../../../core/azure-key-id";
import { azureRules } from "../../../core/azure-rules/azure-rules";
import type { AzureFacts, FactName } from "../../../core/azure-rules/facts";
import { checkRules, type GivenFacts, notYetKnown } from "../../../core/azure-rules/rule";
import { describeError, KmsEtcdError } from "../../../core/errors";
import type { ArmClient } from "../azure/arm-client";
import { keyFacts, roleFacts, subnetFacts, vaultFacts } from "./arm-facts";
import { at, defined, isRecord, listAt, textAt } from "./arm-values";
import { identityIn, roleApiVersion } from "./grants";
import {
  attributesOf,
  type HeldKey,
  otherHeldKeys,
  type PlannedKeys,
  plannedFacts,
  vaultNamed,
  versionFacts,
} from "./held-keys";
import { apiVersionFor, type KmsSettings, vaultOf } from "./kms-settings";
import { isKmsV1, kubernetesVersionOf } from "./kubernetes-version";
import type { ManagedClusterState } from "./managed-cluster";
import { vaultApiVersion } from "./vault-network";

type LiveFacts = Partial<AzureFacts>;

export interface LiveLook {
  readonly facts: GivenFacts;
  /** Of the keys that AKS holds beside the one that is wanted. */
  readonly otherKeys: readonly { readonly keyId: string; readonly facts: LiveFacts }[];
  /** What could not be asked, and why: a sentence each, with the rules that were not checked for it. */
  readonly unseen: readonly string[];
}

export interface LiveRequest {
  /** Undefined while the cluster is not known: then it is what the rules are not told. */
  readonly state: ManagedClusterState | undefined;
  readonly goal: KmsSettings;
  /** Of the vault that is wanted; undefined where it is not known. */
  readonly vaultId: string | undefined;
  /** The vault's network is ours, so it is not what the rollout will meet. */
  readonly ownsVaultNetwork: boolean;
  /** The second key that an earlier run has left AKS with. */
  readonly previousKeyId: string | undefined;
  /** What this very update makes of keys. */
  readonly planned: PlannedKeys;
}

/** What each look tells the rules, to say which of them had to do without it. */
const aboutIdentity = ["clusterTenantId"] as const;
const aboutVault = [
  ...(["vaultTenantId", "purgeProtection", "rbacAuthorization", "rbacAuthorizationBefore", "accessPolicies"] as const),
  ...(["identityKeyPermissions", "vaultPublicNetworkAccess", "vaultDefaultAction", "vaultBypass"] as const),
  ...(["vaultNetworkRules", "vaultInUse"] as const),
];
const aboutKey = ["keyType", "keyOperations", "keyEnabled", "keyNotBefore", "keyExpires", "keyRotationPolicy"] as const;
const aboutRoles = ["identityRoles", "roleScope"] as const;
const aboutSubnet = ["apiServerSubnet"] as const;

/** Of the vault's network, where nobody has seen it: left out they would mean that the vault lets everybody in. */
const unseenNetwork: GivenFacts = {
  vaultPublicNetworkAccess: notYetKnown,
  vaultDefaultAction: notYetKnown,
  vaultBypass: notYetKnown,
  vaultNetworkRules: notYetKnown,
};

/** What is known once the cluster is. */
export const clusterFactNames = [
  ...([
    "clusterExists",
    "clusterId",
    "location",
    "kubernetesVersion",
    "modeBefore",
    "kmsV1Before",
    "keyIdBefore",
  ] as const),
  ...(["clusterIdentityType", "clusterIdentityTypeBefore", "clusterIdentityIds", "clusterIdentityIdsBefore"] as const),
  ...(["servicePrincipalClientId", "vnetIntegration", "vnetIntegrationBefore", "apiServerSubnetId"] as const),
  ...(["privateCluster", "disableRunCommand", "rewritesInCluster", "aksApiVersion", "ownVirtualNetwork"] as const),
  ...(["systemPoolsToZero", "vaultInUse", "identityKeyPermissions", "heldKeyIds", "retiredKeyIds"] as const),
  ...aboutIdentity,
  ...aboutRoles,
  ...aboutSubnet,
];
const unseenCluster: GivenFacts = Object.fromEntries(clusterFactNames.map((name) => [name, notYetKnown]));

const identityApiVersion = "2023-01-31";
const networkApiVersion = "2024-05-01";

export async function liveFacts(client: ArmClient, request: LiveRequest, signal: AbortSignal): Promise<LiveLook> {
  const { state, goal } = request;
  const unseen: string[] = [];
  const cluster = state === undefined ? {} : clusterFacts(state, goal);
  const clusterId = cluster.clusterId ?? "";

  async function look(
    what: string,
    names: readonly FactName[],
    work: () => Promise<LiveFacts>,
  ): Promise<LiveFacts | undefined> {
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown instanceof KmsEtcdError) || thrown.code === "cancelled") throw thrown;
      unseen.push(`not checked: ${what} could not be looked at (rules ${rulesAbout(names)}): ${describeError(thrown)}`);
      return undefined;
    }
  }
  const ask = (id: string, version: string) => client.get(id, version, signal);
  const lookAtVersion = (what: string, key: HeldKey) =>
    look(what, aboutKey, () => versionFacts(client, key, clusterId, request.planned, signal));

  /** A key that is given may be in another vault than the one that is named beside it. */
  async function vaultOfKey(keyId: string): Promise<string | undefined> {
    const name = parseAzureKeyId(keyId)?.vaultName;
    const named = parseVaultId(request.vaultId ?? "")?.vaultName;
    if (name === undefined || named?.toLowerCase() === name.toLowerCase()) return request.vaultId;
    if (state === undefined) return undefined;
    return vaultNamed(client, name, clusterId, signal).catch((thrown: unknown) => {
      if (!(thrown instanceof KmsEtcdError) || thrown.code === "cancelled") throw thrown;
      return undefined;
    });
  }

  const otherKeys: { keyId: string; facts: LiveFacts }[] = [];
  const others = state === undefined ? [] : otherHeldKeys(state.kms, goal, request.vaultId, request.previousKeyId);
  for (const key of others) {
    const facts = await lookAtVersion(`the key ${key.keyId}, which AKS holds too,`, key);
    if (facts !== undefined) otherKeys.push({ keyId: key.keyId, facts });
  }
  const subnet = cluster.apiServerSubnetId;
  const network =
    subnet === undefined || state === undefined || cluster.vnetIntegration !== true
      ? {}
      : await look("the API server's subnet", aboutSubnet, async () =>
          subnetFacts(await ask(subnet, networkApiVersion), subnet, state.body),
        );
  const facts = { ...(state === undefined ? unseenCluster : {}), ...cluster, ...network };
  if (goal.mode !== "legacy" && goal.mode !== "cmk") return { facts, otherKeys, unseen };
  const vaultId = await vaultOfKey(goal.keyId);
  if (vaultId === undefined) {
    const ids = rulesAbout([...aboutVault, ...aboutKey, ...aboutRoles]);
    unseen.push(`not checked: the vault is not known, so neither it nor its key was looked at (rules ${ids})`);
    return { facts: { ...facts, ...unseenNetwork }, otherKeys, unseen };
  }
  const [identityId] = cluster.clusterIdentityIds ?? [];
  const identity =
    identityId === undefined
      ? {}
      : await look("the cluster's identity", aboutIdentity, async () => {
          const tenant = textAt(await ask(identityId, identityApiVersion), "properties", "tenantId");
          return tenant === undefined ? {} : { clusterTenantId: tenant };
        });
  const principalId = state === undefined ? undefined : identityIn(state.body)?.principalId;
  const vault = await look("the vault", aboutVault, async () =>
    vaultFacts(
      await ask(vaultId, vaultApiVersion),
      principalId,
      request.ownsVaultNetwork ? goal.networkAccess : undefined,
    ),
  );
  const use = state === undefined ? {} : { vaultInUse: vaultOf(state.kms) === vaultOf(goal) };
  const parsed = parseAzureKeyId(goal.keyId);
  const key =
    parsed === undefined
      ? {}
      : await look("the key", aboutKey, async () => {
          const path = `${vaultId}/keys/${parsed.keyName}`;
          const found = await ask(path, vaultApiVersion);
          const newest = found === undefined || parsed.keyVersion !== undefined ? {} : attributesOf(found);
          return { ...keyFacts(found), ...newest, ...plannedFacts(request.planned(goal.keyId)) };
        });
  // ARM shows the newest version of a key by its name; the version that is wanted may be an older one.
  const version =
    parsed?.keyVersion === undefined || key === undefined
      ? {}
      : await lookAtVersion("the key's version", { keyId: goal.keyId, vaultId });
  const grants =
    principalId === undefined
      ? {}
      : await look("the roles of the cluster's identity", aboutRoles, async () => {
          const filter = encodeURIComponent(`principalId eq '${principalId}'`);
          const path = `${vaultId}/providers/Microsoft.Authorization/roleAssignments?$filter=${filter}`;
          const { facts: roles, unknownRoles } = roleFacts(await client.list(path, roleApiVersion, signal), vaultId);
          if (unknownRoles.length === 0) return roles;
          const { identityRoles: _some, ...rest } = roles;
          // An unknown role can only add to the known ones.
          const doubts = doubtsAbout({ ...vault, ...roles, mode: goal.mode, vaultNetworkAccess: goal.networkAccess });
          if (doubts.length === 0) return roles;
          unseen.push(
            `not checked: what the cluster's identity may do with the vault; its known roles do not allow it, and what others of its roles allow is not known here: ${unknownRoles.join(", ")} (rules ${doubts.join(", ")})`,
          );
          return rest;
        });
  return {
    facts: { ...facts, ...unseenNetwork, ...use, ...identity, ...vault, ...key, ...version, ...grants },
    otherKeys,
    unseen,
  };
}

/** Ids of the rules that say by these facts that the identity lacks a role. */
function doubtsAbout(facts: LiveFacts): readonly string[] {
  const aboutRoleNames = azureRules.filter(({ reads }) => reads.includes("identityRoles"));
  const { errors, warnings } = checkRules(aboutRoleNames, facts);
  return [...errors, ...warnings].map(({ id }) => id);
}

/** Ids of the rules that read any of these. */
function rulesAbout(names: readonly FactName[]): string {
  const ids = azureRules.filter(({ reads }) => reads.some((name) => names.includes(name))).map(({ id }) => id);
  return [...new Set(ids)].join(", ");
}

function clusterFacts(state: ManagedClusterState, goal: KmsSettings): LiveFacts {
  const { body, kms } = state;
  const access = at(body, "properties", "apiServerAccessProfile");
  const identities = at(body, "identity", "userAssignedIdentities");
  const assigned = isRecord(identities) ? Object.keys(identities) : [];
  const integrated = at(access, "enableVnetIntegration") === true;
  const pools = listAt(body, "properties", "agentPoolProfiles");
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
    ownVirtualNetwork: pools.some((pool) => textAt(pool, "vnetSubnetID") !== undefined),
    systemPoolsToZero: pools
      .filter((pool) => at(pool, "mode") === "System" && at(pool, "minCount") === 0)
      .flatMap((pool) => textAt(pool, "name") ?? []),
  });
}
