/**
 * The key_id of a key as far as its reference says it, for when no plugin is there to be asked: after a restore, or once a key
 * has been let go. What plugins report is stored with every object: never change what is said here.
 */
import { createHash } from "node:crypto";
import { type AzureKeyId, managedHsmDomains, parseAzureKeyId, vaultDomains } from "./azure-key-id";
import type { AzureKeyReference, KeyReference } from "./key-reference";

/** The key_id for the identifier (kid) of a key in Key Vault: its SHA-256 in hex, as Azure/kubernetes-kms has it. */
export function azureKmsKeyId(kid: string): string {
  return createHash("sha256").update(kid).digest("hex");
}

/**
 * Every key_id that a plugin may report for `key`. In Azure the cloud decides the vault's domain, and older plugins hash the
 * vault's name as they were given it. In AWS it is the key's ARN, whatever the encryption context.
 */
export function possibleKeyIds(key: KeyReference): ReadonlySet<string> {
  switch (key.kind) {
    case "local":
      return new Set([key.keyId]);
    case "aws":
      return new Set([key.keyArn]);
    case "azure": {
      const { vaultName, keyName, keyVersion } = key;
      const domains: readonly string[] = key.managedHsm === true ? managedHsmDomains : vaultDomains;
      const spellings = [
        [vaultName.toLowerCase(), keyVersion.toLowerCase()],
        [vaultName, keyVersion],
      ];
      return new Set(
        domains.flatMap((domain) =>
          spellings.map(([vault, version]) => azureKmsKeyId(`https://${vault}.${domain}/keys/${keyName}/${version}`)),
        ),
      );
    }
  }
}

/** Whether the two are one key where it lives: in AWS an encryption context makes another key to the engine alone. */
export function isSameKey(a: KeyReference, b: KeyReference): boolean {
  return [...possibleKeyIds(a)].some((keyId) => possibleKeyIds(b).has(keyId));
}

/**
 * Whether `keyId`, as a plugin of whatever make has reported it, is certainly no name of `key`. An alias, or a hash of nobody
 * knows what, is not certain: Azure/kubernetes-kms hashes the vault's name as it was spelt to it, aws-encryption-provider
 * reports its --key as it stands.
 */
export function isOfAnotherKey(key: KeyReference, keyId: string): boolean {
  if (possibleKeyIds(key).has(keyId)) return false;
  switch (key.kind) {
    case "local":
      // Nothing but our plugin reads its file, and that reports nothing else.
      return true;
    case "aws":
      return localForm.test(keyId) || isOfAnotherAwsKey(key.keyArn, keyId);
    case "azure":
      return localForm.test(keyId) || awsForm.test(keyId) || isOfAnotherAzureKey(key, keyId);
  }
}

const localForm = /^local-[0-9a-f]{32}$/;
const awsForm = /^(arn:[a-z-]+:kms:|alias\/)/;

function isOfAnotherAwsKey(keyArn: string, keyId: string): boolean {
  const [, , , region, account, key = ""] = keyArn.split(":");
  const [, , service, itsRegion, itsAccount, its = ""] = keyId.split(":");
  if (service === "kms") {
    // The replicas of a multi-Region key decrypt what each of them has encrypted.
    if (its.startsWith("key/")) return its !== key;
    // An alias is of a key in its own account and Region.
    return its.startsWith("alias/") && (itsRegion !== region || itsAccount !== account);
  }
  return awsKeyId.test(keyId) && key !== `key/${keyId}`;
}

const awsKeyId = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/;

function isOfAnotherAzureKey(key: AzureKeyReference, keyId: string): boolean {
  const its = parseAzureKeyId(keyId);
  if (its?.keyVersion === undefined) return false;
  const text = ({ vaultName, keyName, keyVersion = "" }: AzureKeyId | AzureKeyReference) =>
    `${vaultName}/${keyName}/${keyVersion}`.toLowerCase();
  return text(its) !== text(key);
}
