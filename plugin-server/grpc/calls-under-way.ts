/**
 * The calls that a server is working on. Each has a limit, kept by one timer for all of them: a timer and an
 * AbortController a call would cost a tenth of a fast call's time.
 */
import { KmsEtcdError } from "../../core/errors";
import type { CallContext } from "../key-provider";

/** What a call needs of its RPC: grpc-js's ServerUnaryCall has it. */
export interface Cancellable {
  readonly cancelled: boolean;
  once(event: "cancelled", listener: () => void): unknown;
}

export interface CallsUnderWay {
  readonly count: number;
  /** `cutOff` is called when the call has not ended in time; its `signal` has aborted then. */
  begin(kms: "v1" | "v2", uid: string, rpc: Cancellable, cutOff: (reason: KmsEtcdError) => void): UnderWay;
  /** Cuts off all calls. */
  cutOffAll(reason: KmsEtcdError): void;
}

export interface UnderWay extends CallContext {
  end(): void;
}

export function createCallsUnderWay(limitMs: number, now: () => number = () => performance.now()): CallsUnderWay {
  /** In the order of their deadlines, because all have the same limit. */
  const calls = new Set<Call>();
  let timer: NodeJS.Timeout | undefined;

  function expire(): void {
    timer = undefined;
    for (const call of calls) {
      const left = call.deadline - now();
      if (left > 0) {
        timer = setTimeout(expire, left).unref();
        return;
      }
      call.endBy(new KmsEtcdError("timeout", `the key did not answer within ${limitMs} ms`));
    }
  }

  return {
    get count() {
      return calls.size;
    },
    begin: (kms, uid, rpc, cutOff) => {
      const call = new Call(kms, uid, rpc, now() + limitMs, cutOff, calls);
      calls.add(call);
      timer ??= setTimeout(expire, limitMs).unref();
      return call;
    },
    cutOffAll: (reason) => {
      for (const call of calls) call.endBy(reason);
    },
  };
}

class Call implements UnderWay {
  readonly kms: "v1" | "v2";
  readonly uid: string;
  readonly deadline: number;
  private readonly cutOff: (reason: KmsEtcdError) => void;
  private readonly rpc: Cancellable;
  private readonly calls: Set<Call>;
  private controller: AbortController | undefined;

  constructor(
    kms: "v1" | "v2",
    uid: string,
    rpc: Cancellable,
    deadline: number,
    cutOff: (reason: KmsEtcdError) => void,
    calls: Set<Call>,
  ) {
    this.kms = kms;
    this.uid = uid;
    this.rpc = rpc;
    this.deadline = deadline;
    this.cutOff = cutOff;
    this.calls = calls;
  }

  /** Made when it is asked for: a local key answers without it. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.rpc.cancelled) this.controller.abort();
      // grpc-js says so at the end of every call, and the reason of an abort costs more than the rest of this class.
      else this.rpc.once("cancelled", () => (this.calls.has(this) ? this.controller?.abort() : undefined));
    }
    return this.controller.signal;
  }

  endBy(reason: KmsEtcdError): void {
    this.end();
    this.controller?.abort();
    this.cutOff(reason);
  }

  end(): void {
    this.calls.delete(this);
  }
}
