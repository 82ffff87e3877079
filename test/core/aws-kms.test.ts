import assert from "node:assert/strict";
import { keyArnProblem, parseAwsKeyArn } from "../../core/aws-key-arn";
import { type AwsPolicy, keyPolicy, useStatements } from "../../core/aws-key-policy";
import { awsKmsBlockViolations, retiredViolations } from "../../core/aws-kms-block";
import { principalArnProblem } from "../../core/aws-principal-arn";
import { deniedPattern, throttledPattern } from "../../core/aws-trail-pattern";
import { throttling } from "../fakes/aws/faults";
import { matchesFilter } from "../fakes/aws/log-filter";

const arn = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const other = "arn:aws:kms:us-west-2:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";
const role = "arn:aws:iam::111122223333:role/masters.example";

describe("ARNs of KMS keys", () => {
  it("keys and multi-region keys, in every partition => read", () => {
    assert.deepEqual(parseAwsKeyArn(arn), {
      partition: "aws",
      region: "us-west-2",
      account: "111122223333",
      keyId: "1234abcd-12ab-34cd-56ef-1234567890ab",
    });
    for (const good of [other, arn.replace("arn:aws:", "arn:aws-cn:").replace("us-west-2", "cn-north-1")]) {
      assert.equal(keyArnProblem(good), undefined);
    }
  });

  it("an alias => refused, with how to see the key behind it; anything else => with the form to write", () => {
    assert.match(
      keyArnProblem("arn:aws:kms:us-west-2:111122223333:alias/etcd") ?? "",
      /is the alias .*describe-key --key-id arn:aws:kms:us-west-2:111122223333:alias\/etcd/,
    );
    assert.match(keyArnProblem("alias/etcd") ?? "", /is the alias alias\/etcd/);
    for (const bad of ["1234abcd-12ab-34cd-56ef-1234567890ab", `${arn}x`, arn.replace("kms", "s3"), "", 7, undefined]) {
      assert.match(keyArnProblem(bad) ?? "", /write arn:aws:kms:REGION:ACCOUNT:key\/ID/, String(bad));
    }
  });
});

describe("ARNs of principals", () => {
  it("roles, users, sessions and an account's root, in every partition => taken", () => {
    for (const good of [
      role,
      "arn:aws:iam::111122223333:role/team/etcd/masters@prod",
      "arn:aws-cn:iam::111122223333:user/alice",
      "arn:aws-us-gov:iam::111122223333:root",
      "arn:aws:sts::111122223333:assumed-role/masters/i-0123456789abcdef0",
      "arn:aws:sts::111122223333:federated-user/alice",
    ])
      assert.equal(principalArnProblem(good), undefined, good);
  });

  it("what AWS takes for no principal => refused, with the form to write", () => {
    for (const bad of [
      "masters.example",
      "",
      "*",
      "111122223333",
      "AROAEXAMPLEEXAMPLE",
      "arn:aws:iam::111122223333:role/",
      "arn:aws:iam::111122223333:role/*",
      "arn:aws:iam::1111:role/masters",
      "arn:aws:iam::111122223333:instance-profile/masters",
      "arn:aws:iam::111122223333:saml-provider/corp",
      "arn:aws:sts::111122223333:assumed-role/masters",
      arn,
      7,
    ])
      assert.match(principalArnProblem(bad) ?? "", /^is .*; write arn:aws:iam::ACCOUNT:role\/NAME/, String(bad));
  });
});

