/**
 * What an error from AWS KMS, from the credentials or from the network means: whether to try again, and what to tell the
 * API server. `$retryable` is undefined on everything that client-kms throws, so errors are told apart by name
 * (KMS API reference, "Errors" of Encrypt and Decrypt, and "Common Error Types").
 */
import { type ErrorCode, KmsEtcdError } from "../../../core/errors";
import { CredentialsFailure, endedAtInstance, unreadableFile } from "./credentials-failure";
import { namesIn } from "./names-in-text";

/** `at-once`: the SDK has set its clock by the server's answer, and the next signature will be right. */
export type RetryAdvice = "no" | "at-once" | "transient" | "throttled";

interface Meaning {
  readonly code: ErrorCode;
  readonly retry: RetryAdvice;
  readonly problem: string;
  readonly remedy?: string;
  /** Whether the names in AWS's own text go into the message; never the text, which may quote the request. */
  readonly quote?: true;
}

const unusable = { code: "key-unusable", retry: "no", quote: true } as const;
const rejected = { code: "permission-denied", retry: "no" } as const;
const throttled: Meaning = { code: "throttled", retry: "throttled", problem: "throttled the request" };
const broken = { code: "unreachable", retry: "transient" } as const;
const renew = "renew the plugin's AWS credentials";
const signatureRemedy = "check this host's clock and the plugin's AWS credentials";

const byName: Readonly<Record<string, Meaning>> = {
  DisabledException: { ...unusable, problem: "says that the key is disabled", remedy: "enable the key" },
  KMSInvalidStateException: {
    ...unusable,
    problem: "says that the key's state does not allow it",
    remedy: "cancel the key's deletion, or bring its key store back",
  },
  NotFoundException: {
    ...unusable,
    problem: "does not know the key",
    remedy: "check --key and --region; a key that was deleted cannot come back",
  },
  InvalidArnException: { ...unusable, problem: "says that the key's ARN is not valid", remedy: "check --key" },
  InvalidKeyUsageException: {
    ...unusable,
    problem: "says that the key is not for encryption",
    remedy: "use a symmetric key with key usage ENCRYPT_DECRYPT",
  },
  InvalidGrantTokenException: { ...unusable, problem: "does not accept the grant", remedy: "check the key's grants" },
  InvalidGrantIdException: { ...unusable, problem: "does not accept the grant", remedy: "check the key's grants" },
  AccessDeniedException: {
    ...unusable,
    problem: "denied access to the key",
    remedy: "allow kms:Encrypt and kms:Decrypt on it for the plugin's role, in the role's policy or in the key's",
  },
  ValidationException: {
    ...unusable,
    problem: "says that the request is not valid",
    remedy: "check --key, --encryption-context and --source-arn",
  },
  InvalidCiphertextException: {
    code: "corrupt",
    retry: "no",
    problem: "cannot decrypt these bytes",
    remedy: "check that --encryption-context is the one they were encrypted with",
  },
  IncorrectKeyException: { code: "corrupt", retry: "no", problem: "says that another key encrypted these bytes" },
  RequestAbortedException: { ...broken, problem: "says that the request was aborted" },
  RequestTimeoutException: { ...broken, problem: "did not get the whole request in time" },
  KMSInternalException: { ...broken, problem: "had an internal error" },
  KeyUnavailableException: { ...broken, problem: "says that the key is unavailable for the moment" },
  DependencyTimeoutException: { ...broken, problem: "says that a system behind it timed out" },
  ExpiredTokenException: { ...rejected, problem: "says that the security token has expired", remedy: renew },
  ExpiredToken: { ...rejected, problem: "says that the security token has expired", remedy: renew },
  UnrecognizedClientException: { ...rejected, problem: "does not know the access key or token", remedy: renew },
  InvalidClientTokenId: { ...rejected, problem: "does not know the access key or token", remedy: renew },
  InvalidSignatureException: { ...rejected, problem: "does not accept the signature", remedy: signatureRemedy },
  SignatureDoesNotMatch: { ...rejected, problem: "does not accept the signature", remedy: signatureRemedy },
  RequestExpired: { ...rejected, problem: "says that the request has expired", remedy: signatureRemedy },
  MissingAuthenticationTokenException: { ...rejected, problem: "found no signature", remedy: renew },
  IncompleteSignatureException: { ...rejected, problem: "found no whole signature", remedy: renew },
  OptInRequired: { ...rejected, problem: "says that the account may not use it", remedy: "activate the account" },
  CredentialsProviderError: {
    ...rejected,
    problem: "could not be asked, because no AWS credentials were found",
    remedy: "give the plugin's pod or instance a role: see the AWS SDK's default credential provider chain",
  },
  TokenProviderError: {
    ...rejected,
    problem: "could not be asked, because the sign-on token is of no use",
    remedy: renew,
  },
  InvalidIdentityTokenException: {
    ...rejected,
    problem: "could not be asked, because AWS STS does not accept the web identity token",
    remedy: "check the identity provider and the token file that AWS_WEB_IDENTITY_TOKEN_FILE names",
  },
  IDPRejectedClaimException: {
    ...rejected,
    problem: "could not be asked, because the identity provider rejected the web identity token",
    remedy: "check the identity provider and the token file that AWS_WEB_IDENTITY_TOKEN_FILE names",
  },
  AccessDenied: {
    ...rejected,
    problem: "could not be asked, because AWS STS does not let the plugin assume its role",
    remedy: "check the trust policy of the role that AWS_ROLE_ARN names",
  },
};

