/**
 * Checks AWS Signature Version 4, written from the specification ("Create a signed AWS API request" in the IAM user guide)
 * and apart from the SDK, so that a header which the plugin adds after signing, a wrong region or a wrong clock is seen.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { KmsWireError } from "./kms-error";

export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** Milliseconds since 1970. */
  readonly expiresAt?: number;
}

export interface SignedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** AWS KMS accepts a clock that is wrong by this much. */
const clockToleranceMs = 5 * 60_000;

/** The access key that signed `request`; throws what AWS answers when the signature does not hold. */
export function verifySignature(
  request: SignedRequest,
  expected: {
    readonly region: string;
    readonly service: string;
    readonly accessKeys: ReadonlyMap<string, AccessKey>;
    readonly now: number;
  },
): AccessKey {
  const { headers } = request;
  const authorization = headers.authorization;
  if (authorization === undefined) {
    throw new KmsWireError("MissingAuthenticationTokenException", "Missing Authentication Token");
  }
  const fields =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  if (fields === null) throw new KmsWireError("IncompleteSignatureException", "Authorization header is not complete.");
  const [, accessKeyId, day, region, service, signedNames, signature] = fields as unknown as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const accessKey = expected.accessKeys.get(accessKeyId);
  if (accessKey === undefined) {
    throw new KmsWireError("UnrecognizedClientException", "The security token included in the request is invalid.");
  }
  if (accessKey.sessionToken !== headers["x-amz-security-token"]) {
    throw new KmsWireError("UnrecognizedClientException", "The security token included in the request is invalid.");
  }
  if (accessKey.expiresAt !== undefined && accessKey.expiresAt <= expected.now) {
    throw new KmsWireError("ExpiredTokenException", "The security token included in the request is expired");
  }
  if (region !== expected.region || service !== expected.service) {
    throw new KmsWireError(
      "InvalidSignatureException",
      `Credential should be scoped to ${expected.service} in ${expected.region}.`,
    );
  }
  const date = String(headers["x-amz-date"]);
  const signedAt = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  if (Number.isNaN(signedAt) || !date.startsWith(day)) {
    throw new KmsWireError("IncompleteSignatureException", "Date must be in ISO-8601 'basic format'.");
  }
  if (Math.abs(signedAt - expected.now) > clockToleranceMs) {
    const side = signedAt < expected.now ? "expired" : "not yet current";
    throw new KmsWireError("InvalidSignatureException", `Signature ${side}: ${date}`);
  }
  const names = signedNames.split(";");
  const unsigned = Object.keys(headers).filter(
    (name) => (name === "host" || name.startsWith("x-amz-")) && !names.includes(name),
  );
  if (unsigned.length > 0) {
    throw new KmsWireError(
      "InvalidSignatureException",
      `'${unsigned.join("', '")}' must be a 'SignedHeader' in the AWS Authorization.`,
    );
  }
  const canonical = [
    request.method,
    request.path,
    "",
    ...names.map(
      (name) =>
        `${name}:${String(headers[name] ?? "")
          .trim()
          .replace(/ +/g, " ")}`,
    ),
    "",
    signedNames,
    sha256(request.body),
  ].join("\n");
  const scope = `${day}/${region}/${service}/aws4_request`;
  const toSign = ["AWS4-HMAC-SHA256", date, scope, sha256(canonical)].join("\n");
  const signingKey = [day, region, service, "aws4_request"].reduce<Buffer>(
    (key, part) => hmac(key, part),
    Buffer.from(`AWS4${accessKey.secretAccessKey}`),
  );
  if (!timingSafeEqual(hmac(signingKey, toSign), Buffer.from(signature, "hex"))) {
    // AWS quotes the whole request here, the session token in it: the plugin must not pass this text on.
    throw new KmsWireError(
      "InvalidSignatureException",
      `The request signature we calculated does not match the signature you provided. The Canonical String for this request should have been\n'${canonical}'`,
    );
  }
  return accessKey;
}

function sha256(data: string | Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

function hmac(key: Buffer, data: string): Buffer {
  return createHmac("sha256", key).update(data).digest();
}
