/**
 * The AWS account behind the stand-in: the resource types that the components use, with AWS' rules for them. Keys are made in a
 * registry of the KMS fake, so that a key that `pulumi up` has made can be used through the real SDK.
 *
 * The rules, each with a test of its own (aws-account.test.ts):
 *  1. an input that a type does not have, a missing one, or one of another kind is refused at check
 *  2. policies are JSON with a version, known elements, principals only where they belong, and known condition operators
 *  3. a key's policy must let the caller change it again
 *  4. a deletion window is 7 to 30 days; a rotation period 90 to 2560, and only with rotation on
 *  5. whether a key is multi-region can't be changed: it makes another key
 *  6. an alias begins with alias/, not with alias/aws/, and is free
 *  7. a key that is deleted is pending deletion, can't be used, and its alias goes by itself
 *  8. isEnabled false makes a key unusable, true usable again
 *  9. a role's policy is for a role that exists, and an endpoint's private name can be taken once in a VPC
 * 10. a metric filter's pattern has at most 1024 characters; an alarm's period is a multiple of 60
 */
import { KmsEtcdError } from "../../../core/errors";
import { isObject, type Properties } from "../../../provider/property-values";
import { fakeAccount } from "../aws/kms-fake";
import type { FakeKey, KmsKeys } from "../aws/kms-keys";
import { type AwsInput, type AwsProblem, type AwsType, text } from "./aws-type";
import { lockoutProblems, policyProblems } from "./policy-rules";

export interface AwsAccount {
  readonly types: ReadonlyMap<string, AwsType>;
  readonly keys: ReadonlyMap<string, AccountKey>;
  /** Alias to key id. */
  readonly aliases: ReadonlyMap<string, string>;
  /** Names of roles that exist. */
  readonly roles: Set<string>;
  /** Inline policies, by role and name. */
  readonly rolePolicies: ReadonlyMap<string, string>;
  invoke(token: string, inputs: Properties): Properties;
}

export interface AccountKey {
  readonly key: FakeKey;
  inputs: Properties;
}

const optional = (kind: AwsInput["kind"]): AwsInput => ({ kind });
const required = (kind: AwsInput["kind"]): AwsInput => ({ kind, required: true });
const fixed = (kind: AwsInput["kind"]): AwsInput => ({ kind, fixed: true });

