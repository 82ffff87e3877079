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
  /** The first that is set and not empty: an empty variable counts as unset everywhere in AWS's tools. */
  const first = (...names: readonly string[]): string | undefined => {
    const name = names.find((candidate) => variables[candidate] !== undefined && variables[candidate] !== "");
    return name === undefined ? undefined : variables[name];
  };
  const httpProxy = first("HTTP_PROXY", "http_proxy") ?? "";
  const httpsProxy = first("HTTPS_PROXY", "https_proxy") ?? "";
  const noProxy = first("NO_PROXY", "no_proxy") ?? "";
  const overIpv6 = first("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE")?.toLowerCase() === "ipv6";
  const metadata = first("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  return {
    region: first("AWS_REGION", "AWS_DEFAULT_REGION"),
    caBundleFile: first("AWS_CA_BUNDLE"),
    proxy: httpProxy === "" && httpsProxy === "" ? undefined : { httpProxy, httpsProxy, noProxy },
    instanceMetadataDisabled: first("AWS_EC2_METADATA_DISABLED")?.toLowerCase() === "true",
    instanceMetadataEndpoint: (metadata ?? (overIpv6 ? "http://[fd00:ec2::254]" : "http://169.254.169.254")).replace(
      /\/+$/,
      "",
    ),
  };
}
