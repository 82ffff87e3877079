/** ARNs of KMS keys. Plugins are given nothing else: an id means another key in another account, an alias can be moved. */

const arnForm = /^arn:(aws[\w-]*):kms:([a-z0-9-]+):(\d{12}):key\/(mrk-[0-9a-f]{32}|[0-9a-f-]{36})$/;

export interface AwsKeyArn {
  readonly partition: string;
  readonly region: string;
  readonly account: string;
  readonly keyId: string;
}

/** The parts of a key's ARN; undefined for anything else. */
export function parseAwsKeyArn(arn: string): AwsKeyArn | undefined {
  const [, partition, region, account, keyId] = arnForm.exec(arn) ?? [];
  if (partition === undefined || region === undefined || account === undefined || keyId === undefined) return undefined;
  return { partition, region, account, keyId };
}

/** Why `arn` can't name a key here, with what to write; undefined when it can. */
export function keyArnProblem(arn: unknown): string | undefined {
  if (typeof arn === "string" && parseAwsKeyArn(arn) !== undefined) return undefined;
  if (typeof arn === "string" && arn.includes("alias/")) {
    const show = `\`aws kms describe-key --key-id ${arn} --query KeyMetadata.Arn\` prints the ARN of the key behind it`;
    return `is the alias ${arn}: moving an alias changes the key without a trace; ${show}`;
  }
  return `is ${JSON.stringify(arn)}; write arn:aws:kms:REGION:ACCOUNT:key/ID`;
}

/** The tag of a key that was disabled by retiring its version. Never change it: keys that carry it could not be reinstated any more. */
export const retiredKeyTag = "kms-etcd-retired";
