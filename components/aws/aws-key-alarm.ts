/**
 * Alarms on the use of keys. KMS itself counts neither denied nor throttled calls for a key; CloudTrail records each of them, so the alarms
 * count what CloudTrail writes to a log group.
 */
import * as pulumi from "@pulumi/pulumi";
import { periodViolations } from "../../core/aws-kms-block";
import { deniedPattern, throttledPattern } from "../../core/aws-trail-pattern";
import { typeTokens } from "../../core/type-tokens";
import { inputError } from "../input-error";
import { loadAws } from "./aws-modules";

/** Where CloudTrail writes, and whom an alarm tells. */
export interface AwsKeyAlarmSettingsArgs {
  /**
   * Name of the log group that a trail writes management events to. The trail must not exclude events of KMS; without them the alarms stay
   * silent.
   */
  readonly cloudTrailLogGroupName: pulumi.Input<string>;
  /** ARNs of SNS topics and other things that an alarm tells. Without any, alarms are seen in CloudWatch only. */
  readonly alarmActions?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * Seconds over which calls are counted: 60 or a multiple of it, a week at most.
   * @default 300
   * @integer
   */
  readonly periodSeconds?: number;
}

/** The inputs of an AwsKeyAlarm. */
export interface AwsKeyAlarmArgs {
  /** Where CloudTrail writes, and whom an alarm tells. */
  readonly settings: AwsKeyAlarmSettingsArgs;
  /** ARNs of the keys, by names of your own: versions, for example. */
  readonly keyArns: Record<string, pulumi.Input<string>>;
  /** Tags of the alarms; metric filters have none. */
  readonly tags?: pulumi.Input<Record<string, pulumi.Input<string>>>;
}

/**
 * Two alarms: a call for one of the keys was denied or found the key unusable, and a call was throttled. KMS throttles by a limit of the account
 * in a region, and the plugins' calls to decrypt name no key, so the second one counts Encrypt and Decrypt with any key in the keys' regions.
 */
export class AwsKeyAlarm extends pulumi.ComponentResource {
  /** ARN of the alarm on denied calls. */
  readonly deniedAlarmArn: pulumi.Output<string>;
  /** ARN of the alarm on throttled calls, with whichever key. */
  readonly throttledAlarmArn: pulumi.Output<string>;

  constructor(name: string, args: AwsKeyAlarmArgs, opts?: pulumi.ComponentResourceOptions) {
    const violations = periodViolations("settings.periodSeconds", args.settings.periodSeconds);
    if (violations.length > 0) throw inputError("AwsKeyAlarm", violations);
    super(typeTokens.awsKeyAlarm, name, args, opts);
    const namespace = `KmsEtcd/${pulumi.getProject()}/${pulumi.getStack()}/${name}`;
    const of = (kind: string, patterns: Readonly<Record<string, pulumi.Output<string>>>, description: string) => {
      const { LogMetricFilter, MetricAlarm } = loadAws();
      for (const [filter, pattern] of Object.entries(patterns)) {
        new LogMetricFilter(
          filter,
          {
            logGroupName: args.settings.cloudTrailLogGroupName,
            pattern,
            metricTransformation: { name: kind, namespace, value: "1", defaultValue: "0" },
          },
          { parent: this },
        );
      }
      return new MetricAlarm(
        `${name}-${kind}`,
        {
          alarmDescription: description,
          namespace,
          metricName: kind,
          statistic: "Sum",
          period: args.settings.periodSeconds ?? 300,
          evaluationPeriods: 1,
          threshold: 1,
          comparisonOperator: "GreaterThanOrEqualToThreshold",
          treatMissingData: "notBreaching",
          ...(args.settings.alarmActions === undefined ? {} : { alarmActions: args.settings.alarmActions }),
          ...(args.tags === undefined ? {} : { tags: args.tags }),
        },
        { parent: this },
      );
    };
    const what = `the keys of etcd encryption ${name}`;
    const denied = Object.entries(args.keyArns).map(([key, arn]) => [
      `${name}-${key}-Denied`,
      pulumi.output(arn).apply(deniedPattern),
    ]);
    this.deniedAlarmArn = of(
      "Denied",
      Object.fromEntries(denied) as Record<string, pulumi.Output<string>>,
      `KMS refused calls for ${what}: API servers may not be able to read Secrets`,
    ).arn;
    // One filter for all keys: with one a key, each throttled call would be counted once a key.
    this.throttledAlarmArn = of(
      "Throttled",
      { [`${name}-Throttled`]: pulumi.all(Object.values(args.keyArns)).apply(throttledPattern) },
      `KMS throttled calls in the account, by a limit that ${what} share with all others: API servers may have been slow to start or to read Secrets`,
    ).arn;
    this.registerOutputs({ deniedAlarmArn: this.deniedAlarmArn, throttledAlarmArn: this.throttledAlarmArn });
  }
}
