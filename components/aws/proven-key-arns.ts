/** The ARNs of a component's input `keyArns`, refused when they become known and are no keys'. */
import * as pulumi from "@pulumi/pulumi";
import { keyArnListViolations } from "../../core/key-arn-list";
import { inputError } from "../input-error";

export function provenKeyArns(
  component: string,
  arns: pulumi.Input<pulumi.Input<string>[]>,
): pulumi.Output<readonly string[]> {
  return pulumi.output(arns).apply((known) => {
    const violations = keyArnListViolations("keyArns", known, () => false);
    if (violations.length > 0) throw inputError(component, violations);
    return known;
  });
}
