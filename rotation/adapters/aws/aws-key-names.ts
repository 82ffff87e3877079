/** Port: which key stands behind a name that people have given it. */
export interface AwsKeyNames {
  /**
   * ARN of the key behind an alias, an alias's ARN or a key id, in `region`, as KMS answers now. Throws KmsEtcdError where there is none, it
   * can't be used, or KMS does not say.
   */
  arnOf(name: string, region: string, signal: AbortSignal): Promise<string>;
}
