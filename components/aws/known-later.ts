/** Whether a program's value becomes known only later, so that a check has to wait for it. */
import * as pulumi from "@pulumi/pulumi";

export function isKnownLater(value: unknown): boolean {
  return pulumi.Output.isInstance(value) || value instanceof Promise;
}
