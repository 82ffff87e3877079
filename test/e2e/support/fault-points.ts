/** The four points of a rotation at which the tests make things go wrong, told by what the engine says that it does. */
import type { RotationEvent } from "../../../rotation/run-events";

export const faultPoints = [
  "while the new plugin starts",
  "between READ and WRITE",
  "in the middle of REWRITE",
  "between the first pruned server and the rest",
] as const;

export type FaultPoint = (typeof faultPoints)[number];

/** The point that the engine is at with this event; undefined for all other events. */
export function faultPointOf({ kind, stage, message, done, total }: RotationEvent): FaultPoint | undefined {
  if (kind === "action" && message.includes(": start kms-etcd-")) return "while the new plugin starts";
  if (kind === "stage-started" && stage === "Write") return "between READ and WRITE";
  if (kind === "progress" && message === "objects rewritten" && done !== undefined && 2 * done >= (total ?? Infinity))
    return "in the middle of REWRITE";
  if (kind === "measurement" && message.startsWith("read every object through"))
    return "between the first pruned server and the rest";
  return undefined;
}

/** What goes wrong. It gets the event, which names the server that the engine is at. */
export type Strike = (event: RotationEvent) => void | Promise<void>;

/** Calls `strike` when the engine gets to the point, the first time. `done` resolves when what it began has ended. */
export function strikeAt(point: FaultPoint, strike: Strike) {
  let began: Promise<void> | undefined;
  return {
    onEvent: (event: RotationEvent) => {
      // At once, inside the engine's own step: what it does next meets the fault.
      if (began === undefined && faultPointOf(event) === point) began = Promise.resolve(strike(event));
    },
    done: async () => {
      if (began === undefined) throw new Error(`the engine never got ${point}`);
      await began;
    },
  };
}
