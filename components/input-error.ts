/** What is wrong with a component's inputs, as the error that Pulumi shows at the inputs. */
import * as pulumi from "@pulumi/pulumi";
import type { InputViolation } from "../core/input-rules";

/** One error for all `violations`, of which there is at least one. */
export function inputError(component: string, violations: readonly InputViolation[]): Error {
  const [first] = violations;
  if (first !== undefined && violations.length === 1) {
    return new pulumi.InputPropertyError({ propertyPath: first.path, reason: first.reason });
  }
  return new pulumi.InputPropertiesError({
    message: `the inputs of ${component} can't be used`,
    errors: violations.map(({ path, reason }) => ({ propertyPath: path, reason })),
  });
}
