/** Whether a program's value becomes known only later, so that a check has to wait for it. */
import * as pulumi from "@pulumi/pulumi";

export function isKnownLater(value: unknown): value is pulumi.OutputInstance<unknown> | Promise<unknown> {
  return pulumi.Output.isInstance(value) || value instanceof Promise;
}
