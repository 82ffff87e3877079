/**
 * What an API server's refusal is told as. A Status' message can quote the object (validation errors do, webhooks may), so
 * only what the API server itself composes without content is passed on (invariant 9).
 */
import { type ErrorCode, KmsEtcdError } from "../../../core/errors";
import { isEtcdTrouble } from "../../failure-text";

interface Status {
  readonly kind?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly details?: { readonly causes?: readonly { readonly reason?: string; readonly field?: string }[] };
  readonly metadata?: { readonly continue?: string };
}

/** The Status in an answer's body; empty where there is none. */
export function readStatus(body: string): Status {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === "object" && parsed !== null ? parsed : {};
  } catch {
    return {};
  }
}

/** In one line, for example `422 Invalid (spec.size: FieldValueInvalid)`. */
export function describeStatus(status: number, body: string): string {
  const { reason, message = "", details } = readStatus(body);
  const head = reason === undefined ? `HTTP ${status}` : `${status} ${reason}`;
  const refused = admissionRefusal(message);
  // Why a webhook could not be called is the API server's own text, and worth having.
  const ownText = status >= 500 && refused?.startsWith("failed calling");
  if (refused !== undefined && !ownText) return `${head}: ${refused}`;
  // A cause without a field is the message once more, as with a list that fails inside the server.
  const causes = (details?.causes ?? [])
    .slice(0, 5)
    .flatMap(({ field, reason: why = "" }) => (field ? `${field}: ${why}` : []));
  if (causes.length > 0) return `${head} (${causes.join(", ")})`;
  // 500: decryption, etcd and webhook calls that failed; 401, 403: who may not do what; 429, 503: load.
  const composed = status >= 500 || status === 401 || status === 403 || status === 429 || status === 410;
  return composed && message !== "" ? `${head}: ${message.slice(0, 300)}` : head;
}

/** Who refused, without what it says of the object: webhooks and policies write that part themselves. */
export function admissionRefusal(message: string): string | undefined {
  const webhook = /admission webhook "[^"]{1,253}" denied the request/.exec(message)?.[0];
  if (webhook !== undefined) return webhook;
  const called = /failed calling webhook "[^"]{1,253}"/.exec(message)?.[0];
  if (called !== undefined) return called;
  const policy = /(?:Validating|Mutating)AdmissionPolicy '[^']{1,253}'/.exec(message)?.[0];
  return policy === undefined ? undefined : `${policy} denied the request`;
}

export function statusError(
  server: string,
  path: string,
  response: { readonly status: number; readonly body: string },
): KmsEtcdError {
  const { status, body } = response;
  const message = `${server}: GET ${path.split("?")[0]}: ${describeStatus(status, body)}`;
  if (status === 401 || status === 403) {
    return new KmsEtcdError("permission-denied", message, { remedy: "use the certificate of a cluster administrator" });
  }
  if (status === 500 && isEtcdTrouble(message)) return new KmsEtcdError("unreachable", message);
  // 500 is what a server says of an object that it can't decrypt; the others of that range are a server that is not well.
  const codes: Readonly<Record<number, ErrorCode>> = {
    404: "not-found",
    409: "conflict",
    429: "throttled",
    500: "corrupt",
  };
  return new KmsEtcdError(codes[status] ?? (status >= 500 ? "unreachable" : "unsupported"), message);
}
