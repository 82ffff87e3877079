/**
 * What AKS asks of KMS settings before it takes them: facts/aks.md 1.1, 1.3, 1.4 and the ids of section 4, named beside each rule.
 * Refusals at once are HTTP 400; what AKS finds out only while it works fails the operation (kms-changes.ts).
 */
import { ArmError } from "../arm-error";
import type { PutWork } from "../arm-type";
import { at, isObject, type JsonObject, textAt } from "../shape";
import { propertiesOf } from "./common";
import { hasObjectEncryption } from "./managed-cluster-shape";

/** What a cluster's body says of KMS. */
export interface KmsSettings {
  readonly mode: "off" | "legacy" | "customer-managed" | "platform-managed";
  readonly keyId: string;
  readonly networkAccess: "Public" | "Private";
  readonly vaultId: string;
}

export function kmsSettingsOf(properties: JsonObject): KmsSettings {
  const kms = at(properties, "securityProfile", "azureKeyVaultKms");
  const encrypted =
    textAt(properties, "securityProfile", "kubernetesResourceObjectEncryptionProfile", "infrastructureEncryption") ===
    "Enabled";
  const enabled = isObject(kms) && kms["enabled"] === true;
  return {
    mode: enabled ? (encrypted ? "customer-managed" : "legacy") : encrypted ? "platform-managed" : "off",
    keyId: textAt(kms, "keyId"),
    networkAccess: textAt(kms, "keyVaultNetworkAccess") === "Private" ? "Private" : "Public",
    vaultId: textAt(kms, "keyVaultResourceId"),
  };
}

const versioned = /^https:\/\/([a-z0-9-]{3,24})\.vault\.azure\.net\/keys\/([0-9A-Za-z-]{1,127})\/[0-9a-f]{32}$/i;
const versionless = /^https:\/\/([a-z0-9-]{3,24})\.vault\.azure\.net\/keys\/([0-9A-Za-z-]{1,127})$/i;
const vaultId = /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.KeyVault\/vaults\/([^/]+)$/i;

/** The vault's name in a key's id; empty for what is none. */
export function vaultNameOf(keyId: string): string {
  return (versioned.exec(keyId) ?? versionless.exec(keyId))?.[1] ?? "";
}

export function requireValidKms(work: PutWork, properties: JsonObject, identity: JsonObject): void {
  const before = kmsSettingsOf(propertiesOf(work.before));
  const after = kmsSettingsOf(properties);
  const raw = at(properties, "securityProfile", "azureKeyVaultKms");
  const version = minorOf(textAt(properties, "kubernetesVersion"));
  const bad = (message: string, code = "BadRequest") => new ArmError(400, code, message);

  // J4: facts/aks.md section 0, irreversible.
  const encryptedBefore = before.mode === "customer-managed" || before.mode === "platform-managed";
  if (encryptedBefore && (after.mode === "legacy" || after.mode === "off")) {
    throw bad("KMS data encryption can't be disabled or downgraded once it is enabled.", "PropertyChangeNotAllowed");
  }
  if (encryptedBefore && !hasObjectEncryption(work.apiVersion)) {
    throw bad(`The cluster uses KMS data encryption, which api-version ${work.apiVersion} does not know.`);
  }
  if ((after.mode === "customer-managed" || after.mode === "platform-managed") && version < 33) {
    throw bad(
      `KMS data encryption needs Kubernetes 1.33 or later; the cluster has ${textAt(properties, "kubernetesVersion")}.`,
    );
  }
  // J2: limitation 13.
  const was = minorOf(textAt(propertiesOf(work.before), "currentKubernetesVersion"));
  if (before.mode === "legacy" && work.before !== undefined && was < 27 && version >= 27) {
    throw bad(
      "The cluster uses KMS v1: turn KMS off before the upgrade to Kubernetes 1.27 or later.",
      "OperationNotAllowed",
    );
  }
  // J3: limitation of D4.
  if (
    before.mode === "legacy" &&
    was < 27 &&
    (after.mode === "customer-managed" || after.mode === "platform-managed")
  ) {
    throw bad("Migration from KMS v1 is not supported; upgrade to KMS v2 first.");
  }
  if (after.mode === "off" || after.mode === "platform-managed") return;

  if (identity["type"] !== "UserAssigned") {
    throw bad(
      `AzureKeyVaultKms feature does not support cluster identity type ${textAt(identity, "type")}, supported value is 'UserAssigned'`,
    );
  }
  if (after.keyId === "") throw bad("Azure Key Vault KMS key ID is empty when Azure Key Vault KMS is enabled.");
  const form = after.mode === "legacy" ? versioned : versionless;
  const match = form.exec(after.keyId);
  if (match === null) {
    throw bad(
      `Azure Key Vault KMS key ID '${after.keyId}' is not a key identifier ${after.mode === "legacy" ? "with" : "without"} a version.`,
    );
  }
  if (isObject(raw) && raw["keyVaultNetworkAccess"] === undefined) {
    throw bad("KeyVault network access is unspecified for Azure Key Vault KMS.");
  }
  requireVault(after, match[1] ?? "", properties, bad);
  // K1: limitation 6. A vault of another name may have another mode.
  const sameVault = vaultNameOf(before.keyId).toLowerCase() === (match[1] ?? "").toLowerCase();
  if (
    before.mode === "legacy" &&
    after.mode === "legacy" &&
    sameVault &&
    before.networkAccess !== after.networkAccess
  ) {
    throw bad(
      "Changing the network access of the attached key vault is not supported; disable Azure Key Vault KMS first.",
    );
  }
  const tenant = work.world.keyVaults.dataPlane(match[1] ?? "")?.tenantId;
  if (tenant !== undefined && tenant !== work.world.tenantOf(work.id.subscription)) {
    throw bad("Key vault from another tenant is not supported.");
  }
}

function requireVault(
  { mode, networkAccess, vaultId: resourceId }: KmsSettings,
  name: string,
  properties: JsonObject,
  bad: (message: string) => ArmError,
): void {
  if (networkAccess === "Private") {
    if (resourceId === "") throw bad("KeyVault resource ID is empty when KeyVault network access is Private.");
    const integrated = at(properties, "apiServerAccessProfile", "enableVnetIntegration") === true;
    if (mode === "legacy" && !integrated) {
      throw bad("Vnet integration should be enabled when KeyVault network access is Private.");
    }
  } else if (mode === "legacy" && resourceId !== "") {
    throw bad("KeyVault resource ID should be empty when KeyVault network access is Public.");
  }
  if (resourceId === "") return;
  const match = vaultId.exec(resourceId);
  if (match === null) throw bad(`KeyVault resource ID '${resourceId}' is not valid.`);
  if ((match[1] ?? "").toLowerCase() !== name.toLowerCase()) {
    throw bad(`The key is in vault '${name}', and KeyVault resource ID names '${match[1] ?? ""}'.`);
  }
}

/** 33 of `1.33.2`. */
export function minorOf(version: string): number {
  return Number(version.split(".")[1] ?? "0");
}
