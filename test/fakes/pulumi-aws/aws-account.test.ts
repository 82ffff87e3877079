import assert from "node:assert/strict";
import type { Properties } from "../../../provider/property-values";
import { fakeAccount } from "../aws/kms-fake";
import { createKmsKeys } from "../aws/kms-keys";
import { createAwsAccount } from "./aws-account";
import type { AwsType } from "./aws-type";
import { checkInputs } from "./provider-methods";

const open = (actions: readonly string[] = ["kms:*"], account = fakeAccount) =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      {
        Sid: "A",
        Effect: "Allow",
        Principal: { AWS: [`arn:aws:iam::${account}:root`] },
        Action: actions,
        Resource: ["*"],
      },
    ],
  });

describe("the stand-in for Pulumi's aws plugin", () => {
  const make = () => {
    const kms = createKmsKeys(fakeAccount, "us-east-1");
    const account = createAwsAccount(kms);
    const type = (token: string): AwsType => {
      const found = account.types.get(token);
      if (found === undefined) throw new Error(token);
      return found;
    };
    return { account, kms, key: type("aws:kms/key:Key"), alias: type("aws:kms/alias:Alias"), type };
  };
  const problemsOf = (type: AwsType, inputs: Properties) =>
    checkInputs(type, inputs, {}, "x").problems.map(({ path, reason }) => `${path} ${reason}`);

  it("1. unknown, missing and misshapen inputs => refused", () => {
    const { key, alias } = make();
    assert.match(problemsOf(key, { enableKeyRotations: true })[0] ?? "", /^enableKeyRotations unexpected argument/);
    assert.match(problemsOf(alias, { name: "alias/a" })[0] ?? "", /^targetKeyId missing required argument/);
    assert.match(problemsOf(key, { tags: ["a"] })[0] ?? "", /^tags expected map/);
  });

  it("2. policies => JSON, version, elements, principals, vendors, operators", () => {
    const { key, type } = make();
    const statement = { Effect: "Allow", Principal: { AWS: ["*"] }, Action: ["kms:*"], Resource: ["*"] };
    const withStatement = (more: object) =>
      JSON.stringify({ Version: "2012-10-17", Statement: [{ ...statement, ...more }] });
    const bad: readonly (readonly [string, RegExp])[] = [
      ["{", /invalid JSON/],
      [JSON.stringify({ Statement: [statement] }), /valid version string/],
      [withStatement({ Resources: [] }), /unknown element Resources/],
      [withStatement({ Action: ["Encrypt"] }), /prefaced by a vendor/],
      [withStatement({ Principal: undefined }), /has no principal/],
      [withStatement({ Condition: { StringEqual: {} } }), /Invalid Condition type : StringEqual/],
      [withStatement({ Sid: "a b" }), /Sid a b/],
    ];
    for (const [policy, reason] of bad) assert.match(problemsOf(key, { policy })[0] ?? "", reason);
    const role = type("aws:iam/rolePolicy:RolePolicy");
    assert.match(problemsOf(role, { role: "r", policy: open() })[0] ?? "", /should not specify a principal/);
  });

  it("3. a key's policy that locks the caller out => refused", () => {
    const { key } = make();
    assert.deepEqual(problemsOf(key, { policy: open() }), []);
    assert.match(
      problemsOf(key, { policy: open(["kms:Encrypt"]) })[0] ?? "",
      /will not allow you to update the key policy/,
    );
    assert.match(problemsOf(key, { policy: open(["kms:*"], "999999999999") })[0] ?? "", /will not allow you/);
  });

  it("4. windows and periods => only AWS' own", () => {
    const { key } = make();
    for (const days of [6, 31]) assert.match(problemsOf(key, { deletionWindowInDays: days })[0] ?? "", /\(7 - 30\)/);
    for (const days of [89, 2561])
      assert.match(problemsOf(key, { enableKeyRotation: true, rotationPeriodInDays: days })[0] ?? "", /\(90 - 2560\)/);
    assert.match(problemsOf(key, { rotationPeriodInDays: 90 })[0] ?? "", /needs enableKeyRotation/);
  });

  it("5. multiRegion => fixed", () => {
    assert.equal(make().key.inputs["multiRegion"]?.fixed, true);
  });

  it("6. aliases => their form, and one owner", () => {
    const { key, alias } = make();
    for (const name of ["etcd", "alias/aws/etcd", "alias/a b"])
      assert.match(problemsOf(alias, { name, targetKeyId: "k" })[0] ?? "", /^name/);
    const [first, second] = [key.create({}), key.create({})];
    alias.create({ name: "alias/a", targetKeyId: first.id });
    assert.throws(() => alias.create({ name: "alias/a", targetKeyId: second.id }), /AlreadyExistsException/);
    assert.throws(() => alias.create({ name: "alias/b", targetKeyId: "no-key" }), /NotFoundException/);
  });

  it("7. a deleted key => pending deletion, unusable, its alias free; 8. disabled and enabled => unusable and usable", () => {
    const { account, kms, key, alias } = make();
    const made = key.create({ isEnabled: true });
    const arn = made.outputs["arn"] as string;
    alias.create({ name: "alias/a", targetKeyId: made.id });
    key.update?.({ ...made, inputs: {} }, { isEnabled: false });
    assert.throws(() => kms.use(arn, "Encrypt"), { type: "DisabledException" });
    key.update?.({ ...made, inputs: {} }, { isEnabled: true });
    assert.equal(kms.use(arn, "Encrypt").arn, arn);
    key.delete({ ...made, inputs: {} });
    assert.throws(() => kms.use(arn, "Encrypt"), { type: "KMSInvalidStateException" });
    assert.equal(account.aliases.has("alias/a"), false);
  });

  it("9. a policy for no role, a second private name in a VPC, another service => refused", () => {
    const { account, type } = make();
    const role = type("aws:iam/rolePolicy:RolePolicy");
    assert.throws(() => role.create({ role: "r", name: "p", policy: "{}" }), /NoSuchEntity/);
    account.roles.add("r");
    assert.equal(role.create({ role: "r", name: "p", policy: "{}" }).id, "r:p");
    const endpoint = type("aws:ec2/vpcEndpoint:VpcEndpoint");
    const inputs = { vpcId: "vpc-1", serviceName: "com.amazonaws.us-east-1.kms", privateDnsEnabled: true };
    assert.match(
      problemsOf(endpoint, { ...inputs, serviceName: "com.amazonaws.us-east-1.km" })[0] ?? "",
      /InvalidServiceName/,
    );
    const made = endpoint.create(inputs);
    assert.throws(() => endpoint.create(inputs), /conflicting DNS domain/);
    endpoint.delete({ ...made, inputs });
    endpoint.create(inputs);
  });

  it("10. a pattern that is too long, half a transformation, an odd period => refused", () => {
    const { type } = make();
    const filter = type("aws:cloudwatch/logMetricFilter:LogMetricFilter");
    const metricTransformation = { name: "n", namespace: "s", value: "1" };
    assert.match(
      problemsOf(filter, { logGroupName: "g", metricTransformation, pattern: "x".repeat(1025) })[0] ?? "",
      /0 - 1024/,
    );
    assert.match(
      problemsOf(filter, { logGroupName: "g", metricTransformation: { name: "n" }, pattern: "" })[0] ?? "",
      /namespace missing/,
    );
    const alarm = type("aws:cloudwatch/metricAlarm:MetricAlarm");
    const inputs = { evaluationPeriods: 1, comparisonOperator: "GreaterThanThreshold", period: 90 };
    assert.match(problemsOf(alarm, inputs)[0] ?? "", /multiple of 60/);
  });
});
