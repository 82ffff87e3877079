/** What is wrong with an awsKms block, wherever it stands. */
import * as pulumi from "@pulumi/pulumi";
import { awsKmsBlockViolations } from "../../core/aws-kms-block";
import type { InputViolation } from "../../core/input-rules";

/** `block` stands at the property `path`. */
export function awsKmsViolations(
  path: string,
  block: Readonly<Record<string, unknown>>,
  versions: readonly number[],
): readonly InputViolation[] {
  const isLater = (value: unknown) => pulumi.Output.isInstance(value) || value instanceof Promise;
  return awsKmsBlockViolations(block, { versions, isLater }).map((violation) => ({
    ...violation,
    path: `${path}.${violation.path}`,
  }));
}
