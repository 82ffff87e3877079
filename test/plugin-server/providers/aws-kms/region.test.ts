import assert from "node:assert/strict";
import { readAwsEnvironment } from "../../../../plugin-server/providers/aws-kms/environment";
import { instanceRegion, knownRegion } from "../../../../plugin-server/providers/aws-kms/region";

const arn = "arn:aws:kms:eu-central-1:123456789012:key/7d28f184-6471-4a98-ae71-670ec9a9c3eb";

describe("the region of AWS KMS", () => {
  const search = (
    flag: string | undefined,
    variables: Record<string, string>,
    profile: string | undefined,
    keyId = arn,
  ) => knownRegion({ flag, environment: readAwsEnvironment(variables), keyId, profile: async () => profile });

  it("is the flag's, then the environment's, then the profile's, then the key ARN's", async () => {
    const variables = { AWS_REGION: "us-west-1", AWS_DEFAULT_REGION: "us-west-2" };
    assert.equal(await search("us-east-1", variables, "us-east-2"), "us-east-1");
    assert.equal(await search(undefined, variables, "us-east-2"), "us-west-1");
    assert.equal(await search(undefined, { AWS_DEFAULT_REGION: "us-west-2" }, "us-east-2"), "us-west-2");
    assert.equal(await search(undefined, { AWS_REGION: "" }, "us-east-2"), "us-east-2");
    assert.equal(await search(undefined, {}, undefined), "eu-central-1");
  });

  it("is not known from a key id or an alias", async () => {
    for (const keyId of ["alias/etcd", "7d28f184-6471-4a98-ae71-670ec9a9c3eb", "arn:aws:s3:eu-central-1::bucket"]) {
      assert.equal(await search(undefined, {}, undefined, keyId), undefined);
    }
  });

  it("is not asked of an instance metadata service that is switched off", async () => {
    const environment = readAwsEnvironment({ AWS_EC2_METADATA_DISABLED: "true" });
    await assert.rejects(instanceRegion(environment, AbortSignal.timeout(1_000)), { remedy: "pass --region" });
  });
});

describe("the environment variables of the Go SDK", () => {
  it("default to the metadata service's IPv4 address, without proxy or authorities", () => {
    assert.deepEqual(readAwsEnvironment({}), {
      region: undefined,
      caBundleFile: undefined,
      proxy: undefined,
      instanceMetadataDisabled: false,
      instanceMetadataEndpoint: "http://169.254.169.254",
    });
  });

  it("are read in either case, and an address beats the IP version", () => {
    const read = readAwsEnvironment({
      AWS_CA_BUNDLE: "/etc/ca.pem",
      AWS_EC2_METADATA_DISABLED: "TRUE",
      AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://[::1]:1338/",
      AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: "IPv6",
      https_proxy: "http://proxy:3128",
      HTTPS_PROXY: "",
      no_proxy: "localhost",
    });
    assert.equal(read.caBundleFile, "/etc/ca.pem");
    assert.equal(read.instanceMetadataDisabled, true);
    assert.equal(read.instanceMetadataEndpoint, "http://[::1]:1338");
    assert.deepEqual(read.proxy, { httpProxy: "", httpsProxy: "http://proxy:3128", noProxy: "localhost" });
    const overIpv6 = readAwsEnvironment({ AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: "IPv6" });
    assert.equal(overIpv6.instanceMetadataEndpoint, "http://[fd00:ec2::254]");
  });
});
