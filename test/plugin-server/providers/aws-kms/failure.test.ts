import assert from "node:assert/strict";
import { inspect } from "node:util";
import { type ErrorCode, KmsEtcdError } from "../../../../core/errors";
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

  it("becomes one line of bounded length", () => {
    const { message } = kmsFailure(sdkError("DisabledException", 400, `a\r\nb\u0000 ${"x".repeat(1_000)}`), call);
    assert.match(
      message,
      /^Decrypt for key: AWS KMS says that the key is disabled \(DisabledException, r-1\): a b x+\.\.\.$/,
    );
    assert.ok(message.length < 400);
  });

  const classified: readonly (readonly [string, unknown, ErrorCode, ReturnType<typeof retryAdvice>])[] = [
    ["a new 4xx error", sdkError("SomethingNewException", 400), "internal", "no"],
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

  function clockError(corrected: boolean): Error {
    return Object.assign(new Error("Signature expired"), {
      name: "InvalidSignatureException",
      $metadata: { httpStatusCode: 400, clockSkewCorrected: corrected },
    });
  }
});
