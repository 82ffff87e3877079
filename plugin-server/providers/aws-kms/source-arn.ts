/** The headers by which a key policy can tell for which resource AWS KMS is asked (the guard against a confused deputy). */
import { KmsEtcdError } from "../../../core/errors";

/** `x-amz-source-arn` and `x-amz-source-account`, as aws-encryption-provider sends them with every call. */
export function sourceArnHeaders(sourceArn: string): Readonly<Record<string, string>> {
  const [prefix, partition, service, , account, ...resource] = sourceArn.split(":");
  if (prefix !== "arn" || !partition || !service || !account || resource.join(":") === "") {
    throw new KmsEtcdError(
      "invalid-input",
      `--source-arn is "${sourceArn}", which is not an ARN that names an account`,
      {
        remedy: "write it as arn:aws:eks:us-east-1:111122223333:cluster/name",
      },
    );
  }
  return { "x-amz-source-arn": sourceArn, "x-amz-source-account": account };
}
