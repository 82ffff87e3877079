/**
 * The key_id of a key as far as its reference says it, for when no plugin is there to be asked: after a restore, or once a key
 * has been let go. What plugins report is stored with every object: never change what is said here.
 */
import { createHash } from "node:crypto";
import { managedHsmDomains, vaultDomains } from "./azure-key-id";
import type { KeyReference } from "./key-reference";

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
