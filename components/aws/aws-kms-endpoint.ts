/** A VPC endpoint of KMS: how instances without a way to the internet reach it, and how others keep their calls inside their network. */
import * as pulumi from "@pulumi/pulumi";
import { useStatements } from "../../core/aws-key-policy";
import { typeTokens } from "../../core/type-tokens";
import { loadAws } from "./aws-modules";
import { provenKeyArns } from "./proven-key-arns";

/** Where an endpoint stands, and who may use it. */
export interface AwsKmsEndpointSettingsArgs {
  /** The VPC of the control plane. Another one later makes another endpoint. */
  readonly vpcId: pulumi.Input<string>;
  /** Subnets that the endpoint gets an address in: one in each availability zone of the control plane. */
  readonly subnetIds: pulumi.Input<pulumi.Input<string>[]>;
  /** Security groups of the instances that may connect: those of the control plane. */
  readonly clientSecurityGroupIds: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * Whether KMS' usual name leads to the endpoint in the whole VPC. Without it plugins need `--kms-endpoint`. One endpoint of a VPC can have it.
   * @default true
   */
  readonly privateDns?: boolean;
  /**
   * Whether the endpoint lets through calls for these keys only. With `privateDns` that holds for everything in the VPC that calls KMS
   * itself, under other keys too.
   * @default false
   */
  readonly onlyTheseKeys?: boolean;
}

/** The inputs of an AwsKmsEndpoint. */
export interface AwsKmsEndpointArgs {
  /** Where the endpoint stands, and who may connect to it. */
  readonly settings: AwsKmsEndpointSettingsArgs;
  /** ARNs of the keys that `onlyTheseKeys` means. */
  readonly keyArns: pulumi.Input<pulumi.Input<string>[]>;
  /** Tags of the endpoint and its security group. */
  readonly tags?: pulumi.Input<Record<string, pulumi.Input<string>>>;
}

/** An interface endpoint of KMS with a security group of its own. */
export class AwsKmsEndpoint extends pulumi.ComponentResource {
  /** Id of the endpoint. */
  readonly endpointId: pulumi.Output<string>;

  constructor(name: string, args: AwsKmsEndpointArgs, opts?: pulumi.ComponentResourceOptions) {
    super(typeTokens.awsKmsEndpoint, name, args, opts);
    const { getRegion, SecurityGroup, VpcEndpoint } = loadAws();
    const { settings } = args;
    const tags = args.tags === undefined ? {} : { tags: args.tags };
    const group = new SecurityGroup(
      name,
      {
        vpcId: settings.vpcId,
        description: `KMS for etcd encryption ${name}`,
        ingress: [{ protocol: "tcp", fromPort: 443, toPort: 443, securityGroups: settings.clientSecurityGroupIds }],
        ...tags,
      },
      { parent: this },
    );
    const region = pulumi.output(getRegion({}, { parent: this })).region;
    const endpoint = new VpcEndpoint(
      name,
      {
        vpcId: settings.vpcId,
        serviceName: pulumi.interpolate`com.amazonaws.${region}.kms`,
        vpcEndpointType: "Interface",
        subnetIds: settings.subnetIds,
        securityGroupIds: [group.id],
        privateDnsEnabled: settings.privateDns ?? true,
        ...(settings.onlyTheseKeys === true ? { policy: endpointPolicy(args.keyArns) } : {}),
        ...tags,
      },
      { parent: this },
    );
    this.endpointId = endpoint.id;
    this.registerOutputs({ endpointId: this.endpointId });
  }
}

/** Who calls is for the keys' policies to say; the endpoint says which keys. */
function endpointPolicy(keyArns: pulumi.Input<pulumi.Input<string>[]>): pulumi.Output<string> {
  return provenKeyArns("AwsKmsEndpoint", keyArns).apply((arns) => {
    const statements = useStatements(arns, undefined).map((statement) => ({ ...statement, Principal: { AWS: ["*"] } }));
    return JSON.stringify({ Version: "2012-10-17", Statement: statements });
  });
}
