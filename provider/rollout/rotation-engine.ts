/** Port: the rotation engine as the rollout uses it, with the cluster behind it already opened. */
import type { Evidence } from "../../rotation/evidence";
import type { Goal } from "../../rotation/goal";
import type { ServerObservation } from "../../rotation/observation";
import type { RotationPlan } from "../../rotation/plan";
import type { RotationOutcome } from "../../rotation/run";
import type { RotationEvent } from "../../rotation/run-events";
import type { Platform } from "./platform";
import type { Upkeep } from "./upkeep-inputs";

/** A goal without the servers, which the platform lists, and with what is done besides the rotation. */
export type RolloutGoal = Omit<Goal, "servers"> & Pick<Upkeep, "withoutLease" | "retire" | "snapshotDirectories">;

/** What an engine needs to see of a server for this port. */
export type SeenServer = Pick<ServerObservation, "name" | "file" | "loaded"> &
  Partial<Pick<ServerObservation, "fileProblem" | "unreachable">>;

/** What a look at the cluster gives. Nothing was changed by it. */
export interface Survey {
  readonly plan: RotationPlan;
  readonly evidence: Evidence;
  /** Why versions that shall be retired cannot be: one sentence for each. */
  readonly retirementProblems?: readonly string[];
  /** The plan in a platform's own words, given what the key is called; absent: those that all have in common. */
  readonly lines?: (key: string) => readonly string[];
}

export interface RolloutRun {
  readonly outcome: RotationOutcome;
  /** The servers after the run. */
  readonly servers: readonly SeenServer[];
}

/** Both methods throw KmsEtcdError when the platform can't be opened. */
export interface RotationEngine {
  survey(platform: Platform, goal: RolloutGoal, signal: AbortSignal): Promise<Survey>;
  run(
    platform: Platform,
    goal: RolloutGoal,
    onEvent: (event: RotationEvent) => void,
    signal: AbortSignal,
  ): Promise<RolloutRun>;
}
