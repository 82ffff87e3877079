/** The flags of aws-encryption-provider: same names, forms and defaults, so that its manifests work unchanged. */
import type { OperationConfig } from "./plugin-config";

export interface AwsPluginKey {
  /** `--key` verbatim: what Status reports as key_id and what AWS KMS gets as KeyId. */
  readonly keyId: string;
  /** Bound to every ciphertext; empty when the key has none. */
  readonly encryptionContext: Readonly<Record<string, string>>;
}

/** How many retries the client may spend before it has to earn more by successes. */
export type RetryBudget =
  /** The SDK's own: 500 tokens, 5 for a retry, 10 for one after a timeout. */
  | { readonly kind: "sdk-default" }
  /** `--retry-token-capacity`: that many tokens, at the SDK's costs. */
  | { readonly kind: "tokens"; readonly capacity: number }
  /** `--qps-limit` + `--burst-limit`, deprecated upstream: that many tokens, 1 for a retry of any kind. */
  | { readonly kind: "unit-cost-tokens"; readonly capacity: number };

export interface AwsPluginConfig {
  readonly kind: "aws";
  readonly operation: OperationConfig;
  /** Key i is served on `operation.sockets[i]`. Never empty. */
  readonly keys: readonly AwsPluginKey[];
  /** Undefined: the SDK's own search, and the instance metadata service when that finds none. */
  readonly region: string | undefined;
  /** Overrides the address of AWS KMS for all keys. */
  readonly kmsEndpoint: string | undefined;
  readonly retryBudget: RetryBudget;
  /** Sent as x-amz-source-arn, with the account in it as x-amz-source-account: the guard against a confused deputy. */
  readonly sourceArn: string | undefined;
}
