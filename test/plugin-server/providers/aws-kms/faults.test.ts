import assert from "node:assert/strict";
import { inspect } from "node:util";
import { type ErrorCode, KmsEtcdError } from "../../../../core/errors";
import type { KeyProvider } from "../../../../plugin-server/key-provider";
import {
  awsError,
  cutOff,
  emptyAnswer,
  type Fault,
  gatewayError,
  htmlPage,
  incorrectKey,
  internalError,
  jsonAnswer,
  throttling,
} from "../../../fakes/aws/faults";
import { defaultAccessKey } from "../../../fakes/aws/kms-fake";
import { type AwsRig, apiServerLimitMs, awsProviders, callTimeoutMs, inCall, startRig, stored } from "./rig";

/** The real SDK client, over a real socket, against the fake: each fault's code, and its end below the API server's limit. */
describe("a key in AWS KMS under faults", () => {
  const plaintext = Buffer.from("a secret that no error may show.");
  let rig: AwsRig;
  let ciphertext: Uint8Array;
  let warmUp = 0;

  beforeEach(async () => {
    rig = await startRig();
    // The first call loads and warms up much, which takes seconds where all of the machine is in use.
    await rig.provider.encrypt(plaintext, inCall()).catch(() => undefined);
    ({ ciphertext } = await rig.provider.encrypt(plaintext, inCall()));
    warmUp = rig.kms.requests.length;
  });
  afterEach(() => rig.close());

  const encrypt = () => rig.provider.encrypt(plaintext, inCall());
  const decrypt = () => rig.provider.decrypt(stored(ciphertext, rig.key.arn), inCall());
  const probe = (provider: KeyProvider = rig.provider) => provider.probe(AbortSignal.timeout(callTimeoutMs));
  const attempts = () => rig.kms.requests.length - warmUp;

  /** The error of `call`, after it was seen to come in time and to show no secret. */
  async function failure(call: Promise<unknown>, code: ErrorCode): Promise<KmsEtcdError> {
    const started = performance.now();
    const error: unknown = await call.then(
      () => assert.fail("the call must fail"),
      (thrown: unknown) => thrown,
    );
    assert.ok(performance.now() - started < apiServerLimitMs, "below the API server's limit");
    assert.ok(error instanceof KmsEtcdError, String(error));
    assert.equal(error.code, code, error.message);
    const shown = inspect(error, { depth: 12, showHidden: true });
    // The fake's blob begins with the key's id, which errors do name.
    const bytes = [plaintext, Buffer.from(ciphertext.subarray(37)), Buffer.from(ciphertext.subarray(1))];
    const texts = bytes.flatMap((each) => [each.toString("base64"), each.toString("hex")]);
    texts.push(plaintext.toString("latin1"));
    for (const secret of [...texts, defaultAccessKey.secretAccessKey, "AWS4-HMAC"]) {
      assert.ok(!shown.includes(secret.slice(0, 20)), `shows ${secret}:\n${shown}`);
    }
    return error;
  }

  /** How long `call` took, in milliseconds. */
  async function duration(call: Promise<unknown>): Promise<number> {
    const started = performance.now();
    await call;
    return performance.now() - started;
  }

  describe("of the key: they are final", () => {
    afterEach(() => {
      assert.ok(attempts() <= 4, "nothing was tried twice");
    });

    it("disabled: says so, and works again when it is enabled", async () => {
      rig.key.state = "Disabled";
      const error = await failure(encrypt(), "key-unusable");
      assert.match(
        error.message,
        /^Encrypt for arn:.*: AWS KMS says that the key is disabled \(DisabledException, f0.*\): arn:[^ ]*$/,
      );
      assert.equal(error.remedy, "enable the key");
      await failure(decrypt(), "key-unusable");
      await failure(probe(), "key-unusable");
      rig.key.state = "Enabled";
      await encrypt();
    });

    it("waiting for its deletion", async () => {
      rig.key.state = "PendingDeletion";
      assert.match((await failure(encrypt(), "key-unusable")).message, /KMSInvalidStateException.*pending deletion/);
      await failure(decrypt(), "key-unusable");
    });

    it("denied: names what to allow", async () => {
      rig.key.denied.add("Encrypt");
      const error = await failure(encrypt(), "key-unusable");
      assert.match(error.message, /AccessDeniedException.*: arn:.*, kms:Encrypt/);
      assert.match(String(error.remedy), /allow kms:Encrypt and kms:Decrypt/);
      await decrypt();
    });

    it("denied for Decrypt alone: the probe sees it", async () => {
      rig.key.denied.add("Decrypt");
      await encrypt();
      assert.match((await failure(probe(), "key-unusable")).message, /kms:Decrypt/);
    });

    it("of the wrong kind", async () => {
      const key = rig.kms.keys.add({ usage: "SIGN_VERIFY" });
      const [signing] = awsProviders(rig.kms, { keys: [{ keyId: key.arn, encryptionContext: {} }] });
      assert.ok(signing);
      assert.match((await failure(probe(signing), "key-unusable")).message, /InvalidKeyUsageException/);
      await signing.close();
    });

    it("a malformed ARN", async () => {
      const [wrong] = awsProviders(rig.kms, {
        region: "us-east-1",
        keys: [{ keyId: "arn:aws:kms:nonsense", encryptionContext: {} }],
      });
      assert.ok(wrong);
      assert.match((await failure(probe(wrong), "key-unusable")).message, /InvalidArnException/);
      await wrong.close();
    });

    it("a request that AWS KMS calls invalid: of the key when encrypting, of the bytes when decrypting", async () => {
      rig.kms.order({ fault: awsError("ValidationException", "1 validation error detected"), times: 2 });
      await failure(encrypt(), "key-unusable");
      await failure(decrypt(), "invalid-input");
    });

    it("an error that quotes the request: the names in it are shown, and nothing else", async () => {
      const echo = `value ${plaintext.toString("base64")} of ${plaintext.toString("hex")} kms:Encrypt ${rig.key.arn}`;
      for (const name of ["ValidationException", "AccessDeniedException", "NotFoundException"]) {
        rig.kms.order({ fault: awsError(name, echo) });
        const error = await failure(encrypt(), "key-unusable");
        assert.ok(error.message.endsWith(`: kms:Encrypt, ${rig.key.arn}`), error.message);
      }
    });

    it("an error with a name that nobody knows: it is shown", async () => {
      rig.kms.order({ fault: awsError("UnsupportedOperationException", "") });
      const error = await failure(encrypt(), "key-unusable");
      assert.match(error.message, /refused the request with HTTP status 400 \(UnsupportedOperationException/);
    });

    it("bytes that another key encrypted", async () => {
      rig.kms.order({ fault: incorrectKey });
      await failure(decrypt(), "corrupt");
    });

    it("a key that does not give back what it encrypted: the probe sees it", async () => {
      rig.kms.order({ fault: awsError("InvalidCiphertextException", ""), action: "Decrypt" });
      assert.match((await failure(probe(), "key-unusable")).message, /does not decrypt what it has just encrypted/);
      rig.kms.order({ fault: jsonAnswer({ Plaintext: "b3RoZXI=" }), action: "Decrypt" });
      assert.match((await failure(probe(), "key-unusable")).message, /does not give back what it encrypted$/);
    });

    it("bytes that were changed: an error with a text, though AWS KMS gives none", async () => {
      const changed = Uint8Array.from(ciphertext, (byte, at) => (at === ciphertext.length - 1 ? byte ^ 1 : byte));
      const error = await failure(rig.provider.decrypt(stored(changed), inCall()), "corrupt");
      assert.match(
        error.message,
        /^Decrypt for arn:.*: AWS KMS cannot decrypt these bytes \(InvalidCiphertextException, f0/,
      );
    });
  });

  describe("that pass: they are tried again inside the call", () => {
    const passing: readonly (readonly [string, Fault, number])[] = [
      ["throttled twice", throttling(), 2],
      ["an internal error", internalError, 2],
      ["a gateway's 503", gatewayError, 2],
      ["a connection that is reset", { kind: "reset" }, 2],
      ["a page that is not AWS KMS's", htmlPage, 1],
      ["an answer that is cut off", cutOff, 1],
      ["no answer on one connection", { kind: "hang" }, 1],
      ["an answer that stops in the middle", { kind: "hang-in-body" }, 1],
      ["an answer that is slow", { kind: "slow", milliseconds: 300 }, 1],
    ];
    for (const [name, fault, times] of passing) {
      it(name, async () => {
        const expected = fault.kind === "slow" ? 1 : times + 1;
        // The first request for an operation is the SDK's, and the later ones are the plugin's own.
        for (const once of [1, 2]) {
          rig.kms.order({ fault, times });
          assert.deepEqual(Buffer.from(await decrypt()), plaintext);
          assert.equal(attempts(), once * expected);
        }
      });
    }

    it("an idle connection that the other side has closed", async () => {
      await Promise.all(Array.from({ length: 8 }, encrypt));
      rig.kms.closeIdleConnections();
      await Promise.all(Array.from({ length: 8 }, decrypt));
    });

    for (const [name, status] of [
      ["RequestTimeoutException", 408],
      ["RequestAbortedException", 400],
    ] as const) {
      it(name, async () => {
        rig.kms.order({ fault: awsError(name, "", status) });
        await decrypt();
        assert.equal(attempts(), 2);
      });
    }

    it("a key that is unavailable for the moment", async () => {
      rig.kms.order({ fault: awsError("KeyUnavailableException", "The key is not available.", 500) });
      await decrypt();
    });

    it("throttled with a Retry-After that fits in", async () => {
      rig.kms.order({ fault: throttling({ "retry-after": "1" }) });
      const took = await duration(decrypt());
      assert.ok(took >= 990 && took < callTimeoutMs, `took ${took} ms`);
    });
  });

  describe("that last: the call ends in time", () => {
    const lasting: readonly (readonly [string, Fault, ErrorCode, RegExp])[] = [
      ["throttled", throttling(), "throttled", /AWS KMS throttled the request \(ThrottlingException/],
      ["an internal error", internalError, "unreachable", /had an internal error \(KMSInternalException/],
      ["a gateway's 503", gatewayError, "unreachable", /answered with HTTP status 503/],
      [
        "connections that are reset",
        { kind: "reset" },
        "unreachable",
        /cannot be reached: (UND_ERR_SOCKET|ECONNRESET)/,
      ],
      ["a page that is not AWS KMS's", htmlPage, "unreachable", /an answer that is not AWS KMS's/],
      ["answers without a result", emptyAnswer, "unreachable", /an answer without a result/],
      ["no answers", { kind: "hang" }, "timeout", /did not answer in time/],
      ["answers that are too slow", { kind: "slow", milliseconds: 5_000 }, "timeout", /did not answer in time/],
    ];
    for (const [name, fault, code, message] of lasting) {
      it(name, async () => {
        rig.kms.order({ fault, times: Number.POSITIVE_INFINITY });
        const [encrypting, decrypting] = await Promise.all([failure(encrypt(), code), failure(decrypt(), code)]);
        assert.match(encrypting.message, message);
        assert.match(decrypting.message, message);
      });
    }

    it("throttled with a Retry-After beyond the call: gives up at once", async () => {
      rig.kms.order({ fault: throttling({ "retry-after": "30" }), times: 2 });
      assert.ok((await duration(failure(encrypt(), "throttled"))) < 1_000);
      assert.equal(attempts(), 1);
    });

    it("HTTP status 429 without a name", async () => {
      const fault: Fault = { kind: "answer", status: 429, contentType: "text/plain", body: "slow down" };
      rig.kms.order({ fault, times: Number.POSITIVE_INFINITY });
      await failure(encrypt(), "throttled");
    });

    it("nobody listens", async () => {
      await rig.kms.close();
      assert.match(
        (await failure(encrypt(), "unreachable")).message,
        /cannot be reached: (ECONNREFUSED|UND_ERR_SOCKET)/,
      );
    });

    it("a host name that does not exist", async () => {
      const [nowhere] = awsProviders(rig.kms, {
        kmsEndpoint: "http://kms.invalid",
        keys: [{ keyId: rig.key.arn, encryptionContext: {} }],
      });
      assert.ok(nowhere);
      assert.match((await failure(probe(nowhere), "unreachable")).message, /cannot be reached: (ENOTFOUND|EAI_AGAIN)/);
      await nowhere.close();
    });
  });

  describe("of the credentials", () => {
    it("an expired session token", async () => {
      rig.kms.accessKeys.set(defaultAccessKey.accessKeyId, { ...defaultAccessKey, expiresAt: 0 });
      const error = await failure(encrypt(), "permission-denied");
      assert.match(error.message, /the security token has expired \(ExpiredTokenException/);
      assert.equal(error.remedy, "renew the plugin's AWS credentials");
    });

    it("an access key that AWS does not know", async () => {
      rig.kms.accessKeys.clear();
      assert.match((await failure(encrypt(), "permission-denied")).message, /UnrecognizedClientException/);
    });

    it("a wrong secret: AWS's text quotes the request, ours does not", async () => {
      rig.kms.accessKeys.set(defaultAccessKey.accessKeyId, { ...defaultAccessKey, secretAccessKey: "another" });
      const error = await failure(encrypt(), "permission-denied");
      assert.match(error.message, /does not accept the signature \(InvalidSignatureException, f0[0-9a-f-]*\)$/);
      assert.ok(!error.message.includes("Canonical"));
    });

    it("a proxy's 403 page", async () => {
      rig.kms.order({ fault: { kind: "answer", status: 403, contentType: "text/xml", body: "<Error>no</Error>" } });
      await failure(encrypt(), "permission-denied");
    });
  });

  describe("of the clock", () => {
    for (const [name, ahead] of [
      ["behind", 3_600_000],
      ["ahead", -3_600_000],
    ] as const) {
      it(`an hour ${name}: signs again by AWS's clock, and right at once from then on`, async () => {
        rig.kms.setClockAhead(ahead);
        await decrypt();
        assert.equal(attempts(), 2);
        await decrypt();
        assert.equal(attempts(), 3);
        // And when the host's clock is set right meanwhile.
        rig.kms.setClockAhead(0);
        await decrypt();
        await decrypt();
        assert.equal(attempts(), 6);
      });
    }
  });

  describe("of the caller", () => {
    it("gives up: the call ends at once, and its request to AWS KMS too", async () => {
      rig.kms.order({ fault: { kind: "hang" }, times: Number.POSITIVE_INFINITY });
      const controller = new AbortController();
      const call = rig.provider.encrypt(plaintext, { kms: "v2", uid: "", signal: controller.signal });
      const seen = failure(call, "cancelled");
      await rig.kms.until(() => attempts() === 1);
      controller.abort();
      assert.ok((await duration(seen)) < 500);
      assert.ok((await duration(rig.kms.until(() => rig.kms.underWay() === 0))) < 500);
      assert.equal(attempts(), 1);
    });

    it("had given up before: nothing is sent", async () => {
      const call = rig.provider.encrypt(plaintext, { kms: "v2", uid: "", signal: AbortSignal.abort() });
      await failure(call, "cancelled");
      assert.equal(attempts(), 0);
    });
  });
});
