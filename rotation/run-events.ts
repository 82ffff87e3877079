/** What a run tells while it is under way: its stages with their times, what it does, and what it waits for. */
import { isAfter, RotationStage } from "../core/rotation-stage";
import type { Clock } from "./clock";
import type { Decision } from "./decision";
import type { Progress } from "./stored-objects";

export interface RotationEvent {
  readonly stage: RotationStage;
  readonly kind: "stage-started" | "stage-finished" | "action" | "measurement" | "waiting" | "progress" | "warning";
  readonly message: string;
  readonly done?: number;
  readonly total?: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** With `stage-finished`: how long the stage took, and how much of it was waiting for servers. */
  readonly durationMs?: number;
  readonly waitingMs?: number;
}

/** How often a wait that goes on is said again. */
const sayAgain = 10_000;

export function createRunEvents(onEvent: (event: RotationEvent) => void, clock: Clock) {
  let current: { stage: RotationStage; since: number; waiting: number } | undefined;
  let wait = { reason: "", since: 0, said: 0 };
  let waitingSince: number | undefined;

  const stage = () => current?.stage ?? RotationStage.Plugin;
  const emit = (kind: RotationEvent["kind"], message: string, more: Partial<RotationEvent> = {}) =>
    onEvent({ stage: stage(), kind, message, at: clock.now(), ...more });
  const progress = (what: string) => (seen: Progress) =>
    emit("progress", what, { done: seen.done, ...(seen.total === undefined ? {} : { total: seen.total }) });

  /** A stage is never left backwards: counting again during PRUNE is part of PRUNE. */
  function enter(decision: Decision): void {
    // Looking while waiting is waiting too: a wait lasts until something else is decided.
    if (decision.kind !== "wait" && waitingSince !== undefined) {
      if (current !== undefined) current.waiting += clock.now() - waitingSince;
      waitingSince = undefined;
    }
    const next = decision.kind === "done" || decision.kind === "blocked" ? undefined : decision.stage;
    if (current !== undefined && (next === undefined || isAfter(next, current.stage))) {
      if (decision.kind !== "blocked") finish();
    }
    if (next !== undefined && (current === undefined || isAfter(next, current.stage))) {
      current = { stage: next, since: clock.now(), waiting: 0 };
      emit("stage-started", "reason" in decision ? decision.reason : next);
    }
  }

  function finish(): void {
    if (current === undefined) return;
    emit("stage-finished", current.stage, { durationMs: clock.now() - current.since, waitingMs: current.waiting });
  }

  async function waiting(reason: string, sleep: () => Promise<void>): Promise<void> {
    const before = clock.now();
    if (reason !== wait.reason) wait = { reason, since: before, said: Number.NEGATIVE_INFINITY };
    if (before - wait.said >= sayAgain) {
      const elapsed = Math.round((before - wait.since) / 1_000);
      emit("waiting", `waiting for ${reason}${elapsed === 0 ? "" : `, ${elapsed} s so far`}`);
      wait.said = before;
    }
    waitingSince ??= before;
    await sleep();
  }

  return { stage, emit, progress, enter, waiting };
}
