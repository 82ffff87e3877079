/** The only place where something thrown becomes a gRPC status. */
import { status } from "@grpc/grpc-js";
import { describeError, type ErrorCode, KmsEtcdError } from "../../core/errors";

export interface GrpcStatus {
  readonly code: status;
  readonly details: string;
}

const codes: Readonly<Record<ErrorCode, status>> = {
  "invalid-input": status.INVALID_ARGUMENT,
  unsupported: status.UNIMPLEMENTED,
  "not-found": status.NOT_FOUND,
  conflict: status.ABORTED,
  unreachable: status.UNAVAILABLE,
  timeout: status.DEADLINE_EXCEEDED,
  "permission-denied": status.PERMISSION_DENIED,
  throttled: status.RESOURCE_EXHAUSTED,
  // The ciphertext is at fault, so the caller is: DATA_LOSS would say that the key's side lost something.
  corrupt: status.INVALID_ARGUMENT,
  "key-unusable": status.FAILED_PRECONDITION,
  cancelled: status.CANCELLED,
  blocked: status.FAILED_PRECONDITION,
  internal: status.INTERNAL,
};

/** Longer texts do not fit into the headers that HTTP/2 peers accept. */
const detailsLimit = 1_000;

/** What the caller is told. Anything that is not a classified error is told as a constant text; the log has the rest. */
export function grpcStatus(thrown: unknown): GrpcStatus {
  if (!(thrown instanceof KmsEtcdError) || thrown.code === "internal") {
    return { code: status.INTERNAL, details: "the plugin failed in an unexpected way; its log says more" };
  }
  // Trimmed: nghttp2 drops a header value that ends in a blank, and the caller would see no text at all.
  // Without halves of surrogate pairs, which grpc-js can't encode: the call would get no answer.
  const details = describeError(thrown)
    .slice(0, detailsLimit)
    .replace(/\p{Surrogate}/gu, "")
    .trim();
  return { code: codes[thrown.code], details: details === "" ? thrown.code : details };
}
