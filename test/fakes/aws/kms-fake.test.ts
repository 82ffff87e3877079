import assert from "node:assert/strict";
import { awsError } from "./faults";
import { defaultAccessKey, type KmsFake, startKmsFake } from "./kms-fake";
import { type AccessKey, verifySignature } from "./sigv4";

/** What the fake refuses, asked with plain HTTP: a test that passes against it must mean something. */
describe("the KMS fake", () => {
  let kms: KmsFake;
  beforeEach(async () => {
    kms = await startKmsFake();
  });
  afterEach(() => kms.close());

  async function ask(options: {
    readonly body?: string;
    readonly target?: string;
    readonly contentType?: string;
    readonly path?: string;
    readonly method?: string;
    readonly authorization?: string;
  }): Promise<{ readonly status: number; readonly type: string | null; readonly body: unknown }> {
    const answer = await fetch(`${kms.url}${options.path ?? "/"}`, {
      method: options.method ?? "POST",
      headers: {
        "x-amz-target": options.target ?? "TrentService.Encrypt",
        "content-type": options.contentType ?? "application/x-amz-json-1.1",
        ...(options.authorization === undefined ? {} : { authorization: options.authorization }),
      },
      body: options.body ?? "{}",
    });
    return { status: answer.status, type: answer.headers.get("x-amzn-errortype"), body: await answer.json() };
  }

  it("answers an unsigned request as AWS KMS does", async () => {
    assert.deepEqual(await ask({}), {
      status: 400,
      type: "MissingAuthenticationTokenException",
      body: { __type: "MissingAuthenticationTokenException", message: "Missing Authentication Token" },
    });
    assert.equal((await ask({ authorization: "AWS4-HMAC-SHA256 nonsense" })).type, "IncompleteSignatureException");
  });

  it("takes only the two calls, by POST on /, in JSON 1.1, with members that exist", async () => {
    for (const wrong of [
      { target: "TrentService.DescribeKey" },
      { target: "Kms.Encrypt" },
      { path: "/v1" },
      { method: "PUT" },
    ]) {
      assert.equal((await ask(wrong)).type, "UnknownOperationException");
    }
    assert.equal((await ask({ contentType: "application/json" })).type, "UnknownOperationException");
    for (const body of ["", "[", "null", '{"KeyID":"x"}']) {
      assert.equal((await ask({ body })).type, "SerializationException", body);
    }
  });

  it("commits each fault as often as ordered, for the action it is ordered for", async () => {
    kms.order({ fault: awsError("A", "first"), action: "Decrypt" });
    kms.order({ fault: awsError("B", "second", 500), times: 2 });
    assert.deepEqual(await ask({}), { status: 500, type: "B", body: { __type: "B", message: "second" } });
    assert.equal((await ask({ target: "TrentService.Decrypt" })).type, "A");
    assert.equal((await ask({})).type, "B");
    assert.equal((await ask({})).type, "MissingAuthenticationTokenException");
  });
});

describe("the check of signatures", () => {
  const accessKey: AccessKey = {
    accessKeyId: "AKIDEXAMPLE",
    secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  };
  const expected = {
    region: "us-east-1",
    service: "service",
    accessKeys: new Map([[accessKey.accessKeyId, accessKey]]),
    now: Date.parse("2015-08-30T12:36:00Z"),
  };
  // aws-sig-v4-test-suite, "post-vanilla".
  const request = {
    method: "POST",
    path: "/",
    headers: {
      host: "example.amazonaws.com",
      "x-amz-date": "20150830T123600Z",
      authorization:
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    },
    body: Buffer.alloc(0),
  };

  it("accepts AWS's own example", () => {
    assert.equal(verifySignature(request, expected), accessKey);
  });

  const refused: readonly (readonly [string, () => unknown, string])[] = [
    [
      "another body",
      () => verifySignature({ ...request, body: Buffer.from("x") }, expected),
      "InvalidSignatureException",
    ],
    [
      "a header that was added after signing",
      () => verifySignature({ ...request, headers: { ...request.headers, "x-amz-source-arn": "arn" } }, expected),
      "InvalidSignatureException",
    ],
    [
      "another region",
      () => verifySignature(request, { ...expected, region: "eu-west-1" }),
      "InvalidSignatureException",
    ],
    ["another service", () => verifySignature(request, { ...expected, service: "kms" }), "InvalidSignatureException"],
    [
      "a clock six minutes off",
      () => verifySignature(request, { ...expected, now: expected.now + 360_000 }),
      "InvalidSignatureException",
    ],
    [
      "an unknown access key",
      () => verifySignature(request, { ...expected, accessKeys: new Map() }),
      "UnrecognizedClientException",
    ],
    [
      "a missing session token",
      () => verifySignature(request, withKey({ ...accessKey, sessionToken: "token" })),
      "UnrecognizedClientException",
    ],
    [
      "an expired session",
      () => verifySignature(request, withKey({ ...accessKey, expiresAt: expected.now })),
      "ExpiredTokenException",
    ],
    [
      "another secret",
      () => verifySignature(request, withKey(defaultKeyAs("AKIDEXAMPLE"))),
      "InvalidSignatureException",
    ],
  ];
  for (const [name, verify, type] of refused) {
    it(`refuses ${name}`, () => {
      assert.throws(verify, { type });
    });
  }

  function withKey(key: AccessKey): typeof expected {
    return { ...expected, accessKeys: new Map([[accessKey.accessKeyId, key]]) };
  }

  function defaultKeyAs(accessKeyId: string): AccessKey {
    return { ...defaultAccessKey, accessKeyId };
  }
});
