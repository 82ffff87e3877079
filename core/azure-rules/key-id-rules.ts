/** A1 to A6: the identifier of the key that AKS is given. */
import { managedHsmDomains, parseAzureKeyId, parseVaultId, vaultDomains } from "../azure-key-id";
import { type AzureRule, rule } from "./rule";

const form = "https://VAULT.vault.azure.net/keys/NAME/VERSION";
const knownDomains: readonly string[] = [...vaultDomains, ...managedHsmDomains];

/** Secrets and certificates have identifiers of the same form. */
const otherObject = /\/(secrets|certificates)\//i;

export const keyIdRules: readonly AzureRule[] = [
  rule("A1", "error", ["keyId"], ({ keyId }) => {
    if (keyId === undefined || keyId === "" || otherObject.test(keyId)) return undefined;
    const parsed = parseAzureKeyId(keyId);
    if (parsed !== undefined && knownDomains.includes(parsed.domain)) return undefined;
    return {
      at: "keyId",
      reason: `is ${JSON.stringify(keyId)}, which is no identifier of a key in Key Vault`,
      remedy: `write ${form}`,
    };
  }),
  rule("A2", "error", ["mode", "keyId"], ({ mode, keyId }) => {
    const parsed = parseAzureKeyId(keyId ?? "");
    if (mode !== "legacy" || parsed === undefined || parsed.keyVersion !== undefined) return undefined;
    return {
      at: "keyId",
      reason: "names no version of the key, and the KMS plugin of AKS holds one version",
      remedy: `write ${form}, or use KMS data encryption, which follows the newest version (Kubernetes 1.33 or newer)`,
    };
  }),
  rule("A3", "error", ["mode", "keyId"], ({ mode, keyId }) => {
    const version = parseAzureKeyId(keyId ?? "")?.keyVersion;
    if (mode !== "cmk" || version === undefined) return undefined;
    return {
      at: "keyId",
      reason: "names one version, but KMS data encryption follows the key's newest version by itself",
      remedy: `leave out /${version}`,
    };
  }),
  rule("A4", "error", ["keyId"], ({ keyId }) => {
    const kind = otherObject.exec(keyId ?? "")?.[1];
    if (kind === undefined) return undefined;
    return { at: "keyId", reason: `is in the vault's ${kind}, which are no keys`, remedy: `write ${form}` };
  }),
  rule("A5", "warning", ["mode", "keyId"], ({ mode, keyId }) => {
    const domain = parseAzureKeyId(keyId ?? "")?.domain;
    if (mode === undefined || domain?.startsWith("managedhsm.") !== true) return undefined;
    return {
      at: "keyId",
      reason: "is in a managed HSM, and AKS documents vaults only",
      remedy: "use a key in a vault (type RSA-HSM in a premium vault is kept in an HSM too)",
    };
  }),
  rule("A6", "error", ["keyId", "keyVaultResourceId"], ({ keyId, keyVaultResourceId }) => {
    const named = parseAzureKeyId(keyId ?? "")?.vaultName;
    const given = parseVaultId(keyVaultResourceId ?? "")?.vaultName;
    if (named === undefined || given === undefined || named.toLowerCase() === given.toLowerCase()) return undefined;
    return {
      at: "keyVaultResourceId",
      reason: `names the vault "${given}", but keyId is in "${named}": AKS would make its private endpoint to the wrong one`,
      remedy: "name the vault that has the key",
    };
  }),
];
