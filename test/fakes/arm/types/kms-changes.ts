/**
 * What AKS does when KMS settings change: it looks whether the identity can use the key, connects to a private vault, and runs
 * its API servers with two writers, the new one and the one before (facts/aks.md 1.6). Once a third comes, the oldest is gone.
 */
import { ArmError } from "../arm-error";
import type { ArmWorld, StoredResource } from "../arm-type";
import type { NetworkPath } from "../key-vaults";
import type { KmsKey, KmsWindow, KmsWriter } from "../kms-cluster";
import { isObject, type JsonObject, textAt } from "../shape";
import { propertiesOf } from "./common";
import { type KmsSettings, kmsSettingsOf, vaultNameOf } from "./kms-rules";
import { connect, setConnection } from "./private-endpoints";

const approval = "Microsoft.KeyVault/vaults/PrivateEndpointConnectionsApproval/action";

/** Part of a cluster's operation: brings the control plane to what the body says. Throws what the operation fails with. */
export async function applyKms(world: ArmWorld, cluster: StoredResource): Promise<void> {
  const settings = kmsSettingsOf(propertiesOf(cluster));
  const current = windowOf(cluster);
  const writer = writerOf(world, cluster, settings);
  const platform = settings.mode === "customer-managed" || settings.mode === "platform-managed";
  if (typeof writer === "object") requireUsable(world, cluster, settings, writer);
  const same = sameWriter(current.write, writer) && current.rewrittenByPlatform === platform;
  const next: KmsWindow = same
    ? { ...current, write: writer }
    : { write: writer, previous: current.write, rewrittenByPlatform: platform };
  if (same && cluster.memory["configured"] === true) return;
  // From now on the servers may run with either, so a failure does not bring the old window back.
  cluster.memory["window"] = next;
  cluster.memory["configured"] = false;
  try {
    await world.kmsClusters.of(cluster.path)?.configure(next);
  } catch (thrown) {
    throw new ArmError(
      400,
      "InternalOperationError",
      `Internal server error: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
    );
  }
  cluster.memory["configured"] = true;
  disconnectUnused(world, cluster, next);
}

/** What the servers run with. */
export function windowOf(cluster: StoredResource): KmsWindow {
  const known = cluster.memory["window"];
  return known === undefined
    ? { write: "identity", previous: undefined, rewrittenByPlatform: false }
    : (known as KmsWindow);
}

function writerOf(world: ArmWorld, cluster: StoredResource, settings: KmsSettings): KmsWriter {
  if (settings.mode === "off") return "identity";
  if (settings.mode === "platform-managed") return "platform";
  return { keyId: settings.keyId, networkAccess: settings.networkAccess, identity: identityOf(world, cluster) };
}

function identityOf(world: ArmWorld, cluster: StoredResource): KmsKey["identity"] {
  const { identity } = cluster.body;
  const assigned =
    isObject(identity) && isObject(identity["userAssignedIdentities"]) ? identity["userAssignedIdentities"] : {};
  const [path = ""] = Object.keys(assigned);
  const properties = propertiesOf(world.find(path));
  return {
    principalId: textAt(properties, "principalId"),
    clientId: textAt(properties, "clientId"),
    tenantId: textAt(properties, "tenantId"),
  };
}

function requireUsable(world: ArmWorld, cluster: StoredResource, settings: KmsSettings, key: KmsKey): void {
  const { keyVaults } = world;
  if (settings.mode === "legacy" && settings.networkAccess === "Private") {
    connectPrivately(world, cluster, settings, key);
    return; // D1: AKS can't look at the permissions on a private vault; the API servers will find out.
  }
  const network: NetworkPath = settings.networkAccess === "Private" ? "trusted service" : "internet";
  if (network === "trusted service") keyVaults.networks.set(key.identity.principalId, network);
  try {
    keyVaults.requireUsable(key, network);
  } catch (thrown) {
    // Also what it says of an EC key, of a firewall and of key operations that are missing: azure-docs 110117, 98954.
    const vault = keyVaults.uriOf(vaultNameOf(settings.keyId)).replace(/\/$/, "");
    throw new ArmError(
      400,
      "AzureKeyVaultKmsValidateIdentityPermissionCustomerError",
      `The identity does not have keys encrypt/decrypt permission on key vault "${vault}". (${thrown instanceof Error ? thrown.message : String(thrown)})`,
    );
  }
}

/** AKS makes an endpoint in the node resource group, and approves it with the cluster's identity (facts/aks.md 1.7). */
function connectPrivately(world: ArmWorld, cluster: StoredResource, settings: KmsSettings, key: KmsKey): void {
  const vault = world.find(settings.vaultId);
  if (vault === undefined) {
    throw new ArmError(404, "ResourceNotFound", `The Resource '${settings.vaultId}' was not found.`);
  }
  if (!world.access.isAllowed(key.identity.principalId, approval, settings.vaultId)) {
    throw new ArmError(
      403,
      "LinkedAuthorizationFailed",
      `The client '${key.identity.clientId}' with object id '${key.identity.principalId}' does not have permission to perform action(s) '${approval}' on the linked scope(s) '${settings.vaultId}'.`,
    );
  }
  const path = endpointOf(cluster);
  connect(
    { world, id: { ...cluster.id, path } },
    { name: "kms", properties: { privateLinkServiceId: settings.vaultId, groupIds: ["vault"] } },
    "Approved",
  );
  world.keyVaults.networks.set(key.identity.principalId, "private endpoint");
}

/** The endpoint to a vault goes when neither of the two writers is in that vault any more. */
function disconnectUnused(world: ArmWorld, cluster: StoredResource, { write, previous }: KmsWindow): void {
  const used = [write, previous].flatMap((writer) =>
    typeof writer === "object" && writer.networkAccess === "Private" ? [vaultNameOf(writer.keyId).toLowerCase()] : [],
  );
  disconnect(world, cluster, used);
  if (used.length === 0) world.keyVaults.networks.delete(identityOf(world, cluster).principalId);
}

/** Takes the cluster's connection from all vaults but these. */
export function disconnect(world: ArmWorld, cluster: StoredResource, except: readonly string[] = []): void {
  const path = endpointOf(cluster);
  for (const vault of world.list("Microsoft.KeyVault/vaults", "/")) {
    if (!except.includes((vault.id.names[0] ?? "").toLowerCase())) setConnection(vault, path, undefined);
  }
}

function endpointOf(cluster: StoredResource): string {
  const group = textAt(propertiesOf(cluster), "nodeResourceGroup");
  return `/subscriptions/${cluster.id.subscription}/resourceGroups/${group}/providers/Microsoft.Network/privateEndpoints/kms-${cluster.id.names[0] ?? ""}`;
}

function sameWriter(left: KmsWriter, right: KmsWriter): boolean {
  if (typeof left === "string" || typeof right === "string") return left === right;
  return left.keyId === right.keyId && left.identity.principalId === right.identity.principalId;
}

/** For the model's own doors: what a plugin behind this cluster would meet at Key Vault. */
export function useKeyOf(world: ArmWorld): (key: KmsKey) => void {
  return (key) => {
    world.keyVaults.requireUsable(key, world.keyVaults.networks.get(key.identity.principalId) ?? "internet");
  };
}

/** The part of a body that GET shows when the request says nothing of KMS: it stays on (CAPZ: "cannot unset"). */
export function keepKms(before: JsonObject, after: JsonObject): JsonObject {
  const [old, next] = [before["securityProfile"], after["securityProfile"]];
  const known = isObject(old) ? old : {};
  const given = isObject(next) ? next : {};
  const names = ["azureKeyVaultKms", "kubernetesResourceObjectEncryptionProfile"] as const;
  const kept = names.filter((name) => !(name in given) && known[name] !== undefined);
  if (kept.length === 0) return after;
  return {
    ...after,
    securityProfile: { ...Object.fromEntries(kept.map((name) => [name, known[name] ?? null])), ...given },
  };
}
