import type * as pulumi from "@pulumi/pulumi";

/** What an output comes to. A rejected one rejects, which `apply` alone would never tell. */
export function outputValue<T>(output: pulumi.Output<T>): Promise<T> {
  return (output as unknown as { promise(): Promise<T> }).promise();
}