/** The names that aws-sdk-go-v2 aws/retry/standard.go takes for throttling; aws-encryption-provider counts by the same list. */
const throttlingNames: ReadonlySet<string> = new Set([
  "BandwidthLimitExceeded",
  "EC2ThrottledException",
  "LimitExceededException",
  "PriorRequestNotComplete",
  "ProvisionedThroughputExceededException",
  "RequestLimitExceeded",
  "RequestThrottled",
  "RequestThrottledException",
  "SlowDown",
  "ThrottledException",
  "Throttling",
  "ThrottlingException",
  "TooManyRequestsException",
  "TransactionInProgressException",
]);

/** Undici's and Node's codes for "no answer in time". */
const timeoutCodes: ReadonlySet<string> = new Set([
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
  "UND_ERR_CONNECT_TIMEOUT",
  "ETIMEDOUT",
]);

/** Which credentials a new set may replace: AWS refused these, not the signature made with them. */
const staleCredentialNames: ReadonlySet<string> = new Set([
  "ExpiredTokenException",
  "ExpiredToken",
  "UnrecognizedClientException",
  "InvalidClientTokenId",
]);

const refusedSignatureNames: ReadonlySet<string> = new Set([
  "InvalidSignatureException",
  "SignatureDoesNotMatch",
  "RequestExpired",
]);

/** The parts of an SDK, undici or Node error that are looked at. */
interface ErrorParts {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly $response?: unknown;
  readonly $metadata?: {
    readonly httpStatusCode?: number;
    readonly requestId?: string;
    readonly clockSkewCorrected?: boolean;
  };
}

function meaningOf(thrown: unknown): Meaning {
  if (thrown instanceof CredentialsFailure) return meaningOfNoCredentials(thrown);
  const parts = partsOf(thrown);
  const name = String(parts.name);
  const code = typeof parts.code === "string" ? parts.code : undefined;
  const status = parts.$metadata?.httpStatusCode;
  if (throttlingNames.has(name) || status === 429) return throttled;
  const known = Object.hasOwn(byName, name) ? byName[name] : undefined;
  if (known !== undefined) return parts.$metadata?.clockSkewCorrected === true ? { ...known, retry: "at-once" } : known;
  if (name === "TimeoutError" || (code !== undefined && timeoutCodes.has(code))) {
    return { code: "timeout", retry: "transient", problem: "did not answer in time" };
  }
  if (status !== undefined && status >= 500) return { ...broken, problem: `answered with HTTP status ${status}` };
  if (status === 401 || status === 403) {
    return { ...rejected, problem: `refused the request with HTTP status ${status}`, remedy: renew };
  }
  if (thrown instanceof SyntaxError || (parts.$response !== undefined && !isServiceError(name))) {
    return { ...broken, problem: "gave an answer that is not AWS KMS's", remedy: "check --kms-endpoint and any proxy" };
  }
  if (status !== undefined) {
    return status === 408
      ? { ...broken, problem: "did not get the whole request in time" }
      : {
          ...unusable,
          problem: `refused the request with HTTP status ${status}`,
          remedy: "check --key and --kms-endpoint",
        };
  }
  if (code !== undefined) return { ...broken, problem: `cannot be reached: ${code}` };
  return { code: "internal", retry: "no", problem: `could not be asked (${name})` };
}

