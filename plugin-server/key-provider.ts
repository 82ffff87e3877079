/** Port: a key-encryption key somewhere. One folder a cloud under `providers/`, and one contract suite for all of them. */

/** What a call is allowed: it ends by itself when `signal` aborts, well before the API server's 3 s. */
export interface CallContext {
  /** The wire version of the request, because the Azure plugin's ciphertext differs between the two. */
  readonly kms: "v1" | "v2";
  /** The API server's uid for tracing; empty for v1. */
  readonly uid: string;
  readonly signal: AbortSignal;
}

export interface Encrypted {
  readonly ciphertext: Uint8Array;
  /** At most 1 kB, public, never reused for another key (KMS v2 api.proto, EncryptResponse.key_id). */
  readonly keyId: string;
  /** Stored in clear with every object; keys are fully qualified domain names (kmsv2/envelope.go). */
  readonly annotations: Readonly<Record<string, Uint8Array>>;
}

export interface DecryptInput {
  readonly ciphertext: Uint8Array;
  /** Empty for v1. */
  readonly keyId: string;
  readonly annotations: Readonly<Record<string, Uint8Array>>;
}

/**
 * Methods throw KmsEtcdError: `key-unusable` (disabled, deleted, denied), `throttled`, `unreachable`, `timeout`, `corrupt`
 * (the ciphertext, not the key, is at fault), `invalid-input`. No plaintext, ciphertext or token is ever in a message.
 */
export interface KeyProvider {
  /** What Status reports; known once `open` has resolved. */
  readonly keyId: string;
  /** The protocol version that Status names; the AWS plugin has always said "v2beta1", the Azure plugin "v2beta1" or "v2". */
  readonly statusVersion: "v2" | "v2beta1";
  /** Fields for the start-up log line: vault, key, version, address, way of authenticating. Nothing secret. */
  readonly description: Readonly<Record<string, string>>;
  /** Makes the provider ready. Resolves quickly; a key that is not usable yet is `probe`'s business, not a failed start. */
  open(signal: AbortSignal): Promise<void>;
  encrypt(plaintext: Uint8Array, call: CallContext): Promise<Encrypted>;
  decrypt(input: DecryptInput, call: CallContext): Promise<Uint8Array>;
  /** Uses the key for real, both ways, so that a disabled or denied key is seen. */
  probe(signal: AbortSignal): Promise<void>;
  /** The same in the way of KMS v1, for services where that may fail while `probe` succeeds. Asked only where v1 is used. */
  probeV1?(signal: AbortSignal): Promise<void>;
  /**
   * When the key stops encrypting by itself; "never" when it has no such date. Not there for services whose keys do not expire.
   * It may need a permission that nothing else needs: a rejection says nothing about the key's health.
   */
  expiry?(signal: AbortSignal): Promise<Date | "never">;
  close(): Promise<void>;
}
