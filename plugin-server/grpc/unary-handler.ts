/** What every method has in common: the limit, the status of an error, the metrics, the log. */
import { type handleUnaryCall, status } from "@grpc/grpc-js";
import { KmsEtcdError } from "../../core/errors";
import type { CallContext } from "../key-provider";
import { grpcStatus } from "./grpc-status";
import type { KmsMethod, ServedKey } from "./served-key";

/** Failures that say something about the key or the way to it, and nothing about the request. */
const suspicious: ReadonlySet<string> = new Set([
  "key-unusable",
  "permission-denied",
  "not-found",
  "unreachable",
  "timeout",
]);

export function unaryHandler<Request, Response>(
  key: ServedKey,
  kms: "v1" | "v2",
  method: KmsMethod,
  uidOf: (request: Request) => string,
  serve: (request: Request, call: CallContext) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (rpc, callback) => {
    const started = performance.now();
    const uid = uidOf(rpc.request);
    let ended = false;
    const end = (thrown: unknown, response: Response | null): void => {
      if (ended) return;
      ended = true;
      call.end();
      const failure = thrown === undefined ? undefined : grpcStatus(thrown);
      if (failure === undefined) callback(null, response);
      else callback(failure);
      const seconds = (performance.now() - started) / 1_000;
      const code = failure?.code ?? status.OK;
      if (thrown instanceof KmsEtcdError && suspicious.has(thrown.code)) key.health.suspect(kms);
      const account = (): void => {
        key.observer.ended(kms, method, code, seconds, thrown);
        logCall(key, { kms, method, uid, code: status[code], seconds }, thrown);
      };
      // Nobody waits for metrics and log of a good call, so they come behind its answer, which leaves in two parts: the message
      // when this turn of the event loop ends, the status a turn later.
      if (thrown === undefined) setImmediate(() => setImmediate(account));
      else account();
    };
    const call = key.calls.begin(kms, uid, rpc, (reason) => end(reason, null));
    serve(rpc.request, call).then(
      (response) => end(undefined, response),
      (error: unknown) => end(error ?? new Error("nothing was thrown"), null),
    );
  };
}

function logCall(key: ServedKey, fields: Readonly<Record<string, string | number>>, thrown: unknown): void {
  if (thrown === undefined) {
    if (key.log.enabled("debug")) key.log.write("debug", "a call was answered", fields);
  } else if (!(thrown instanceof KmsEtcdError) || thrown.code === "internal") {
    // The stack of an unclassified error goes to the log and nowhere else; it holds code places, not request data.
    const error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : "";
    key.log.write("error", "a call failed", { ...fields, error });
  } else {
    // A caller that leaves is its own business.
    key.log.write(thrown.code === "cancelled" ? "debug" : "warn", "a call failed", {
      ...fields,
      error: thrown.message,
    });
  }
}
