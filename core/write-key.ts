/** What a stored value was encrypted with: a provider of the EncryptionConfiguration and, for KMS v2, the key behind it. */

/**
 * A provider as stored values name it: `kms/v2/<name>`, `kms/v1/<name>`, `aescbc/<key name>`, `aesgcm/<key name>`,
 * `secretbox/<key name>` or `identity`. Persisted in evidence: never change the form.
 */
export type ProviderId = string;

export const identityProvider: ProviderId = "identity";

/** Provider and key_id together. `keyId` is absent where the stored bytes do not name one (everything but KMS v2). */
export interface WriteKey {
  readonly provider: ProviderId;
  readonly keyId?: string;
}
