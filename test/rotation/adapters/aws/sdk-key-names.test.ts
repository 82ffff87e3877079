import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createSdkKeyAdmin, type SdkKeyAdmin } from "../../../../rotation/adapters/aws/sdk-key-admin";

const never = new AbortController().signal;
const arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

describe("the key behind an alias, by AWS' SDK", function () {
  this.timeout(60_000);
  const given = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" };
  const before_ = Object.fromEntries(Object.keys(given).map((name) => [name, process.env[name]]));
  let server: Server;
  let admin: SdkKeyAdmin;
  let answer: { readonly status: number; readonly body: object };
  const asked: { readonly target: unknown; readonly scope: unknown; readonly body: unknown }[] = [];

  before(async () => {
    Object.assign(process.env, given);
    server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const { "x-amz-target": target, authorization: scope } = request.headers;
        asked.push({ target, scope, body: JSON.parse(Buffer.concat(parts).toString()) });
        response.writeHead(answer.status, { "content-type": "application/x-amz-json-1.1" });
        response.end(JSON.stringify(answer.body));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    admin = createSdkKeyAdmin(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
  after(() => {
    admin.close();
    server.close();
    for (const [name, value] of Object.entries(before_)) {
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    }
  });

  it("an alias => the ARN, as KMS of that region says", async () => {
    answer = { status: 200, body: { KeyMetadata: { Arn: arn, KeyId: "1234abcd", KeyState: "Enabled" } } };
    assert.equal(await admin.arnOf("alias/etcd", "eu-west-1", never), arn);
    const { target, scope, body } = asked.at(-1) ?? {};
    assert.deepEqual([target, body], ["TrentService.DescribeKey", { KeyId: "alias/etcd" }]);
    assert.match(String(scope), /\/eu-west-1\/kms\//);
  });

  it("a key that is disabled or about to be deleted => refused, with its state", async () => {
    answer = { status: 200, body: { KeyMetadata: { Arn: arn, KeyId: "1234abcd", KeyState: "PendingDeletion" } } };
    await assert.rejects(admin.arnOf("alias/etcd", "eu-west-1", never), {
      code: "key-unusable",
      message: `finding the key behind alias/etcd: ${arn} is PendingDeletion`,
    });
  });

  it("no such alias, or no leave to look => the alias, the region, what KMS said, and what to do", async () => {
    answer = { status: 400, body: { __type: "NotFoundException", message: "Alias alias/etcd is not found." } };
    await assert.rejects(admin.arnOf("alias/etcd", "eu-west-1", never), {
      code: "not-found",
      message: /finding the key behind alias\/etcd: .*is not found\., in eu-west-1/,
      remedy: /aws kms list-aliases/,
    });
    answer = { status: 400, body: { __type: "AccessDeniedException", message: "not allowed" } };
    await assert.rejects(admin.arnOf("alias/etcd", "eu-west-1", never), {
      code: "permission-denied",
      remedy: /allow kms:DescribeKey on the key/,
    });
  });
});
