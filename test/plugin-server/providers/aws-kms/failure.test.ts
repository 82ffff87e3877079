import assert from "node:assert/strict";
import { inspect } from "node:util";
import { type ErrorCode, KmsEtcdError } from "../../../../core/errors";
import { CredentialsFailure } from "../../../../plugin-server/providers/aws-kms/credentials-failure";
import { kmsFailure, retryAdvice } from "../../../../plugin-server/providers/aws-kms/failure";

const call = { operation: "Decrypt", keyId: "key" } as const;
const secret = "plaintext of a data key";

/** An error as the SDK hands it on: the whole response hangs on it, out of sight. */
function sdkError(name: string, status: number, message = "", body = secret): Error {
  const error = Object.assign(new Error(message), { name, $metadata: { httpStatusCode: status, requestId: "r-1" } });
  return Object.defineProperty(error, "$response", { value: { statusCode: status, body }, enumerable: false });
}

function shown(error: unknown): string {
  return inspect(error, { depth: 12, showHidden: true });
}

describe("an error of AWS KMS", () => {
  it("keeps nothing of a response, whatever went wrong with it", () => {
    const errors = [
      sdkError("TypeError", 200, `cannot read ${secret}`),
      sdkError("SyntaxError", 200, `unexpected token in ${secret}`),
      sdkError("SomethingNewException", 400, secret),
      sdkError("InvalidSignatureException", 400, `the canonical request was ${secret}`),
      new SyntaxError(`unexpected end of ${secret}`),
    ];
    for (const error of errors) assert.ok(!shown(kmsFailure(error, call)).includes(secret), shown(error));
  });

  it("keeps the cause where there was no response", () => {
    const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    assert.equal(kmsFailure(cause, call).cause, cause);
  });

  it("is passed on as it is when it is classified already", () => {
    const error = new KmsEtcdError("throttled", "x");
    assert.equal(kmsFailure(error, call), error);
  });

  it("shows who may not do what, and by which policy, in one line of bounded length", () => {
    const role = "arn:aws:sts::111122223333:assumed-role/nodes/i-0abc";
    const key = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const text = `User: ${role} is not authorized to perform: kms:Decrypt on resource: ${key} because no identity-based policy allows it.`;
    const { message } = kmsFailure(
      sdkError("AccessDeniedException", 400, `${text}\r\n${secret}${text.repeat(99)}`),
      call,
    );
    assert.equal(
      message,
      `Decrypt for key: AWS KMS denied access to the key (AccessDeniedException, r-1): ${role}, kms:Decrypt, ${key}, identity-based policy`,
    );
  });

  it("shows no name that is none", () => {
    const { message } = kmsFailure(sdkError(`${secret}Exception`, 400), call);
    assert.equal(message, "Decrypt for key: AWS KMS refused the request with HTTP status 400 (r-1)");
  });

  const classified: readonly (readonly [string, unknown, ErrorCode, ReturnType<typeof retryAdvice>])[] = [
    ["a new 4xx error", sdkError("SomethingNewException", 400), "key-unusable", "no"],
    ["a request that did not arrive in time", sdkError("SomethingNewException", 408), "unreachable", "transient"],
    ["a new 403 error", sdkError("SomethingNewException", 403), "permission-denied", "no"],
    ["a new 5xx error", sdkError("SomethingNewException", 503), "unreachable", "transient"],
    ["a name like a member of every object", sdkError("constructor", 400), "unreachable", "transient"],
    ["the clock, set by the answer", clockError(true), "permission-denied", "at-once"],
    ["the clock, and no answer to set it by", clockError(false), "permission-denied", "no"],
    ["every name for throttling", sdkError("SlowDown", 503), "throttled", "throttled"],
    ["a role that may not be assumed", sdkError("AccessDenied", 403), "permission-denied", "no"],
    ["a connection that took too long", { code: "UND_ERR_CONNECT_TIMEOUT" }, "timeout", "transient"],
    ["a certificate", { code: "CERT_HAS_EXPIRED" }, "unreachable", "transient"],
    ["a bug", new TypeError("x is not a function"), "internal", "no"],
    ["nothing", undefined, "internal", "no"],
  ];
  for (const [name, thrown, code, retry] of classified) {
    it(`${name}: ${code}, retried: ${retry}`, () => {
      assert.equal(kmsFailure(thrown, call).code, code);
      assert.equal(retryAdvice(thrown), retry);
    });
  }

  const searches: readonly (readonly [unknown, ErrorCode, ReturnType<typeof retryAdvice>, RegExp])[] = [
    [
      sdkError("Error", 500),
      "unreachable",
      "transient",
      /: their source answered with HTTP status 500 \(Error, r-1\)$/,
    ],
    [{ code: "ECONNREFUSED" }, "unreachable", "transient", /: their source cannot be reached: ECONNREFUSED$/],
    [{ name: "TimeoutError" }, "timeout", "transient", /: their source did not answer in time$/],
    [sdkError("Throttling", 400), "throttled", "throttled", /: their source throttled the request/],
    [sdkError("ExpiredTokenException", 400), "permission-denied", "no", /: their source says that the security token/],
    [
      sdkError("ValidationException", 400),
      "permission-denied",
      "no",
      /: their source says that the request is not valid/,
    ],
    [sdkError("AccessDenied", 403), "permission-denied", "no", /AWS STS does not let the plugin assume its role/],
    [{ code: "ENOENT", path: "/run/token" }, "permission-denied", "no", /because \/run\/token can't be read: ENOENT$/],
    [new TypeError("a bug"), "permission-denied", "no", /because the search for AWS credentials failed$/],
  ];
  for (const [cause, code, retry, message] of searches) {
    it(`in the search for credentials is not one of the key (${message.source})`, () => {
      const thrown = new CredentialsFailure(cause);
      const error = kmsFailure(thrown, call);
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      assert.equal(retryAdvice(thrown), retry);
      assert.ok(!shown(error).includes(secret));
    });
  }

  function clockError(corrected: boolean): Error {
    return Object.assign(new Error("Signature expired"), {
      name: "InvalidSignatureException",
      $metadata: { httpStatusCode: 400, clockSkewCorrected: corrected },
    });
  }
});
