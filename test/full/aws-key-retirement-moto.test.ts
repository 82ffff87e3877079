// Loaded before mocha looks at the globals: the SDK leaves one behind (`awslambda`).

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateKeyCommand, DescribeKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import type { AwsKeyReference } from "../../core/key-reference";
import { awsKeyCustody } from "../../rotation/adapters/aws/aws-key-custody";
import { createSdkKeyAdmin, type SdkKeyAdmin } from "../../rotation/adapters/aws/sdk-key-admin";
import { setAwsEnvironment } from "../fakes/aws/aws-environment";
import { findMotoPython } from "../fakes/aws/moto-python";
import { startMotoCloud } from "../fakes/kops/moto-cloud";

describe("retiring keys in AWS KMS with the real SDK, by moto", function () {
  this.timeout(900_000);
  const never = new AbortController().signal;
  let client: KMSClient;
  let admin: SdkKeyAdmin;

  before(async function () {
    const python = await findMotoPython();
    if (python === undefined) this.skip();
    const home = mkdtempSync(join(tmpdir(), "kms-etcd-moto-"));
    closing.push(async () => rmSync(home, { recursive: true, force: true }));
    const cloud = await startMotoCloud(python, home);
    closing.push(() => cloud.stop());
    const restore = setAwsEnvironment({ AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" });
    const endpoint = cloud.environment["AWS_ENDPOINT_URL"] ?? "";
    client = new KMSClient({ region: "us-east-1", endpoint });
    admin = createSdkKeyAdmin(endpoint);
    closing.push(async () => {
      restore();
      admin.close();
      client.destroy();
    });
  });
  const closing: (() => Promise<unknown>)[] = [];
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  const reference = (keyArn: string): AwsKeyReference => ({ kind: "aws", keyArn, region: "us-east-1" });
  const stateOf = async (KeyId: string) => (await client.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata?.KeyState;

  it("retire => disabled and marked, with its own tags kept; reinstate => as it was before", async () => {
    const Tags = [{ TagKey: "team", TagValue: "platform" }];
    const arn = (await client.send(new CreateKeyCommand({ Tags }))).KeyMetadata?.Arn ?? "";
    const custody = awsKeyCustody(() => admin);
    await custody.retire(reference(arn), never);
    assert.equal(await stateOf(arn), "Disabled");
    assert.deepEqual((await admin.look(reference(arn), never))?.tags, { team: "platform", "kms-etcd-retired": "true" });
    await custody.reinstate(reference(arn), never);
    assert.deepEqual(await admin.look(reference(arn), never), { state: "enabled", tags: { team: "platform" } });
  });

  it("a key that is not there => undefined; a server that is not there => said to be unreachable", async () => {
    const arn = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000";
    assert.equal(await admin.look(reference(arn), never), undefined);
    const away = createSdkKeyAdmin("http://127.0.0.1:9");
    await assert.rejects(away.look(reference(arn), never), { code: "unreachable" });
    away.close();
  });
});
