/** The only place where something thrown becomes a gRPC status. */
import { describeError, type ErrorCode, KmsEtcdError } from "../../core/errors";
import type { StatusCode } from "../../core/grpc-status-code";

export interface GrpcStatus {
  readonly code: StatusCode;
  readonly details: string;
}

const codes: Readonly<Record<ErrorCode, StatusCode>> = {
  "invalid-input": "INVALID_ARGUMENT",
  unsupported: "UNIMPLEMENTED",
  "not-found": "NOT_FOUND",
  conflict: "ABORTED",
  unreachable: "UNAVAILABLE",
  timeout: "DEADLINE_EXCEEDED",
  "permission-denied": "PERMISSION_DENIED",
  throttled: "RESOURCE_EXHAUSTED",
  // The ciphertext is at fault, so the caller is: DATA_LOSS would say that the key's side lost something.
  corrupt: "INVALID_ARGUMENT",
  "key-unusable": "FAILED_PRECONDITION",
  cancelled: "CANCELLED",
  blocked: "FAILED_PRECONDITION",
  internal: "INTERNAL",
};

/** Longer texts do not fit into the headers that HTTP/2 peers accept. */
const detailsLimit = 1_000;

/** What the caller is told. Anything that is not a classified error is told as a constant text; the log has the rest. */
export function grpcStatus(thrown: unknown): GrpcStatus {
  if (!(thrown instanceof KmsEtcdError) || thrown.code === "internal") {
    return { code: "INTERNAL", details: "the plugin failed in an unexpected way; its log says more" };
  }
  // Halves of surrogate pairs can't be encoded for a header.
  const details = describeError(thrown)
    .slice(0, detailsLimit)
    .replace(/\p{Surrogate}/gu, "")
    .trim();
  return { code: codes[thrown.code], details: details === "" ? thrown.code : details };
}
