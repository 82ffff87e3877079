/**
 * The calls that a server is working on. Each has a limit, kept by one timer for all of them: a timer and an
 * AbortController a call would cost a tenth of a fast call's time.
 */
import { KmsEtcdError } from "../../core/errors";
import type { CallContext } from "../key-provider";

/** Who asked. */
export interface Caller {
  /** How long it waits for an answer. Infinite when it doesn't say. */
  readonly timeoutMs: number;
  readonly hasLeft: boolean;
  onLeaving(listener: () => void): void;
}

export interface CallsUnderWay {
  readonly count: number;
  /** `cutOff` is called when the call has not ended in time; its `signal` has aborted then. */
  begin(kms: "v1" | "v2", uid: string, caller: Caller, cutOff: (reason: KmsEtcdError) => void): UnderWay;
  /** Cuts off all calls. */
  cutOffAll(reason: KmsEtcdError): void;
}

export interface UnderWay extends CallContext {
  /** Its caller waits for less time than the limit. */
  readonly isShortened: boolean;
  end(): void;
}

export function createCallsUnderWay(limitMs: number, now: () => number = () => performance.now()): CallsUnderWay {
  const calls = new Set<Call>();
  let timer: NodeJS.Timeout | undefined;
  /** When the timer fires. */
  let nextLook = Number.POSITIVE_INFINITY;

  function lookAt(time: number): void {
    if (time >= nextLook) return;
    clearTimeout(timer);
    nextLook = time;
    timer = setTimeout(expire, time - now()).unref();
  }

  function expire(): void {
    nextLook = Number.POSITIVE_INFINITY;
    const time = now();
    let next = Number.POSITIVE_INFINITY;
    for (const call of calls) {
      if (call.deadline > time) next = Math.min(next, call.deadline);
      else call.endBy(tooLate(call));
    }
    lookAt(next);
  }

  return {
    get count() {
      return calls.size;
    },
    begin: (kms, uid, caller, cutOff) => {
      const call = new Call(kms, uid, caller, limitMs, now(), cutOff, calls);
      calls.add(call);
      lookAt(call.deadline);
      return call;
    },
    cutOffAll: (reason) => {
      for (const call of calls) call.endBy(reason);
    },
  };
}

function tooLate({ allowedMs, isShortened }: Call): KmsEtcdError {
  const limit = `${isShortened ? "its caller's " : ""}${Math.ceil(allowedMs)} ms`;
  return new KmsEtcdError("timeout", `the key did not answer within ${limit}`);
}

class Call implements UnderWay {
  readonly kms: "v1" | "v2";
  readonly uid: string;
  readonly isShortened: boolean;
  readonly allowedMs: number;
  readonly deadline: number;
  private readonly cutOff: (reason: KmsEtcdError) => void;
  private readonly caller: Caller;
  private readonly calls: Set<Call>;
  private controller: AbortController | undefined;

  constructor(
    kms: "v1" | "v2",
    uid: string,
    caller: Caller,
    limitMs: number,
    begun: number,
    cutOff: (reason: KmsEtcdError) => void,
    calls: Set<Call>,
  ) {
    this.kms = kms;
    this.uid = uid;
    this.caller = caller;
    this.isShortened = caller.timeoutMs < limitMs;
    this.allowedMs = Math.min(limitMs, caller.timeoutMs);
    this.deadline = begun + this.allowedMs;
    this.cutOff = cutOff;
    this.calls = calls;
  }

  /** Made when it is asked for: a local key answers without it. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      const controller = new AbortController();
      this.controller = controller;
      if (this.caller.hasLeft) controller.abort();
      else this.caller.onLeaving(() => controller.abort());
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
