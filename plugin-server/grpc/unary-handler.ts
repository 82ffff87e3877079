/** What every method has in common: the limit, the status of an error, the metrics, the log. */
import { KmsEtcdError } from "../../core/errors";
import type { StatusCode } from "../../core/grpc-status-code";
import type { CallContext } from "../key-provider";
import { grpcStatus } from "./grpc-status";
import type { KmsMethod, ServedKey } from "./served-key";
import type { UnaryHandler } from "./unary-server";

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
): UnaryHandler<Request, Response> {
  return (rpc) => {
    const started = performance.now();
    const uid = uidOf(rpc.request);
    let ended = false;
    const end = (): number => {
      ended = true;
      call.end();
      return (performance.now() - started) / 1_000;
    };
    const account = (code: StatusCode, seconds: number, thrown?: unknown): void => {
      key.observer.ended(kms, method, code, seconds, thrown);
      logCall(key, { kms, method, uid, code, seconds }, thrown);
    };
    const answer = (response: Response): void => {
      if (ended) return;
      if (rpc.hasLeft) throw new KmsEtcdError("cancelled", "the caller has left before its answer");
      rpc.answer(response);
      const seconds = end();
      // Nobody waits for metrics and log of a good call, so they come behind its answer, which leaves in two parts: the message
      // when this turn of the event loop ends, the status a turn later.
      setImmediate(() => setImmediate(account, "OK", seconds));
    };
    const fail = (thrown: unknown): void => {
      if (ended) return;
      const seconds = end();
      const status = grpcStatus(thrown);
      rpc.fail(status);
      // Who waits for a short time only says nothing about the key.
      const unfair = status.code === "DEADLINE_EXCEEDED" && call.isShortened;
      if (thrown instanceof KmsEtcdError && suspicious.has(thrown.code) && !unfair) key.health.suspect(kms);
      account(status.code, seconds, thrown);
    };
    const call = key.calls.begin(kms, uid, rpc, fail);
    serve(rpc.request, call)
      .then(answer)
      .catch((error: unknown) => fail(error ?? new Error("nothing was thrown")));
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
