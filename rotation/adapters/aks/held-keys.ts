/**
 * The keys that AKS holds: the one that writes and the one before it. Both have to be enabled and unexpired until the next rotation is
 * proven, so both are looked at, version by version, and so is what this very update wants of them.
 */
import { parseAzureKeyId, parseVaultId } from "../../../core/azure-key-id";
import type { AzureFacts } from "../../../core/azure-rules/facts";
import { KmsEtcdError } from "../../../core/errors";
import type { ArmBody, ArmClient } from "../azure/arm-client";
import { at, dateAt, defined, textAt } from "./arm-values";
import { areSameSettings, type KmsSettings, vaultOf } from "./kms-settings";
import { vaultApiVersion } from "./vault-network";

/** What an update wants of a version of a key, besides what the vault says of it now. */
export interface PlannedAttributes {
  readonly enabled?: boolean;
  /** ISO 8601. */
  readonly expiresOn?: string;
}

export type PlannedKeys = (keyId: string) => PlannedAttributes | undefined;

/** A version of a key, with its vault where that is known. */
export interface HeldKey {
  readonly keyId: string;
  readonly vaultId: string | undefined;
}

/** What the cluster holds beside the key that is wanted. `previousKeyId` is what an earlier run has left as the second one. */
export function otherHeldKeys(
  kms: KmsSettings,
  goal: KmsSettings,
  goalVaultId: string | undefined,
  previousKeyId: string | undefined,
): readonly HeldKey[] {
  const wanted = goal.mode === "legacy" ? goal.keyId.toLowerCase() : "";
  const current = kms.mode === "legacy" ? [kms.keyId] : [];
  // After a change to KMS data encryption too: AKS writes Secrets again by itself, and when it has done that nobody can see.
  const previous = previousKeyId === undefined ? [] : [previousKeyId];
  const ids = [...new Set([...current, ...previous].map((id) => id.toLowerCase()))].filter((id) => id !== wanted);
  return ids.map((keyId) => {
    const name = parseAzureKeyId(keyId)?.vaultName.toLowerCase();
    const known = [goalVaultId, "vaultId" in kms ? kms.vaultId : undefined].find(
      (id) => id !== undefined && parseVaultId(id)?.vaultName.toLowerCase() === name,
    );
    return { keyId, vaultId: name === vaultOf(goal) ? goalVaultId : known };
  });
}

/**
 * The second key that AKS holds under `now`, by what was there before: every change makes the key before it the second one. KMS data
 * encryption leaves the last one of the KMS plugin where it is.
 */
export function secondKey(
  before: KmsSettings,
  previousKeyId: string | undefined,
  now: KmsSettings,
): string | undefined {
  if (before.mode === "cmk" || before.mode === "pmk" || areSameSettings(before, now)) return previousKeyId;
  return before.mode === "legacy" ? before.keyId : undefined;
}

/** What the vault says of one version, through ARM, and what this update makes of it. Throws `not-found` where it is not there. */
export async function versionFacts(
  client: ArmClient,
  { keyId, vaultId }: HeldKey,
  clusterId: string,
  planned: PlannedKeys,
  signal: AbortSignal,
): Promise<Partial<AzureFacts>> {
  const parsed = parseAzureKeyId(keyId);
  if (parsed?.keyVersion === undefined) return {};
  const vault = vaultId ?? (await vaultNamed(client, parsed.vaultName, clusterId, signal));
  const path = `${vault}/keys/${parsed.keyName}/versions/${parsed.keyVersion}`;
  const version = await client.get(path, vaultApiVersion, signal);
  if (version === undefined) {
    throw new KmsEtcdError("not-found", `${keyId} is not in the vault`, {
      remedy: "have it back from the vault's deleted keys while that is possible: AKS needs it",
    });
  }
  return { ...attributesOf(version), ...plannedFacts(planned(keyId)) };
}

/** Of a key, or of one version of it. */
export function attributesOf(key: ArmBody): Partial<AzureFacts> {
  const attributes = at(key, "properties", "attributes");
  return defined({
    keyEnabled: at(attributes, "enabled") !== false,
    keyNotBefore: dateAt(attributes, "nbf"),
    keyExpires: dateAt(attributes, "exp"),
    now: new Date().toISOString(),
  });
}

export function plannedFacts(planned: PlannedAttributes | undefined): Partial<AzureFacts> {
  return defined({ keyEnabled: planned?.enabled, keyExpires: planned?.expiresOn, now: new Date().toISOString() });
}

/** A vault's name is its own in all of Azure; the cluster's subscription is where it usually is. Throws `not-found` for another place. */
export async function vaultNamed(
  client: ArmClient,
  name: string,
  clusterId: string,
  signal: AbortSignal,
): Promise<string> {
  const [, subscription = ""] = /^(\/subscriptions\/[^/]+)\//i.exec(clusterId) ?? [];
  const vaults = await client.list(`${subscription}/providers/Microsoft.KeyVault/vaults`, vaultApiVersion, signal);
  const found = vaults.find((vault) => textAt(vault, "name")?.toLowerCase() === name.toLowerCase());
  const id = found === undefined ? undefined : textAt(found, "id");
  if (id !== undefined) return id;
  throw new KmsEtcdError("not-found", `the vault ${name} is not in the cluster's subscription`, {
    remedy: "see yourself that its key is enabled and not expired",
  });
}
