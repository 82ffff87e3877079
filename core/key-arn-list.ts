/** Lists of ARNs in inputs: of keys in AWS KMS that something is for, and of others. */
import { keyArnProblem } from "./aws-key-arn";
import type { InputViolation } from "./input-rules";

/** IAM matches no alias and no id, and an empty list means nothing at all: either way nobody would get leave, without a word. */
export function keyArnListViolations(
  path: string,
  arns: unknown,
  isLater: (value: unknown) => boolean,
): readonly InputViolation[] {
  if (isLater(arns)) return [];
  if (!Array.isArray(arns))
    return [{ path, reason: "is no list; name the keys' ARNs: arn:aws:kms:REGION:ACCOUNT:key/ID" }];
  if (arns.length === 0) return [{ path, reason: "is empty; name at least one key's ARN" }];
  return eachViolation(path, arns, isLater, keyArnProblem);
}

/** What `problemOf` says of each, where it is known. */
export function eachViolation(
  path: string,
  arns: readonly unknown[],
  isLater: (value: unknown) => boolean,
  problemOf: (arn: unknown) => string | undefined,
): readonly InputViolation[] {
  return arns.flatMap((arn, index): InputViolation[] => {
    const reason = isLater(arn) ? undefined : problemOf(arn);
    return reason === undefined ? [] : [{ path: `${path}[${index}]`, reason }];
  });
}
