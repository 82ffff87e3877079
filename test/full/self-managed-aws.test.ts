import assert from "node:assert/strict";
import type { AwsPolicy } from "../../core/aws-key-policy";
import type { ProviderServer } from "../../provider/provider-server";
import { type SshExample, sshExample, steadyPreview } from "../e2e/support/ssh-example";
import { type KmsFake, startKmsFake } from "../fakes/aws/kms-fake";
import { type MetadataFake, startMetadataFake } from "../fakes/aws/metadata-fake";
import { type AwsAccount, createAwsAccount } from "../fakes/pulumi-aws/aws-account";
import { isAllowed } from "../fakes/pulumi-aws/policy-decision";
import { serveAws } from "../fakes/pulumi-aws/provider-methods";
import { skipFor } from "../support/skip-for";
import { whyNoSshServer } from "../support/ssh-server";

const secrets = 12;
const role = "control-plane";
const roleArn = `arn:aws:iam::123456789012:role/${role}`;
/** Those of the instance profile, as the metadata service hands them out. */
const instance = {
  accessKeyId: "ASIAFAKEFAKEFAKEFAKE",
  secretAccessKey: "fake/instance/secret",
  sessionToken: "fake-token",
};

interface KmsBody {
  readonly KeyId?: string;
  readonly EncryptionContext?: Readonly<Record<string, string>>;
}

/** examples/self-managed-aws from the first preview to the end of the stack, by its README. */
describe("examples/self-managed-aws on real API servers over SSH", function () {
  this.timeout(30 * 60_000);
  let kms: KmsFake;
  let metadata: MetadataFake;
  let account: AwsAccount;
  let server: ProviderServer;
  let example: SshExample;
  const closing: (() => Promise<unknown>)[] = [];

  before(async function () {
    skipFor(whyNoSshServer(), this);
    kms = await startKmsFake();
    closing.push(() => kms.close());
    kms.accessKeys.clear();
    kms.accessKeys.set(instance.accessKeyId, instance);
    metadata = await startMetadataFake(() => instance, "us-east-1");
    closing.push(() => metadata.close());
    account = createAwsAccount(kms.keys);
    account.roles.add(role);
    server = await serveAws(account);
    closing.push(() => server.stop());
    example = await sshExample({
      name: "self-managed-aws",
      secrets,
      noPorts: ["--health-port=:0"],
      plugin: {
        awsEndpoint: kms.url,
        arguments: ["--probe-interval=2s"],
        environment: { AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.url },
      },
    });
    closing.push(() => example.close());
    await example.project.configure({
      clusterName: "prod",
      controlPlaneRoleName: role,
      controlPlaneRoleArn: roleArn,
    });
  });
  after(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  const environment = () => ({ PULUMI_DEBUG_PROVIDERS: `aws:${server.port}` });
  const run = (...args: string[]) => example.project.succeed(args, environment());
  const up = (...more: string[]) => run("up", "--yes", "--skip-preview", ...more);
  const stored = async () => Object.keys(await example.cluster.storedProviders());

  it("preview => what the README says; nothing is made, and the cluster is as it was", async () => {
    const text = await run("preview");
    assert.deepEqual(steadyPreview(text), example.promisedPreview, text);
    assert.equal(account.keys.size, 0);
    assert.deepEqual(await stored(), ["plaintext"]);
  });

  it("up => every Secret under the key, by the instance profile's credentials alone; a second up has nothing to do", async () => {
    await up();
    assert.equal((await example.project.outputs())["activeKeyVersion"], 1);
    assert.deepEqual(Object.values(await example.cluster.storedProviders()), [secrets]);
    assert.ok(metadata.issued() > 0);
    const contexts = kms.requests.map(({ body }) => JSON.stringify(body["EncryptionContext"]));
    assert.deepEqual([...new Set(contexts)], ['{"cluster":"prod"}']);
    await up("--expect-no-changes");
  });

  it("the instance profile's role => Encrypt, Decrypt and DescribeKey on this key with this context, and nothing else", () => {
    const [text = "", ...others] = account.rolePolicies.values();
    assert.deepEqual(others, []);
    const { Statement } = JSON.parse(text) as AwsPolicy;
    const [key, ...more] = account.keys.values();
    assert.deepEqual(more, []);
    assert.deepEqual([...new Set(Statement.flatMap(({ Action }) => Action))].sort(), [
      "kms:Decrypt",
      "kms:DescribeKey",
      "kms:Encrypt",
    ]);
    assert.deepEqual([...new Set(Statement.flatMap(({ Resource }) => Resource))], [key?.key.arn]);
    const use = Statement.filter(({ Action }) => Action.includes("kms:Decrypt"));
    for (const statement of use) assert.match(JSON.stringify(statement.Condition), /"kms:EncryptionContext:cluster":/);
    // Every call that was made, by the plugins and by whoever else has asked KMS, against these statements.
    for (const { action, body } of kms.requests) {
      const { KeyId: resource = key?.key.arn ?? "", EncryptionContext: context = {} } = body as KmsBody;
      assert.ok(isAllowed(Statement, { action: `kms:${action}`, resource, context }), `${action} of ${resource}`);
    }
  });

  it("keyVersion 2 => rotated to a second KMS key, which the role may use too", async () => {
    await example.project.configure({ keyVersion: 2 });
    await up();
    assert.equal((await example.project.outputs())["activeKeyVersion"], 2);
    assert.equal((await stored()).length, 1);
    await run("preview", "--expect-no-changes");
  });

  it("newestKeyVersion 2 and keyVersion 1 => the preview goes back to the first key", async () => {
    await example.project.configure({ newestKeyVersion: 2, keyVersion: 1 });
    assert.match(await run("preview", "--diff"), /activeKeyVersion *: 2 => 1/);
    await example.project.configure({ keyVersion: 2 });
  });

  it("destroy => refused while protected; after an up in plaintext without protection all goes, and the keys are pending deletion", async () => {
    const refused = await example.project.run(["destroy", "--yes", "--skip-preview"], environment());
    assert.notEqual(refused.code, 0);
    assert.match(refused.text, /protect/);
    await example.project.configure({ enabled: false, protectKeys: false });
    await up();
    assert.deepEqual(await stored(), ["plaintext"]);
    await run("destroy", "--yes", "--skip-preview");
    assert.deepEqual(
      [...account.keys.values()].map(({ key }) => key.state),
      ["PendingDeletion", "PendingDeletion"],
    );
    const { status } = await example.cluster.request(1, "GET", "/api/v1/namespaces/default/secrets/s0");
    assert.equal(status, 200);
  });
});
