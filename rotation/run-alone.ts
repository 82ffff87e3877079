/** `runRotation` as the one engine at work on a cluster: what the Pulumi provider and the command line run. */
import { KmsEtcdError } from "../core/errors";
import { RotationStage } from "../core/rotation-stage";
import { type EngineLeaseOptions, withEngineLease } from "./engine-lease";
import { evidenceOf } from "./evidence";
import { type RotationEvent, type RotationOptions, type RotationOutcome, runRotation } from "./run";

/** How this engine keeps others out. `clock` is of its own: it stays real where a test's engine runs in virtual time. */
export type AloneBy = Pick<EngineLeaseOptions, "lease" | "identity" | "breakLease" | "clock">;

/**
 * Without `alone` it is `runRotation`, for platforms that keep others out by themselves. Another engine at work is an outcome
 * (`blocked`), and so is to lose the Lease to one in the middle (`cancelled`, at a safe point).
 */
export async function runRotationAlone(options: RotationOptions, alone: AloneBy | undefined): Promise<RotationOutcome> {
  if (alone === undefined) return runRotation(options);
  const { goal, fleet, signal } = options;
  const nothingDone = (outcome: Pick<RotationOutcome, "kind" | "reason" | "remedy">): RotationOutcome => ({
    stage: RotationStage.Plugin,
    evidence: evidenceOf(undefined, goal, fleet.endpoint.bind(fleet)),
    ...outcome,
  });
  const run = { hasBegun: false, stage: RotationStage.Plugin as RotationStage };
  const onEvent = (event: RotationEvent) => {
    run.stage = event.stage;
    options.onEvent(event);
  };
  const lease: EngineLeaseOptions = {
    ...alone,
    signal,
    onEvent: (kind, message) => onEvent({ stage: run.stage, kind, message, at: Date.now() }),
  };
  try {
    return await withEngineLease(lease, async (working, lostTo) => {
      run.hasBegun = true;
      const outcome = await runRotation({ ...options, onEvent, signal: working });
      const holder = lostTo();
      if (outcome.kind !== "cancelled" || holder === undefined) return outcome;
      return { ...outcome, reason: `stopped at a safe point, because ${holder} has taken over` };
    });
  } catch (thrown) {
    // What the run itself throws is not of the Lease.
    if (run.hasBegun || !(thrown instanceof KmsEtcdError)) throw thrown;
    if (thrown.code === "cancelled") return nothingDone({ kind: "cancelled", reason: thrown.message });
    if (thrown.code !== "conflict") throw thrown;
    const { message: reason, remedy } = thrown;
    return nothingDone({ kind: "blocked", reason, ...(remedy === undefined ? {} : { remedy }) });
  }
}
