/**
 * The parts of @pulumi/aws that are used, loaded by the first component that makes something in AWS: the package is an optional peer, and
 * programs for other clouds need not have it.
 */
import type * as logMetricFilter from "@pulumi/aws/cloudwatch/logMetricFilter";
import type * as metricAlarm from "@pulumi/aws/cloudwatch/metricAlarm";
import type * as securityGroup from "@pulumi/aws/ec2/securityGroup";
import type * as vpcEndpoint from "@pulumi/aws/ec2/vpcEndpoint";
import type * as callerIdentity from "@pulumi/aws/getCallerIdentity";
import type * as partition from "@pulumi/aws/getPartition";
import type * as region from "@pulumi/aws/getRegion";
import type * as rolePolicy from "@pulumi/aws/iam/rolePolicy";
import type * as alias from "@pulumi/aws/kms/alias";
import type * as getKey from "@pulumi/aws/kms/getKey";
import type * as key from "@pulumi/aws/kms/key";
import * as pulumi from "@pulumi/pulumi";

/** The version that the tests run with. */
const testedVersion = "7.48.0";

export type AwsModules = Pick<typeof alias, "Alias"> &
  Pick<typeof callerIdentity, "getCallerIdentity"> &
  Pick<typeof getKey, "getKeyOutput"> &
  Pick<typeof key, "Key"> &
  Pick<typeof logMetricFilter, "LogMetricFilter"> &
  Pick<typeof metricAlarm, "MetricAlarm"> &
  Pick<typeof partition, "getPartition"> &
  Pick<typeof region, "getRegion"> &
  Pick<typeof rolePolicy, "RolePolicy"> &
  Pick<typeof securityGroup, "SecurityGroup"> &
  Pick<typeof vpcEndpoint, "VpcEndpoint">;

/* eslint-disable @typescript-eslint/no-require-imports -- imports at the top would make everybody install the package */
/** Node keeps the modules, so a second call costs nothing. */
export function loadAws(): AwsModules {
  try {
    return {
      ...(require("@pulumi/aws/cloudwatch/logMetricFilter") as typeof logMetricFilter),
      ...(require("@pulumi/aws/cloudwatch/metricAlarm") as typeof metricAlarm),
      ...(require("@pulumi/aws/ec2/securityGroup") as typeof securityGroup),
      ...(require("@pulumi/aws/ec2/vpcEndpoint") as typeof vpcEndpoint),
      ...(require("@pulumi/aws/getCallerIdentity") as typeof callerIdentity),
      ...(require("@pulumi/aws/getPartition") as typeof partition),
      ...(require("@pulumi/aws/getRegion") as typeof region),
      ...(require("@pulumi/aws/iam/rolePolicy") as typeof rolePolicy),
      ...(require("@pulumi/aws/kms/alias") as typeof alias),
      ...(require("@pulumi/aws/kms/getKey") as typeof getKey),
      ...(require("@pulumi/aws/kms/key") as typeof key),
    };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw cause;
    throw new pulumi.RunError(
      `resources in AWS need the npm package @pulumi/aws: npm install @pulumi/aws@${testedVersion}`,
    );
  }
}
