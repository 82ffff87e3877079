/** What is wrong with an awsKms block, wherever it stands. */
import { awsKmsBlockViolations } from "../../core/aws-kms-block";
import type { InputViolation } from "../../core/input-rules";
import { isKnownLater } from "../known-later";

/** `block` stands at the property `path`. */
export function awsKmsViolations(
  path: string,
  block: Readonly<Record<string, unknown>>,
  versions: readonly number[],
): readonly InputViolation[] {
  return awsKmsBlockViolations(block, { versions, isLater: isKnownLater }).map((violation) => ({
    ...violation,
    path: `${path}.${violation.path}`,
  }));
}
