/** What the engine's events look like to people: in the Info column of a Pulumi row, and on a terminal. */
import { rotationStages } from "../core/rotation-stage";
import type { RotationEvent } from "./run-events";

/** Counters arrive by the page; a line a second is what an eye, and a log without a terminal, can take. */
const progressInterval = 1_000;

/** A function that passes events on as texts, counters at most once a second. */
export function throttledProgress(show: (text: string) => void): (event: RotationEvent) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (event) => {
    if (event.kind === "progress") {
      const complete = event.done !== undefined && event.done === event.total;
      if (!complete && event.at - last < progressInterval) return;
      last = event.at;
    }
    show(progressText(event));
  };
}

export function progressText(event: RotationEvent): string {
  const position = `[${rotationStages.indexOf(event.stage) + 1}/${rotationStages.length}] ${event.stage}`;
  if (event.kind === "stage-finished") {
    return event.durationMs === undefined
      ? `${position} done`
      : `${position} done in ${Math.round(event.durationMs / 1_000)} s`;
  }
  if (event.done === undefined) return `${position}: ${event.message}`;
  const count = event.total === undefined ? `${event.done}` : `${event.done} of ${event.total}`;
  return `${position}: ${count} ${event.message}`;
}