/** The same meanings, of another service: AWS STS, a metadata service, a file or a program. */
function meaningOfNoCredentials(failure: CredentialsFailure): Meaning {
  const file = unreadableFile(failure);
  if (file !== undefined) {
    return {
      ...rejected,
      problem: `could not be asked, because ${file}`,
      remedy:
        "see that the files which AWS_WEB_IDENTITY_TOKEN_FILE and the profile name are in the plugin's pod, for its user",
    };
  }
  if (endedAtInstance(failure)) {
    return {
      ...broken,
      problem: "could not be asked, because no AWS credentials were found, at the instance metadata service neither",
      remedy:
        "see that the instance has a role, and that the plugin's pod reaches its metadata service (hostNetwork, hop limit)",
    };
  }
  const { code, retry, problem, ...meaning } = meaningOf(failure.cause);
  if (code === "internal")
    return { ...rejected, problem: "could not be asked, because the search for AWS credentials failed", remedy: renew };
  if (problem.startsWith("could not be asked")) return { code, retry, problem, ...meaning };
  return {
    ...(retry === "no" ? rejected : { code, retry }),
    problem: `could not be asked for want of credentials: their source ${problem}`,
    remedy: "see what gives the plugin its credentials: AWS STS, a metadata service or a program",
  };
}

/** The SDK gives an error that it has no type for the service's own base type, and its name ends as AWS's names do. */
function isServiceError(name: string): boolean {
  return name.endsWith("Exception") || name === "Unknown";
}

function partsOf(thrown: unknown): ErrorParts {
  return typeof thrown === "object" && thrown !== null ? thrown : {};
}

/** Whether a repetition inside the same call makes sense. */
export function retryAdvice(thrown: unknown): RetryAdvice {
  return meaningOf(thrown).retry;
}

/** Whether the request got no answer, which the SDK's retry quota charges more for. */
export function isTimeout(thrown: unknown): boolean {
  return meaningOf(thrown).code === "timeout";
}

/** Whether AWS no longer accepts credentials that were thought to be good, so that new ones are worth asking for. */
export function hasStaleCredentials(thrown: unknown): boolean {
  return staleCredentialNames.has(String(partsOf(thrown).name));
}

/** Whether AWS refused a signature, or its age. */
export function hasRefusedSignature(thrown: unknown): boolean {
  return refusedSignatureNames.has(String(partsOf(thrown).name));
}

/**
 * The error for the API server and for logs. Nothing that came with an answer is kept as `cause`, because the SDK hangs the
 * whole response on its errors, and the response of a Decrypt is the plaintext; the same goes for a JSON parser's text.
 */
export function kmsFailure(
  thrown: unknown,
  call: { readonly operation: "Encrypt" | "Decrypt"; readonly keyId: string },
): KmsEtcdError {
  if (thrown instanceof KmsEtcdError) return thrown;
  const meaning = meaningOf(thrown);
  const source = thrown instanceof CredentialsFailure ? thrown.cause : thrown;
  const parts = partsOf(source);
  // A plaintext was checked before it went out, so a request to encrypt is only invalid because of the key or the flags;
  // bytes to decrypt are the caller's.
  const ofBytes = parts.name === "ValidationException" && call.operation === "Decrypt" && source === thrown;
  const code = ofBytes ? "invalid-input" : meaning.code;
  // They come from the answer too, so only what looks like a name is shown.
  const answered = [parts.name, parts.$metadata?.requestId].filter(isName).join(", ");
  const name = parts.$response === undefined || answered === "" ? "" : ` (${answered})`;
  const named = meaning.quote === true && typeof parts.message === "string" ? namesIn(parts.message) : "";
  const message = `${call.operation} for ${call.keyId}: AWS KMS ${meaning.problem}${name}${named === "" ? "" : `: ${named}`}`;
  return new KmsEtcdError(code, message, {
    ...(meaning.remedy === undefined ? {} : { remedy: meaning.remedy }),
    ...(parts.$response === undefined && !(source instanceof SyntaxError) ? { cause: source } : {}),
  });
}

function isName(value: unknown): value is string {
  return typeof value === "string" && /^[\w-]{1,64}$/.test(value);
}
