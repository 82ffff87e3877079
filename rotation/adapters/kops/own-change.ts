/** When the engine's own change to the spec is nothing special any more. For runs and plans alike. */
import type { KopsGoal } from "./kops-decision";
import type { KopsObservation } from "./kops-observation";
import { presentSituation } from "./kops-situation";
import { isSeenThrough } from "./rules/plugin-change-rules";

/** The very observation while there is none, or it has yet to reach a machine. */
export function withoutWhatIsThrough(observed: KopsObservation, goal: KopsGoal): KopsObservation {
  const situation = observed.ownChange && presentSituation(observed, goal);
  if (situation === undefined || !isSeenThrough(situation)) return observed;
  const { ownChange: _, ...rest } = observed;
  return rest;
}
