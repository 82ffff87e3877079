/**
 * Whether one key can be used, found out in the background: Status, /healthz and /metrics all read the same answer, so the
 * key's service sees a bounded number of probes however many ask. Requests never change the answer: a client's bad request
 * says nothing about the key. They can only bring the next probe forward.
 */
import { type ErrorCode, KmsEtcdError } from "../../core/errors";
import type { KeyProvider } from "../key-provider";
import type { Clock } from "./clock";

export interface KeyHealthOptions {
  /** Between probes of a usable key. */
  readonly intervalMs: number;
  /** The limit of one probe. */
  readonly probeTimeoutMs: number;
  /** Told when the answer changes, and of each probe. */
  readonly onProbe?: (outcome: "ok" | ErrorCode) => void;
  readonly onChange?: (trouble: KmsEtcdError | undefined) => void;
}

export interface KeyHealth {
  /** Begins to probe, at once. */
  start(): void;
  stop(): void;
  /** Resolves when the key is usable, rejects with the trouble when not. Waits for the first probe, and for nothing else. */
  check(signal: AbortSignal): Promise<void>;
  /** The last answer; "unknown" before the first probe has ended. */
  state(): "unknown" | "usable" | KmsEtcdError;
  /** A real call has failed in a way that a probe should look at. */
  suspect(): void;
}

/** Pause between probes of a key in trouble, and between any two: API servers ask for Status every 10 s then. */
const retryMs = 5_000;
/** So many probes in a row may fail for a passing reason before a key that worked counts as unusable. */
const toleratedFailures = 2;
const passing: ReadonlySet<ErrorCode> = new Set(["throttled", "unreachable", "timeout"]);

export function createKeyHealth(
  provider: Pick<KeyProvider, "probe">,
  options: KeyHealthOptions,
  clock: Clock,
): KeyHealth {
  const { intervalMs, probeTimeoutMs, onProbe, onChange } = options;
  const pauseMs = Math.min(retryMs, intervalMs);
  let state: "unknown" | "usable" | KmsEtcdError = "unknown";
  let failures = 0;
  let lastStart = Number.NEGATIVE_INFINITY;
  let underWay: AbortController | undefined;
  let stopped = false;
  const isStopped = () => stopped;
  let callOff = nothing;
  const waiting = new Set<() => void>();

  function schedule(inMs: number): void {
    callOff();
    if (!stopped) callOff = clock.after(inMs, () => void probe());
  }

  async function probe(): Promise<void> {
    if (underWay !== undefined || isStopped()) return;
    const controller = new AbortController();
    underWay = controller;
    lastStart = clock.now();
    const trouble = await outcomeOf(controller);
    underWay = undefined;
    if (isStopped()) return;
    onProbe?.(trouble?.code ?? "ok");
    settle(trouble);
    schedule(failures > 0 ? pauseMs : intervalMs);
  }

  /** Ends at the limit even when the provider does not. */
  async function outcomeOf(controller: AbortController): Promise<KmsEtcdError | undefined> {
    let callOffLimit = nothing;
    const limit = new Promise<KmsEtcdError>((resolve) => {
      callOffLimit = clock.after(probeTimeoutMs, () => {
        controller.abort();
        resolve(new KmsEtcdError("timeout", `the key did not answer a probe within ${probeTimeoutMs} ms`));
      });
    });
    const probed = provider.probe(controller.signal).then(() => undefined, asTrouble);
    const outcome = await Promise.race([probed, limit]);
    callOffLimit();
    return outcome;
  }

  function settle(trouble: KmsEtcdError | undefined): void {
    failures = trouble === undefined ? 0 : failures + 1;
    const tolerated =
      state === "usable" && trouble !== undefined && passing.has(trouble.code) && failures <= toleratedFailures;
    if (tolerated) return;
    const before = state;
    state = trouble ?? "usable";
    if (textOf(before) !== textOf(state)) onChange?.(trouble);
    for (const wake of waiting) wake();
    waiting.clear();
  }

  function firstProbe(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        waiting.delete(resolve);
        reject(new KmsEtcdError("timeout", "the first probe of the key has not ended yet"));
      };
      if (signal.aborted) {
        giveUp();
        return;
      }
      waiting.add(resolve);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  return {
    start: () => void probe(),
    stop: () => {
      stopped = true;
      callOff();
      underWay?.abort();
    },
    check: async (signal) => {
      if (state === "unknown") await firstProbe(signal);
      if (state instanceof KmsEtcdError) throw state;
    },
    state: () => state,
    suspect: () => {
      if (underWay === undefined && state === "usable" && failures === 0)
        schedule(Math.max(0, lastStart + pauseMs - clock.now()));
    },
  };
}

/** There is nothing to call off. */
function nothing(): void {
  return;
}

function asTrouble(thrown: unknown): KmsEtcdError {
  return thrown instanceof KmsEtcdError
    ? thrown
    : new KmsEtcdError("internal", "the probe of the key failed", { cause: thrown });
}

function textOf(state: "unknown" | "usable" | KmsEtcdError): string {
  return typeof state === "string" ? state : `${state.code}: ${state.message}`;
}
