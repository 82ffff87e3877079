/** Port: the two calls of AWS KMS that a plugin makes. Nothing of the SDK's shape is in it. */

export type EncryptionContext = Readonly<Record<string, string>>;

/**
 * Both calls may be repeated: neither changes anything in AWS. They retry by themselves while `signal` allows, end when it
 * aborts, and throw KmsEtcdError as `KeyProvider` says.
 */
export interface KmsClient {
  encrypt(call: {
    readonly keyId: string;
    readonly plaintext: Uint8Array;
    readonly encryptionContext: EncryptionContext;
    readonly signal: AbortSignal;
  }): Promise<Uint8Array>;
  /**
   * `keyId` is for messages only: the peer sends no KeyId, so any blob decrypts whose key the role may use, which is
   * what keeps old data readable after an alias has moved.
   */
  decrypt(call: {
    readonly keyId: string;
    readonly blob: Uint8Array;
    readonly encryptionContext: EncryptionContext;
    readonly signal: AbortSignal;
  }): Promise<Uint8Array>;
  /** Closes the connections; calls that are under way fail. */
  close(): Promise<void>;
}
