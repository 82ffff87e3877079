// Loaded before mocha looks at the globals: the SDK leaves one behind (`awslambda`).
import "@aws-sdk/client-kms";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AwsPolicy } from "../../core/aws-key-policy";
import type { ProviderServer } from "../../provider/provider-server";
import { setAwsEnvironment } from "../fakes/aws/aws-environment";
import { type KmsFake, startKmsFake } from "../fakes/aws/kms-fake";
import { type AwsAccount, createAwsAccount } from "../fakes/pulumi-aws/aws-account";
import { serveAws } from "../fakes/pulumi-aws/provider-methods";
import { awsProviders, environmentCredentials, inCall } from "../plugin-server/providers/aws-kms/rig";
import { type PulumiProject, projectFile, pulumiProject, repository } from "./support/pulumi-project";

const role = "masters.e2e.example";
const roleArn = `arn:aws:iam::123456789012:role/${role}`;
const program = `
process.env.TS_NODE_PROJECT = ${JSON.stringify(join(repository, "tsconfig.json"))};
require("ts-node/register/transpile-only");
const pulumi = require("@pulumi/pulumi");
const { AwsKmsKey } = require(${JSON.stringify(join(repository, "components"))});
const config = new pulumi.Config();
const keys = new AwsKmsKey("etcd", {
  newestKeyVersion: config.requireNumber("newest"),
  ...(config.get("retired") === undefined ? {} : { retireKeyVersions: JSON.parse(config.get("retired")) }),
  trackKeyAge: true,
  source: {
    keyUserArns: [${JSON.stringify(roleArn)}],
    instanceRoles: { controlPlane: ${JSON.stringify(role)} },
    encryptionContext: { cluster: "e2e" },
    deletionWindowInDays: config.getNumber("window"),
    alarm: { cloudTrailLogGroupName: "trail" },
    endpoint: { vpcId: "vpc-1", subnetIds: ["subnet-1"], clientSecurityGroupIds: ["sg-1"] },
  },
});
exports.keyArns = keys.keyArns;
exports.createdAt = keys.createdAt;
`;

describe("keys in AWS KMS by the real CLI and SDK", function () {
  this.timeout(20 * 60_000);
  let directory: string;
  let kms: KmsFake;
  let account: AwsAccount;
  let server: ProviderServer;
  let project: PulumiProject;
  let restore: () => void;

  before(async () => {
    restore = setAwsEnvironment(environmentCredentials);
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-aws-"));
    kms = await startKmsFake();
    account = createAwsAccount(kms.keys);
    account.roles.add(role);
    server = await serveAws(account);
    project = await pulumiProject({
      directory,
      files: { "Pulumi.yaml": projectFile("index.js"), "index.js": program },
    });
    await project.configure({ newest: 1 });
  });
  after(async () => {
    await server.stop();
    await kms.close();
    restore();
    rmSync(directory, { recursive: true, force: true });
  });

  const environment = () => ({ PULUMI_DEBUG_PROVIDERS: `aws:${server.port}` });
  const run = (...args: string[]) => project.succeed(args, environment());
  const arns = async () => (await project.outputs())["keyArns"] as Readonly<Record<string, string>>;
  const policyOf = (arn: string | undefined) => {
    const found = [...account.keys.values()].find(({ key }) => key.arn === arn);
    return JSON.parse(found?.inputs["policy"] as string) as AwsPolicy;
  };

  /** Encrypts and decrypts with the plugin's own code, through AWS' SDK. */
  async function use(arn: string): Promise<string> {
    const [provider] = awsProviders(kms, { keys: [{ keyId: arn, encryptionContext: { cluster: "e2e" } }] });
    if (provider === undefined) throw new Error("no provider was made");
    try {
      const { ciphertext, keyId } = await provider.encrypt(Buffer.from("secret"), inCall());
      const plaintext = await provider.decrypt({ ciphertext, keyId, annotations: {} }, inCall());
      return Buffer.from(plaintext).toString("utf8");
    } finally {
      await provider.close();
    }
  }

  it("a window that AWS does not have => refused before anything is asked of AWS, with the input's path", async () => {
    await project.configure({ window: 6 });
    const { code, text } = await project.run(["preview"], environment());
    assert.notEqual(code, 0);
    assert.match(text, /source\.deletionWindowInDays.*is 6; write a whole number of days from 7 to 30/s);
    assert.equal(account.keys.size, 0);
    await project.configure({ window: 30 });
  });

  it("up => a key that the plugin can use, its alias, and policies that name this role and these keys alone", async () => {
    await run("up", "--yes", "--skip-preview");
    const arn = (await arns())["1"] ?? "";
    assert.equal(await use(arn), "secret");
    assert.deepEqual([...account.aliases.keys()], ["alias/kms-etcd-test-test-etcd-v1"]);
    const created = (await project.outputs())["createdAt"] as Readonly<Record<string, string>>;
    assert.ok(Math.abs(Date.parse(created["1"] ?? "") - kms.keys.find(arn).createdAt.getTime()) < 1_000);
    const [administer, ...uses] = policyOf(arn).Statement;
    assert.ok(!(administer?.Action ?? []).some((action) => /Encrypt|Decrypt|CreateGrant|\*/.test(action)));
    assert.ok(uses.every((statement) => statement.Principal?.AWS.join() === roleArn));
    const [granted] = [...account.rolePolicies.values()].map((text) => JSON.parse(text) as AwsPolicy);
    assert.ok(granted?.Statement.every((statement) => statement.Resource.join() === arn));
    await run("preview", "--expect-no-changes");
  });

  it("one version more => one key more, the first one as it was, and the role may use both", async () => {
    const before = await arns();
    await project.configure({ newest: 2 });
    await run("up", "--yes", "--skip-preview");
    const after = await arns();
    assert.equal(after["1"], before["1"]);
    assert.equal(await use(after["2"] ?? ""), "secret");
    const [granted] = [...account.rolePolicies.values()].map((text) => JSON.parse(text) as AwsPolicy);
    assert.deepEqual(granted?.Statement[0]?.Resource, Object.values(after).sort());
  });

  it("version 1 retired => its key is disabled and the plugin can't use it; no longer retired => it can", async () => {
    const { "1": first = "" } = await arns();
    await project.configure({ retired: "[1]" });
    await run("up", "--yes", "--skip-preview");
    await assert.rejects(use(first), /disabled/i);
    await project.configure({ retired: "[]" });
    await run("up", "--yes", "--skip-preview");
    assert.equal(await use(first), "secret");
  });

  it("destroy => the role's leave is protected; once let go of, everything goes but the keys, and they still decrypt", async () => {
    const keyArns = Object.values(await arns());
    const { code, text } = await project.run(["destroy", "--yes", "--skip-preview"], environment());
    assert.notEqual(code, 0);
    assert.match(text, /protected/);
    await run("state", "unprotect", "--all", "--yes");
    await run("destroy", "--yes", "--skip-preview");
    assert.equal(account.aliases.size, 0);
    for (const arn of keyArns) assert.equal(await use(arn), "secret");
  });
});
