/** Turns anything that was thrown into the gRPC status that the engine understands. The only place that does. */
import { Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { ErrorResourceInitFailed } from "@pulumi/pulumi/proto/provider_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Any } from "google-protobuf/google/protobuf/any_pb";
import { describeError, type ErrorCode, KmsEtcdError } from "../core/errors";
import { writeProperties } from "./property-values";
import { InitFailed } from "./resource";

/**
 * The engine takes UNKNOWN, INTERNAL and DATA_LOSS to mean that nobody knows whether anything was made
 * (pulumi pkg resource/plugin/provider_plugin.go, resourceStateAndError), so errors of ours never use them.
 */
const codes: Readonly<Record<ErrorCode, status>> = {
  "invalid-input": status.INVALID_ARGUMENT,
  unsupported: status.FAILED_PRECONDITION,
  "not-found": status.NOT_FOUND,
  conflict: status.ABORTED,
  unreachable: status.UNAVAILABLE,
  timeout: status.DEADLINE_EXCEEDED,
  "permission-denied": status.PERMISSION_DENIED,
  throttled: status.RESOURCE_EXHAUSTED,
  corrupt: status.FAILED_PRECONDITION,
  "key-unusable": status.FAILED_PRECONDITION,
  cancelled: status.CANCELLED,
  blocked: status.FAILED_PRECONDITION,
  internal: status.INTERNAL,
};

export function callError(thrown: unknown): Partial<StatusObject> {
  if (thrown instanceof InitFailed) return initFailed(thrown);
  if (thrown instanceof ForeignStatus) return thrown.status;
  const code = thrown instanceof KmsEtcdError ? codes[thrown.code] : status.INTERNAL;
  return { code, details: describeError(thrown) };
}

/** A status that another server of ours has made, to be passed on as it is: Construct's has property paths in its metadata. */
export class ForeignStatus extends Error {
  readonly status: Pick<StatusObject, "code" | "details" | "metadata">;

  constructor({ code, details, metadata }: StatusObject) {
    super(details);
    this.name = "ForeignStatus";
    this.status = { code, details, metadata };
  }
}

function initFailed(failure: InitFailed): Partial<StatusObject> {
  const detail = new ErrorResourceInitFailed();
  detail.setId(failure.id);
  detail.setProperties(writeProperties(failure.outputs, failure.secrets));
  detail.setReasonsList([...failure.reasons]);
  // Without it the next preview would not look at the cluster, and would show what this run has left in the state.
  detail.setRefreshBeforeUpdate(true);
  return {
    code: status.UNKNOWN,
    details: failure.message,
    metadata: statusDetails(
      status.UNKNOWN,
      failure.message,
      "pulumirpc.ErrorResourceInitFailed",
      detail.serializeBinary(),
    ),
  };
}

/** Metadata by which gRPC carries a message with an error: a google.rpc.Status under a fixed name. */
export function statusDetails(code: status, message: string, typeName: string, detail: Uint8Array): Metadata {
  const packed = new Any();
  packed.pack(detail, typeName);
  const whole = new Status();
  whole.setCode(code);
  whole.setMessage(message);
  whole.addDetails(packed);
  const metadata = new Metadata();
  metadata.add("grpc-status-details-bin", Buffer.from(whole.serializeBinary()));
  return metadata;
}
