/**
 * Environment variables that the Go SDK, and so aws-encryption-provider, obeys and the JavaScript SDK does not. All others
 * (credentials, profiles, endpoints, FIPS) the JavaScript SDK reads by itself.
 */

export interface AwsEnvironment {
  /** AWS_REGION, or AWS_DEFAULT_REGION. */
  readonly region: string | undefined;
  /** AWS_CA_BUNDLE: a PEM file that replaces the built-in certificate authorities. */
  readonly caBundleFile: string | undefined;
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in either case; undefined where neither proxy is set. */
  readonly proxy: ProxySettings | undefined;
  readonly instanceMetadataDisabled: boolean;
  readonly instanceMetadataEndpoint: string;
}

export interface ProxySettings {
  readonly httpProxy: string;
  readonly httpsProxy: string;
  readonly noProxy: string;
}

export function readAwsEnvironment(variables: Readonly<Record<string, string | undefined>>): AwsEnvironment {
  const either = (name: string): string => variables[name] || variables[name.toLowerCase()] || "";
  const httpProxy = either("HTTP_PROXY");
  const httpsProxy = either("HTTPS_PROXY");
  return {
    region: variables["AWS_REGION"] || variables["AWS_DEFAULT_REGION"] || undefined,
    caBundleFile: variables["AWS_CA_BUNDLE"] || undefined,
    proxy: httpProxy || httpsProxy ? { httpProxy, httpsProxy, noProxy: either("NO_PROXY") } : undefined,
    instanceMetadataDisabled: variables["AWS_EC2_METADATA_DISABLED"]?.toLowerCase() === "true",
    instanceMetadataEndpoint: (
      variables["AWS_EC2_METADATA_SERVICE_ENDPOINT"] ||
      (variables["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]?.toLowerCase() === "ipv6"
        ? "http://[fd00:ec2::254]"
        : "http://169.254.169.254")
    ).replace(/\/+$/, ""),
  };
}
