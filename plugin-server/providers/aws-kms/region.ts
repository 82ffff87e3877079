/** In which region AWS KMS is asked. The search is the Go SDK's, whose order users of aws-encryption-provider rely on. */
import { KmsEtcdError } from "../../../core/errors";
import type { AwsEnvironment } from "./environment";

export interface RegionSources {
  /** `--region`. */
  readonly flag: string | undefined;
  readonly environment: Pick<AwsEnvironment, "region">;
  readonly keyId: string;
  /** The profile in the shared configuration files, as the SDK finds it. */
  readonly profile: () => Promise<string | undefined>;
}

/** The region without asking the network; undefined where only the instance metadata service can know it. */
export async function knownRegion(sources: RegionSources): Promise<string | undefined> {
  return sources.flag ?? sources.environment.region ?? (await sources.profile()) ?? regionOfArn(sources.keyId);
}

/** The region in a key's ARN. The peer does not look there; it is where the key is, whatever region the host is in. */
function regionOfArn(keyId: string): string | undefined {
  const [prefix, , service, region] = keyId.split(":");
  return prefix === "arn" && service === "kms" && region !== "" ? region : undefined;
}

/** The region of the EC2 instance that this runs on, by version 2 of the instance metadata service. */
export async function instanceRegion(environment: AwsEnvironment, signal: AbortSignal): Promise<string> {
  if (environment.instanceMetadataDisabled) throw noRegion();
  const base = environment.instanceMetadataEndpoint;
  try {
    const token = await text(
      `${base}/latest/api/token`,
      "PUT",
      { "x-aws-ec2-metadata-token-ttl-seconds": "60" },
      signal,
    );
    const headers = { "x-aws-ec2-metadata-token": token };
    return await text(`${base}/latest/meta-data/placement/region`, "GET", headers, signal);
  } catch (cause) {
    throw noRegion(cause);
  }
}

async function text(
  url: string,
  method: "GET" | "PUT",
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string> {
  const answer = await fetch(url, { method, headers, signal });
  const body = (await answer.text()).trim();
  if (!answer.ok || body === "") throw new Error(`${method} ${url} gave HTTP status ${answer.status}`);
  return body;
}

function noRegion(cause?: unknown): KmsEtcdError {
  return new KmsEtcdError(
    "unreachable",
    "the region of AWS KMS is not known: no flag, environment variable, profile or key ARN names it, and the instance metadata service did not either",
    { remedy: "pass --region", cause },
  );
}
