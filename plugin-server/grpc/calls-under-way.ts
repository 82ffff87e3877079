/**
 * The calls that a server is working on. Each has a limit, kept by one timer for all of them: a timer and an
 * AbortController a call would cost a tenth of a fast call's time.
 */
import type { CallContext } from "../key-provider";

/** What a call needs of its RPC: grpc-js's ServerUnaryCall has it. */
export interface Cancellable {
  readonly cancelled: boolean;
  once(event: "cancelled", listener: () => void): unknown;
}

export interface CallsUnderWay {
  readonly count: number;
  /** `onLimit` is called when the call has not ended in time; its `signal` has aborted then. */
  begin(kms: "v1" | "v2", uid: string, rpc: Cancellable, onLimit: () => void): UnderWay;
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
      calls.delete(call);
      call.abort();
      call.onLimit();
    }
  }

  return {
    get count() {
      return calls.size;
    },
    begin: (kms, uid, rpc, onLimit) => {
      const call = new Call(kms, uid, rpc, now() + limitMs, onLimit, calls);
      calls.add(call);
      timer ??= setTimeout(expire, limitMs).unref();
      return call;
    },
  };
}

class Call implements UnderWay {
  readonly kms: "v1" | "v2";
  readonly uid: string;
  readonly deadline: number;
  readonly onLimit: () => void;
  private readonly rpc: Cancellable;
  private readonly calls: Set<Call>;
  private controller: AbortController | undefined;

  constructor(
    kms: "v1" | "v2",
    uid: string,
    rpc: Cancellable,
    deadline: number,
    onLimit: () => void,
    calls: Set<Call>,
  ) {
    this.kms = kms;
    this.uid = uid;
    this.rpc = rpc;
    this.deadline = deadline;
    this.onLimit = onLimit;
    this.calls = calls;
  }

  /** Made when it is asked for: a local key answers without it. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.rpc.cancelled) this.controller.abort();
      else this.rpc.once("cancelled", () => this.controller?.abort());
    }
    return this.controller.signal;
  }

  abort(): void {
    this.controller?.abort();
  }

  end(): void {
    this.calls.delete(this);
  }
}