describe("policies for KMS keys", () => {
  const given = { partition: "aws", account: "111122223333", users: [], administrators: [], context: undefined };
  const actionsOf = (policy: AwsPolicy, principal: string) =>
    policy.Statement.filter((statement) => statement.Principal?.AWS.includes(principal)).flatMap(
      ({ Action }) => Action,
    );
  const root = "arn:aws:iam::111122223333:root";

  it("nobody is named => AWS' default: the account's IAM policies decide", () => {
    assert.deepEqual(keyPolicy(given).Statement, [
      { Sid: "KmsEtcdAccount", Effect: "Allow", Principal: { AWS: [root] }, Action: ["kms:*"], Resource: ["*"] },
    ]);
  });

  it("users => they alone encrypt and decrypt; the account keeps every way to administer the key, and none to use it", () => {
    const policy = keyPolicy({ ...given, users: [role] });
    assert.deepEqual(actionsOf(policy, role), ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt"]);
    const account = actionsOf(policy, root);
    // kOps gives its roles CreateGrant on every key, and whoever has it may grant himself Decrypt.
    for (const use of ["kms:Encrypt", "kms:Decrypt", "kms:CreateGrant", "kms:*"])
      assert.ok(!account.includes(use), use);
    // Without it AWS refuses the policy: nobody could change it any more.
    for (const needed of ["kms:PutKeyPolicy", "kms:DisableKey", "kms:EnableKey"])
      assert.ok(account.includes(needed), needed);
    assert.ok(
      !policy.Statement.some(({ Action }) => Action.some((action) => /GenerateDataKey|ReEncrypt/.test(action))),
    );
  });

  it("administrators without users => they administer, and IAM policies say who uses", () => {
    const admin = "arn:aws:iam::111122223333:role/security";
    const policy = keyPolicy({ ...given, administrators: [admin] });
    assert.ok(actionsOf(policy, admin).includes("kms:PutKeyPolicy"));
    assert.deepEqual(actionsOf(policy, root), ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt"]);
  });

  it("an encryption context => demanded of Encrypt and Decrypt, and not of DescribeKey, which has none", () => {
    const context = { cluster: "demo", az: "b" };
    const condition = { StringEquals: { "kms:EncryptionContext:az": "b", "kms:EncryptionContext:cluster": "demo" } };
    for (const statements of [
      useStatements([arn], context),
      keyPolicy({ ...given, users: [role], context }).Statement.slice(1),
    ]) {
      assert.deepEqual(
        statements.map(({ Action, Condition }) => [Action, Condition]),
        [
          [["kms:Decrypt", "kms:Encrypt"], condition],
          [["kms:DescribeKey"], undefined],
        ],
      );
    }
  });

  it("statements for a role => exactly these keys, in an order of their own, so that a changed order is no change", () => {
    assert.deepEqual(useStatements([other, arn], undefined), useStatements([arn, other], {}));
    assert.deepEqual(
      useStatements([arn, other], undefined).map(({ Resource }) => Resource),
      [[arn, other]],
    );
    assert.deepEqual(useStatements([], undefined), []);
  });
});

describe("the awsKms block", () => {
  const isLater = (value: unknown) => value === "LATER";
  const pathsOf = (block: Record<string, unknown>) =>
    awsKmsBlockViolations(block, { versions: [1, 2], isLater }).map(({ path, reason }) => `${path} ${reason}`);

  it("nothing, and everything in its place => no violation", () => {
    assert.deepEqual(pathsOf({}), []);
    assert.deepEqual(
      pathsOf({
        keyArns: { "1": arn, "2": "LATER" },
        aliasName: "alias/team/etcd",
        keyUserArns: [role, "LATER"],
        keyAdministratorArns: "LATER",
        encryptionContext: { cluster: "demo=1", later: "LATER" },
        deletionWindowInDays: 7,
        rotateKeyMaterial: true,
        rotationPeriodInDays: 2560,
        endpoint: { vpcId: "vpc-1", subnetIds: ["subnet-1"], clientSecurityGroupIds: ["sg-1"] },
        alarm: { cloudTrailLogGroupName: "trail", periodSeconds: 120 },
      }),
      [],
    );
  });

  const bad: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
    ["a misspelt input", { keyArn: arn }, /^keyArn is not an input/],
    ["a list of ARNs", { keyArns: [arn] }, /^keyArns is no map/],
    [
      "an ARN for an undeclared version",
      { keyArns: { "3": arn } },
      /^keyArns\.3 is for a version that is not declared; declared are 1, 2/,
    ],
    ["one key for two versions", { keyArns: { "1": arn, "2": arn } }, /^keyArns\.2 is the key of version 1 too/],
    ["an alias for a key", { keyArns: { "1": "alias/etcd" } }, /^keyArns\.1 is the alias/],
    ["an alias of AWS' own", { aliasName: "alias/aws/etcd" }, /^aliasName is "alias\/aws\/etcd"/],
    ["an alias without its prefix", { aliasName: "etcd" }, /^aliasName .*write alias\/NAME/],
    [
      "a window that AWS does not have",
      { deletionWindowInDays: 6 },
      /^deletionWindowInDays is 6; write a whole number of days from 7 to 30/,
    ],
    [
      "a period that AWS does not have",
      { rotateKeyMaterial: true, rotationPeriodInDays: 89 },
      /^rotationPeriodInDays is 89/,
    ],
    ["a period without rotation", { rotationPeriodInDays: 90 }, /^rotationPeriodInDays is for rotateKeyMaterial: true/],
    [
      "a context that the plugin's flag can't express",
      { encryptionContext: { "a=b": "c" } },
      /^encryptionContext\.a=b has a name/,
    ],
    [
      "a context's value with a comma",
      { encryptionContext: { a: "b,c" } },
      /^encryptionContext\.a is no text, or has a comma/,
    ],
    [
      "half an endpoint",
      { endpoint: { vpcId: "vpc-1", subnetIds: [] } },
      /^endpoint\.clientSecurityGroupIds is missing/,
    ],
    ["a role's bare name", { keyUserArns: [role, "masters"] }, /^keyUserArns\[1\] is "masters", .*; write arn:aws:iam/],
    ["an administrator's bare name", { keyAdministratorArns: ["alice"] }, /^keyAdministratorArns\[0\] is "alice"/],
    ["a user that is no list", { keyUserArns: role }, /^keyUserArns is no list/],
    [
      "a period between minutes",
      { alarm: { cloudTrailLogGroupName: "t", periodSeconds: 90 } },
      /^alarm\.periodSeconds is 90; write 60 or a multiple of it/,
    ],
    [
      "a period that counts in logs do not have",
      { alarm: { cloudTrailLogGroupName: "t", periodSeconds: 10 } },
      /^alarm\.periodSeconds is 10; /,
    ],
    ["a misspelt alarm", { alarm: { cloudTrailLogGroupName: "t", period: 60 } }, /^alarm\.period is not an input/],
  ];
  for (const [name, block, reason] of bad) {
    it(`${name} => refused`, () => {
      const found = pathsOf(block);
      assert.equal(found.length, 1, found.join("\n"));
      assert.match(found[0] ?? "", reason);
    });
  }

  it("versions to retire => declared ones, whose keys were made here", () => {
    assert.deepEqual(retiredViolations([1], [1, 2], {}), []);
    assert.match(retiredViolations([3], [1, 2], undefined)[0]?.reason ?? "", /is 3, which is no declared version/);
    assert.match(
      retiredViolations([1], [1, 2], { "1": arn })[0]?.reason ?? "",
      /was not made here; disable it where it was made/,
    );
    assert.match(retiredViolations(1, [1], undefined)[0]?.reason ?? "", /is not a list/);
  });
});

describe("what the alarms count", () => {
  const call = { eventSource: "kms.amazonaws.com", eventName: "Decrypt", awsRegion: "us-west-2" };

  it("patterns stay below 1024 characters", () => {
    for (const pattern of [deniedPattern(other), throttledPattern([other, arn])]) assert.ok(pattern.length < 1024);
  });

  it("a refused call => counted wherever its record has the key's ARN, and for another key not", () => {
    const denied = { ...call, errorCode: "AccessDenied" };
    for (const place of [
      { resources: [{ ARN: arn }] },
      { requestParameters: { keyId: arn } },
      { errorMessage: `User: ... is not authorized to perform: kms:Decrypt on resource: ${arn} because ...` },
    ]) {
      assert.equal(matchesFilter(deniedPattern(arn), { ...denied, ...place }), true);
      assert.equal(matchesFilter(deniedPattern(other), { ...denied, ...place }), false);
    }
    const disabled = { ...call, errorCode: "DisabledException", errorMessage: `${arn} is disabled.` };
    assert.equal(matchesFilter(deniedPattern(arn), disabled), true);
    assert.equal(matchesFilter(deniedPattern(arn), { ...call, resources: [{ ARN: arn }] }), false);
  });

  it("a throttled Decrypt, which the plugin sends without a key => counted; other regions, actions and errors not", () => {
    const fault = throttling();
    if (fault.kind !== "error") throw new Error("throttling is an error of KMS");
    const throttled = { ...call, errorCode: fault.type, errorMessage: fault.message, requestParameters: null };
    const counted = (event: object) => matchesFilter(throttledPattern([arn, other]), event);
    assert.equal(counted(throttled), true);
    assert.equal(counted({ ...throttled, eventName: "Encrypt", requestParameters: { keyId: arn } }), true);
    for (const elsewhere of [
      { awsRegion: "eu-west-1" },
      { eventName: "ListAliases" },
      { errorCode: "AccessDenied" },
      { eventSource: "ec2.amazonaws.com" },
    ])
      assert.equal(counted({ ...throttled, ...elsewhere }), false, JSON.stringify(elsewhere));
  });
});
