import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type ServiceError, status } from "@grpc/grpc-js";
import { internalError, throttling } from "../../../fakes/aws/faults";
import { defaultAccessKey } from "../../../fakes/aws/kms-fake";
import type { KmsClient } from "../../support/kms-client";
import { useServe } from "../../support/served";
import { type AwsRig, apiServerLimitMs, awsProviders, startRig } from "./rig";

/** From the API server's side of the socket to AWS KMS and back. */
describe("keys in AWS KMS behind their sockets", () => {
  const serve = useServe();
  const plaintext = randomBytes(32);
  let rig: AwsRig;
  beforeEach(async () => {
    rig = await startRig();
  });
  afterEach(() => rig.close());

  async function served(...keyIds: readonly string[]): Promise<readonly KmsClient[]> {
    const providers = awsProviders(rig.kms, { keys: keyIds.map((keyId) => ({ keyId, encryptionContext: {} })) });
    return (await serve(providers, { kind: "aws" })).clients;
  }

  async function servedKey(): Promise<KmsClient> {
    const [client] = await served(rig.key.arn);
    assert.ok(client);
    return client;
  }

  async function refusal(call: Promise<unknown>, code: status, details: RegExp): Promise<void> {
    const started = performance.now();
    await assert.rejects(call, (error: ServiceError) => {
      assert.equal(status[error.code], status[code], error.details);
      assert.match(error.details, details);
      return true;
    });
    assert.ok(performance.now() - started < apiServerLimitMs);
  }

  it("answer Status, Version and both directions of both versions as the peer does", async () => {
    const { v1, v2 } = await servedKey();
    assert.deepEqual(await v2.Status({}), { version: "v2beta1", healthz: "ok", keyId: rig.key.arn });
    const { version, runtimeName } = await v1.Version({ version: "v1beta1" });
    assert.deepEqual([version, runtimeName], ["v1beta1", "AWSKMS"]);
    const { ciphertext, keyId, annotations } = await v2.Encrypt({ plaintext, uid: "uid" });
    assert.deepEqual([keyId, annotations], [rig.key.arn, {}]);
    const byV1 = await v1.Decrypt({ version: "v1beta1", cipher: ciphertext });
    assert.deepEqual(Buffer.from(byV1.plain), plaintext);
    const { cipher } = await v1.Encrypt({ version: "v1beta1", plain: plaintext });
    const byV2 = await v2.Decrypt({ ciphertext: cipher, uid: "uid", keyId, annotations });
    assert.deepEqual(Buffer.from(byV2.plaintext), plaintext);
  });

  it("stay healthy after an empty and an oversized request, and after bytes that are not theirs", async () => {
    const { v2 } = await servedKey();
    const junk = Buffer.concat([Buffer.from("1"), randomBytes(96)]);
    await refusal(v2.Encrypt({ plaintext: Buffer.alloc(0), uid: "" }), status.INVALID_ARGUMENT, /empty/);
    await refusal(v2.Encrypt({ plaintext: randomBytes(4_097), uid: "" }), status.INVALID_ARGUMENT, /4097/);
    const input = { ciphertext: junk, uid: "", keyId: rig.key.arn, annotations: {} };
    await refusal(v2.Decrypt(input), status.INVALID_ARGUMENT, /cannot decrypt these bytes/);
    assert.equal((await v2.Status({})).healthz, "ok");
  });

  it("fail Status for a missing second key before its first use, and for no other", async () => {
    const missing = rig.key.arn.replace(/key\/.*/, "key/00000000-0000-4000-8000-000000000000");
    const [first, second] = await served(rig.key.arn, missing);
    assert.ok(first && second);
    await refusal(second.v2.Status({}), status.FAILED_PRECONDITION, /does not know the key.*check --key and --region/);
    assert.equal((await first.v2.Status({})).healthz, "ok");
    await refusal(second.v2.Encrypt({ plaintext, uid: "" }), status.FAILED_PRECONDITION, /NotFoundException/);
    assert.equal((await first.v2.Status({})).healthz, "ok");
  });

  it("give each fault its gRPC code, with a text, below the API server's limit", async () => {
    const { v2 } = await servedKey();
    await v2.Status({});
    const encrypt = () => v2.Encrypt({ plaintext, uid: "" });
    const always = { action: "Encrypt", times: 9 } as const;
    rig.key.denied.add("Encrypt");
    await refusal(encrypt(), status.FAILED_PRECONDITION, /kms:Encrypt/);
    rig.key.denied.clear();
    rig.kms.accessKeys.clear();
    await refusal(encrypt(), status.PERMISSION_DENIED, /UnrecognizedClientException/);
    rig.kms.accessKeys.set(defaultAccessKey.accessKeyId, defaultAccessKey);
    rig.kms.order({ ...always, times: 5, fault: internalError });
    await refusal(encrypt(), status.UNAVAILABLE, /KMSInternalException/);
    rig.kms.order({ ...always, times: 1, fault: throttling({ "retry-after": "9" }) });
    await refusal(encrypt(), status.RESOURCE_EXHAUSTED, /throttled/);
    rig.kms.order({ ...always, fault: { kind: "hang" } });
    await refusal(encrypt(), status.DEADLINE_EXCEEDED, /did not answer/);
  });
});
