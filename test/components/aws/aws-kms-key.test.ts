import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { AwsKeyAccess, AwsKeyAlarm, AwsKmsKey, type AwsKmsKeyArgs, KmsEtcdEncryption } from "../../../components";
import { keyPolicyText } from "../../../components/aws/aws-keys";
import type { AwsStatement } from "../../../core/aws-key-policy";
import { typeTokens } from "../../../core/type-tokens";
import { outputValue } from "../support/output-value";
import { refusedInput } from "../support/refused-input";

// The SDK keeps its state in a global that it makes when first asked; mocha looks for new globals from the first test on.
void pulumi.runtime.isDryRun();

const account = "123456789012";
const arnOf = (name: string) =>
  `arn:aws:kms:us-east-1:${account}:key/00000000-0000-4000-8000-${name.replace(/\D/g, "").padStart(12, "0")}`;
const given = arnOf("77");

describe("keys in AWS KMS as components", function () {
  this.timeout(30_000);
  let registered: { readonly type: string; readonly name: string; readonly inputs: Record<string, unknown> }[];

  beforeEach(async () => {
    registered = [];
    await pulumi.runtime.setMocks({
      newResource: ({ type, name, inputs: made }) => {
        const inputs = made as Record<string, unknown>;
        registered.push({ type, name, inputs });
        const key = type === "aws:kms/key:Key" ? { arn: arnOf(name), keyId: `id-of-${name}` } : {};
        return { id: name, state: { arn: `arn-of-${name}`, ...inputs, ...key } };
      },
      call: ({ token }) => {
        if (token.endsWith("getCallerIdentity")) return { accountId: account };
        return token.endsWith("getPartition") ? { partition: "aws" } : { region: "us-east-1" };
      },
    });
  });

  const of = (type: string) => registered.filter((resource) => resource.type === type);
  /** Children are registered behind their parent; an output says only that its own are. */
  const settled = async (count: number) => {
    for (let tries = 0; registered.length < count && tries < 200; tries += 1)
      await new Promise((resolve) => setImmediate(resolve));
  };

  it("two versions, one of them given => one key and one alias are made, and both ARNs come out", async () => {
    const keys = new AwsKmsKey("etcd", {
      newestKeyVersion: 2,
      source: { keyArns: { "1": given }, rotateKeyMaterial: true },
    });
    assert.deepEqual(await outputValue(keys.keyArns), { "1": given, "2": arnOf("etcd-key-v2") });
    await settled(3);
    const [key, ...others] = of("aws:kms/key:Key");
    assert.equal(others.length, 0);
    const { policy: _policy, description: _text, ...inputs } = key?.inputs ?? {};
    assert.deepEqual(inputs, {
      deletionWindowInDays: 30,
      enableKeyRotation: true,
      rotationPeriodInDays: 365,
      multiRegion: false,
    });
    assert.deepEqual(
      of("aws:kms/alias:Alias").map(({ inputs: { name, targetKeyId } }) => [name, targetKeyId]),
      [[`alias/${pulumi.getProject()}-${pulumi.getStack()}-etcd-v2`, "id-of-etcd-key-v2"]],
    );
  });

  it("every key given => nothing is made in AWS but what the roles need", async () => {
    const keys = new AwsKmsKey("etcd", {
      newestKeyVersion: 1,
      source: { keyArns: { "1": given }, instanceRoles: { cp: "masters" } },
    });
    await outputValue(keys.keyArns);
    await settled(3);
    assert.deepEqual(
      registered.map(({ type }) => type).sort(),
      ["aws:iam/rolePolicy:RolePolicy", typeTokens.awsKeyAccess, typeTokens.awsKmsKey].sort(),
    );
  });

  it("retireKeyVersions => those keys are disabled and the others enabled; without the list neither is said", async () => {
    await outputValue(new AwsKmsKey("etcd", { newestKeyVersion: 2, source: {}, retireKeyVersions: [1] }).keyArns);
    assert.deepEqual(
      of("aws:kms/key:Key").map(({ inputs }) => inputs["isEnabled"]),
      [false, true],
    );
    await outputValue(new AwsKmsKey("other", { newestKeyVersion: 1, source: {} }).keyArns);
    assert.equal(of("aws:kms/key:Key").at(-1)?.inputs["isEnabled"], undefined);
  });

  it("AwsKeyAccess without roles => statements for a policy of one's own, and nothing made", async () => {
    const access = new AwsKeyAccess("etcd", { keyArns: [given], encryptionContext: { cluster: "demo" } });
    const statements = JSON.parse(await outputValue(access.statements)) as AwsStatement[];
    assert.deepEqual(
      statements.flatMap(({ Resource }) => Resource),
      [given, given],
    );
    assert.ok(registered.every(({ type }) => !type.startsWith("aws:")));
  });

  it("awsKms in KmsEtcdEncryption => a rollout that declares each version by ARN and context", async () => {
    const encryption = new KmsEtcdEncryption("etcd", {
      keyVersion: 2,
      awsKms: { keyArns: { "1": given }, encryptionContext: { cluster: "demo" } },
      local: { controlPlaneFile: "/state/control-plane.json" },
    });
    await outputValue(encryption.atGoal);
    assert.deepEqual(of(typeTokens.encryptionRollout)[0]?.inputs["keys"], [
      { version: 1, aws: { keyArn: given, encryptionContext: { cluster: "demo" } } },
      { version: 2, aws: { keyArn: arnOf("etcd-key-v2"), encryptionContext: { cluster: "demo" } } },
    ]);
  });

  const bad: readonly (readonly [string, object, string, RegExp])[] = [
    ["an alias for a key", { source: { keyArns: { "1": "alias/etcd" } } }, "source.keyArns.1", /moving an alias/],
    ["a version below 1", { newestKeyVersion: 0 }, "newestKeyVersion", /write a whole number/],
    ["no source", { source: undefined }, "source", /is missing; its inputs are keyArns/],
    ["a misspelt input", { newestVersion: 1 }, "newestVersion", /is not an input/],
    [
      "a given key to retire",
      { source: { keyArns: { "1": given } }, retireKeyVersions: [1] },
      "retireKeyVersions[0]",
      /was not made here/,
    ],
    [
      "a role's bare name",
      { source: { keyUserArns: ["masters"] } },
      "source.keyUserArns[0]",
      /is "masters", which AWS takes for no principal/,
    ],
  ];
  for (const [name, changed, path, reason] of bad) {
    it(`${name} => an InputPropertyError at ${path}, and nothing made`, () => {
      const args = { newestKeyVersion: 1, source: {}, ...changed } as AwsKmsKeyArgs;
      assert.throws(() => new AwsKmsKey("etcd", args), refusedInput(path, reason));
      assert.equal(registered.length, 0);
    });
  }

  const alias = `arn:aws:kms:us-east-1:${account}:alias/etcd`;
  const badAccess: readonly (readonly [string, string[], string, RegExp])[] = [
    ["an alias, which IAM matches with nothing", [given, alias], "keyArns[1]", /is the alias .*describe-key/],
    ["no key, so that the policy would say nothing", [], "keyArns", /is empty; name at least one key's ARN/],
  ];
  for (const [name, keyArns, path, reason] of badAccess) {
    it(`AwsKeyAccess for ${name} => an InputPropertyError, now or when it is known`, async () => {
      assert.throws(() => new AwsKeyAccess("etcd", { keyArns }), refusedInput(path, reason));
      const access = new AwsKeyAccess("etcd", { keyArns: pulumi.output(keyArns) });
      refusedInput(path, reason)(await failureOf(access.statements));
    });
  }

  it("AwsKeyAlarm for two keys => a filter a key for denied calls, and one for throttled ones, which name no key", async () => {
    const keyArns = { "1": given, "2": pulumi.output(arnOf("78")) };
    const alarm = new AwsKeyAlarm("etcd", { settings: { cloudTrailLogGroupName: "trail" }, keyArns });
    await outputValue(alarm.throttledAlarmArn);
    await settled(6);
    const filters = of("aws:cloudwatch/logMetricFilter:LogMetricFilter");
    assert.deepEqual(filters.map(({ name }) => name).sort(), ["etcd-1-Denied", "etcd-2-Denied", "etcd-Throttled"]);
    const pattern = filters.find(({ name }) => name === "etcd-Throttled")?.inputs["pattern"];
    assert.ok(typeof pattern === "string" && pattern.includes("us-east-1") && !pattern.includes(given));
  });

  it("AwsKeyAlarm over a period that CloudWatch does not have => an InputPropertyError", () => {
    const settings = { cloudTrailLogGroupName: "trail", periodSeconds: 90 };
    assert.throws(
      () => new AwsKeyAlarm("etcd", { settings, keyArns: { "1": given } }),
      refusedInput("settings.periodSeconds", /is 90; write 60 or a multiple of it/),
    );
  });

  it("an alias, or a role's bare name, that is known only later => refused when it is known", async () => {
    const named = new AwsKmsKey("etcd", {
      newestKeyVersion: 1,
      source: { keyArns: { "1": pulumi.output("alias/etcd") } },
    });
    refusedInput("keyArns.1", /is the alias/)(await failureOf(named.keyArns));
    const policy = keyPolicyText({ keyUserArns: [pulumi.output("masters")] }, named);
    refusedInput("keyUserArns[0]", /is "masters"/)(await failureOf(policy));
  });

  function failureOf(output: pulumi.Output<unknown>): Promise<unknown> {
    return new Promise((resolve) => {
      output.apply(resolve);
      (output as unknown as { promise(): Promise<unknown> }).promise().catch(resolve);
    });
  }
});
