/** Names a key-encryption key (KEK) and says all that a KMS plugin needs to use it. Holds no key material. */

/** A key in a file on this machine: development only. */
export interface LocalKeyReference {
  readonly kind: "local";
  /** Absolute path of the key file (AES-256, mode 0600). */
  readonly file: string;
  /** What the plugin reports as key_id: `local-` and the first 32 hex digits of a SHA-256 over the key. Public. */
  readonly keyId: string;
}

/** One version of a key in Azure Key Vault or a managed HSM. */
export interface AzureKeyReference {
  readonly kind: "azure";
  readonly vaultName: string;
  readonly keyName: string;
  readonly keyVersion: string;
  readonly managedHsm?: boolean;
}

/** A KMS key in AWS, by ARN, never by alias: moving an alias changes the key behind an unchanged key_id. */
export interface AwsKeyReference {
  readonly kind: "aws";
  readonly keyArn: string;
  readonly region: string;
  /** Bound to every ciphertext; a key with another context is another key to the engine. */
  readonly encryptionContext?: Readonly<Record<string, string>>;
}

export type KeyReference = LocalKeyReference | AzureKeyReference | AwsKeyReference;

/**
 * A text that is the same for the same key and different for different keys, whatever object it stands in.
 * Provider names are made from it: never change its form, or running clusters would rotate on upgrade.
 */
export function canonicalKey(key: KeyReference): string {
  switch (key.kind) {
    case "local":
      return `local|${key.keyId}`;
    case "azure":
      return `azure|${key.managedHsm === true ? "hsm" : "vault"}|${key.vaultName.toLowerCase()}|${key.keyName.toLowerCase()}|${key.keyVersion.toLowerCase()}`;
    case "aws": {
      const context = Object.entries(key.encryptionContext ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
      return `aws|${key.keyArn}|${JSON.stringify(context)}`;
    }
  }
}

/** How people know the key: in progress lines, plans and logs. */
export function describeKey(key: KeyReference): string {
  switch (key.kind) {
    case "local":
      return `local key ${key.keyId}`;
    case "azure":
      return `${key.vaultName}/${key.keyName}/${key.keyVersion}`;
    case "aws":
      return key.keyArn;
  }
}
