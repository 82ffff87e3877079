/** Filter patterns of CloudWatch Logs for what CloudTrail writes about calls to KMS that failed. */
import { parseAwsKeyArn } from "./aws-key-arn";

/** KMS refused: no leave, or the key is disabled, pending deletion or not there. */
const refused = ["AccessDenied*", "DisabledException", "KMSInvalidStateException", "NotFoundException"];

/** A refused call names its key as resource, as parameter, or in the words of the error alone. */
export function deniedPattern(keyArn: string): string {
  return patternOf(
    anyOf("errorCode", refused),
    [
      `($.resources[0].ARN = "${keyArn}")`,
      `($.requestParameters.keyId = "${keyArn}")`,
      `($.errorMessage = "*${keyArn}*")`,
    ].join(" || "),
  );
}

/**
 * A throttled call need not name a key: plugins decrypt by the ciphertext alone, and the error has no ARN in its words. Nor would it say
 * more: the limit is the account's in a region, for all keys together. So this counts every Encrypt and Decrypt in the keys' regions.
 */
export function throttledPattern(keyArns: readonly string[]): string {
  const regions = new Set(keyArns.flatMap((arn) => parseAwsKeyArn(arn)?.region ?? []));
  return patternOf(
    anyOf("errorCode", ["ThrottlingException"]),
    anyOf("eventName", ["Encrypt", "Decrypt"]),
    anyOf("awsRegion", [...regions].sort()),
  );
}

function patternOf(...conditions: readonly string[]): string {
  const all = ['$.eventSource = "kms.amazonaws.com"', ...conditions].map((condition) => `(${condition})`);
  return `{ ${all.join(" && ")} }`;
}

function anyOf(field: string, values: readonly string[]): string {
  return values.map((value) => `($.${field} = "${value}")`).join(" || ");
}