export function createAwsAccount(kmsKeys: KmsKeys, region = "us-east-1"): AwsAccount {
  const keys = new Map<string, AccountKey>();
  const aliases = new Map<string, string>();
  const roles = new Set<string>();
  const rolePolicies = new Map<string, string>();
  const privateNames = new Map<string, string>();
  let made = 0;
  const nextId = (prefix: string) => `${prefix}-${String((made += 1)).padStart(8, "0")}`;
  const refuse = (message: string): never => {
    throw new KmsEtcdError("invalid-input", message);
  };
  const range = (inputs: Properties, path: string, least: number, most: number): readonly AwsProblem[] => {
    const value = inputs[path];
    if (typeof value !== "number" || (value >= least && value <= most)) return [];
    return [{ path, reason: `expected ${path} to be in the range (${least} - ${most}), got ${value}` }];
  };

  const kmsKey: AwsType = {
    inputs: {
      description: optional("text"),
      policy: optional("text"),
      deletionWindowInDays: optional("number"),
      enableKeyRotation: optional("boolean"),
      rotationPeriodInDays: optional("number"),
      multiRegion: fixed("boolean"),
      isEnabled: optional("boolean"),
      tags: optional("map"),
    },
    defaults: (inputs) => ({ isEnabled: true, enableKeyRotation: false, multiRegion: false, ...inputs }),
    problems: (inputs) => {
      const policy = text(inputs, "policy");
      const form = policy === "" ? [] : policyProblems("policy", policy, "resource");
      return [
        ...form,
        ...(form.length > 0 || policy === "" ? [] : lockoutProblems("policy", policy, fakeAccount)),
        ...range(inputs, "deletionWindowInDays", 7, 30),
        ...range(inputs, "rotationPeriodInDays", 90, 2560),
        ...(inputs["rotationPeriodInDays"] !== undefined && inputs["enableKeyRotation"] !== true
          ? [{ path: "rotationPeriodInDays", reason: "needs enableKeyRotation" }]
          : []),
      ];
    },
    computed: ["arn", "keyId"],
    create(inputs) {
      const key = kmsKeys.add({ region });
      key.state = inputs["isEnabled"] === false ? "Disabled" : "Enabled";
      keys.set(key.id, { key, inputs });
      return { id: key.id, outputs: { ...inputs, arn: key.arn, keyId: key.id } };
    },
    update({ id, outputs }, inputs) {
      const found = keys.get(id) ?? refuse(`NotFoundException: key ${id}`);
      found.inputs = inputs;
      found.key.state = inputs["isEnabled"] === false ? "Disabled" : "Enabled";
      return { ...outputs, ...inputs };
    },
    delete({ id }) {
      const found = keys.get(id) ?? refuse(`NotFoundException: key ${id}`);
      found.key.state = "PendingDeletion";
      for (const [alias, target] of aliases) if (target === id) aliases.delete(alias);
    },
  };

  const kmsAlias: AwsType = {
    inputs: { name: { kind: "text", fixed: true }, targetKeyId: required("text") },
    defaults: (inputs, name) => ({ name: `alias/${name}-${nextId("made")}`, ...inputs }),
    problems: (inputs) =>
      /^alias\/(?!aws\/)[a-zA-Z0-9/_-]+$/.test(text(inputs, "name"))
        ? []
        : [{ path: "name", reason: "must begin with 'alias/' and be comprised of only [a-zA-Z0-9/_-]" }],
    computed: ["arn", "targetKeyArn"],
    create(inputs) {
      const name = text(inputs, "name");
      const target =
        keys.get(text(inputs, "targetKeyId")) ?? refuse(`NotFoundException: key ${text(inputs, "targetKeyId")}`);
      if (aliases.has(name))
        refuse(
          `AlreadyExistsException: An alias with the name arn:aws:kms:${region}:${fakeAccount}:${name} already exists`,
        );
      aliases.set(name, target.key.id);
      kmsKeys.setAlias(name, target.key);
      return {
        id: name,
        outputs: { ...inputs, arn: `arn:aws:kms:${region}:${fakeAccount}:${name}`, targetKeyArn: target.key.arn },
      };
    },
    update({ id, outputs }, inputs) {
      aliases.set(id, text(inputs, "targetKeyId"));
      return { ...outputs, ...inputs };
    },
    delete: ({ id }) => void aliases.delete(id),
  };

  const rolePolicy: AwsType = {
    inputs: { name: fixed("text"), policy: required("text"), role: { kind: "text", required: true, fixed: true } },
    defaults: (inputs, name) => ({ name: `${name}-${nextId("made")}`, ...inputs }),
    problems: (inputs) => policyProblems("policy", text(inputs, "policy"), "identity"),
    computed: [],
    create(inputs) {
      const id = `${text(inputs, "role")}:${text(inputs, "name")}`;
      if (!roles.has(text(inputs, "role")))
        refuse(`NoSuchEntity: The role with name ${text(inputs, "role")} cannot be found`);
      rolePolicies.set(id, text(inputs, "policy"));
      return { id, outputs: inputs };
    },
    update({ id, outputs }, inputs) {
      rolePolicies.set(id, text(inputs, "policy"));
      return { ...outputs, ...inputs };
    },
    delete: ({ id }) => void rolePolicies.delete(id),
  };

  const simple = (
    type: Omit<AwsType, "create" | "update" | "delete">,
    outputsOf: (id: string) => Properties,
    prefix: string,
  ): AwsType => ({
    ...type,
    create(inputs) {
      const id = nextId(prefix);
      return { id, outputs: { ...inputs, ...outputsOf(id) } };
    },
    update: ({ outputs }, inputs) => ({ ...outputs, ...inputs }),
    delete: () => undefined,
  });

  const securityGroup = simple(
    {
      inputs: {
        vpcId: fixed("text"),
        description: fixed("text"),
        ingress: optional("objects"),
        egress: optional("objects"),
        tags: optional("map"),
        name: fixed("text"),
      },
      computed: ["arn"],
    },
    (id) => ({ arn: `arn:aws:ec2:${region}:${fakeAccount}:security-group/${id}` }),
    "sg",
  );

  const vpcEndpoint: AwsType = {
    inputs: {
      vpcId: { kind: "text", required: true, fixed: true },
      serviceName: fixed("text"),
      vpcEndpointType: fixed("text"),
      subnetIds: optional("texts"),
      securityGroupIds: optional("texts"),
      privateDnsEnabled: optional("boolean"),
      policy: optional("text"),
      tags: optional("map"),
    },
    problems: (inputs) => {
      const policy = text(inputs, "policy");
      const right = text(inputs, "serviceName") === `com.amazonaws.${region}.kms`;
      return [
        ...(right ? [] : [{ path: "serviceName", reason: "InvalidServiceName" }]),
        ...(policy === "" ? [] : policyProblems("policy", policy, "resource")),
      ];
    },
    computed: ["arn"],
    create(inputs) {
      const vpc = text(inputs, "vpcId");
      const id = nextId("vpce");
      if (inputs["privateDnsEnabled"] === true) {
        if (privateNames.has(vpc))
          refuse(
            `InvalidParameter: private-dns-enabled cannot be set because there is already a conflicting DNS domain in the VPC ${vpc}`,
          );
        privateNames.set(vpc, id);
      }
      return { id, outputs: { ...inputs, arn: `arn:aws:ec2:${region}:${fakeAccount}:vpc-endpoint/${id}` } };
    },
    update: ({ outputs }, inputs) => ({ ...outputs, ...inputs }),
    delete: ({ id }) => {
      for (const [vpc, owner] of privateNames) if (owner === id) privateNames.delete(vpc);
    },
  };

  const metricFilter = simple(
    {
      inputs: {
        logGroupName: { kind: "text", required: true, fixed: true },
        metricTransformation: required("object"),
        pattern: required("text"),
        name: fixed("text"),
      },
      problems: (inputs) => {
        const transformation = inputs["metricTransformation"];
        const missing = ["name", "namespace", "value"].filter(
          (name) => !isObject(transformation) || typeof transformation[name] !== "string",
        );
        return [
          ...(text(inputs, "pattern").length > 1024
            ? [{ path: "pattern", reason: "expected length of pattern to be in the range (0 - 1024)" }]
            : []),
          ...missing.map((name) => ({ path: `metricTransformation.${name}`, reason: "missing required argument" })),
        ];
      },
      computed: [],
    },
    () => ({}),
    "filter",
  );

  const metricAlarm = simple(
    {
      inputs: {
        name: fixed("text"),
        alarmDescription: optional("text"),
        namespace: optional("text"),
        metricName: optional("text"),
        statistic: optional("text"),
        period: optional("number"),
        evaluationPeriods: required("number"),
        threshold: optional("number"),
        comparisonOperator: required("text"),
        treatMissingData: optional("text"),
        alarmActions: optional("texts"),
        tags: optional("map"),
      },
      problems: ({ period }) =>
        typeof period === "number" && period % 60 !== 0
          ? [{ path: "period", reason: "must be 10, 20, 30 or a multiple of 60" }]
          : [],
      computed: ["arn"],
    },
    (id) => ({ arn: `arn:aws:cloudwatch:${region}:${fakeAccount}:alarm:${id}` }),
    "alarm",
  );

  const answers: Readonly<Record<string, Properties>> = {
    "aws:index/getCallerIdentity:getCallerIdentity": {
      accountId: fakeAccount,
      arn: `arn:aws:iam::${fakeAccount}:user/test`,
      id: fakeAccount,
      userId: "AIDATEST",
    },
    "aws:index/getPartition:getPartition": {
      partition: "aws",
      dnsSuffix: "amazonaws.com",
      id: "aws",
      reverseDnsPrefix: "com.amazonaws",
    },
    "aws:index/getRegion:getRegion": {
      region,
      name: region,
      id: region,
      description: "",
      endpoint: `ec2.${region}.amazonaws.com`,
    },
  };

  return {
    types: new Map([
      ["aws:kms/key:Key", kmsKey],
      ["aws:kms/alias:Alias", kmsAlias],
      ["aws:iam/rolePolicy:RolePolicy", rolePolicy],
      ["aws:ec2/securityGroup:SecurityGroup", securityGroup],
      ["aws:ec2/vpcEndpoint:VpcEndpoint", vpcEndpoint],
      ["aws:cloudwatch/logMetricFilter:LogMetricFilter", metricFilter],
      ["aws:cloudwatch/metricAlarm:MetricAlarm", metricAlarm],
    ]),
    keys,
    aliases,
    roles,
    rolePolicies,
    invoke(token, inputs) {
      if (token !== "aws:kms/getKey:getKey") return answers[token] ?? refuse(`the stand-in has no function ${token}`);
      // Of what DescribeKey says, as the real one, which writes times as RFC 3339.
      const { arn, id, usage, createdAt } = kmsKeys.find(text(inputs, "keyId"));
      const creationDate = createdAt.toISOString().replace(/\.\d+Z$/, "Z");
      return { arn, id, keyId: text(inputs, "keyId"), keyUsage: usage, creationDate, region };
    },
  };
}
