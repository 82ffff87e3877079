/** `runRotation` as the one engine at work on a cluster: what the Pulumi provider and the command line run. */
import { KmsEtcdError } from "../core/errors";
import { RotationStage } from "../core/rotation-stage";
import { type Decide, decideBy, decide as decideByTheRules, repairRules } from "./decide";
import { type EngineLeaseOptions, type HeldLease, withEngineLease } from "./engine-lease";
import { evidenceOf } from "./evidence";
import { type KeyWork, runWithKeys } from "./key-work";
import { type RotationOptions, type RotationOutcome, runRotation } from "./run";
import type { RotationEvent } from "./run-events";

/** How this engine keeps others out. `clock` is of its own: it stays real where a test's engine runs in virtual time. */
export type AloneBy = Pick<EngineLeaseOptions, "lease" | "identity" | "breakLease" | "withoutLease" | "clock">;

/**
 * Without `alone` it is `runRotation`, for platforms that keep others out by themselves. Another engine at work is an outcome
 * (`blocked`), and so is to lose the Lease to one in the middle (`cancelled`, at a safe point). `keys` is done around the run.
 */
export async function runRotationAlone(
  options: RotationOptions,
  alone: AloneBy | undefined,
  keys: KeyWork = { reinstate: async () => undefined },
): Promise<RotationOutcome> {
  if (alone === undefined) return runWithKeys(() => runRotation(options), keys, undefined, options.signal);
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
    return await withEngineLease(lease, async (working, held) => {
      run.hasBegun = true;
      const decide = onlyRepairs(options.decide ?? decideByTheRules, held, goal.limits.ready);
      const rotate = () => runRotation({ ...options, onEvent, signal: working, decide });
      return runWithKeys(rotate, keys, held, working);
    });
  } catch (thrown) {
    // What the run itself throws is not of the Lease.
    if (run.hasBegun || !(thrown instanceof KmsEtcdError)) throw thrown;
    if (thrown.code === "cancelled") return nothingDone({ kind: "cancelled", reason: thrown.message });
    const { message: reason, remedy } = thrown;
    return nothingDone({ kind: "blocked", reason, ...(remedy === undefined ? {} : { remedy }) });
  }
}

/**
 * Without the Lease another engine may be at work, and steps on several hosts have an order between them: only what repairs
 * is done, which is right whoever does it. Everything else waits for the Lease, and past the limit the run says so.
 */
function onlyRepairs(decide: Decide, held: HeldLease, limit: number): Decide {
  let missingSince: number | undefined;
  return (observed, goal, endpointOf) => {
    const decision = decide(observed, goal, endpointOf);
    const missing = held.missing();
    if (missing === undefined) missingSince = undefined;
    if (missing === undefined || decision.kind !== "act") return decision;
    if (decideBy(repairRules, [], observed, goal, endpointOf).kind === "act") return decision;
    missingSince ??= observed.now;
    const { stage } = decision;
    const reason = `the Lease that keeps a second engine out: ${missing}`;
    if (observed.now - missingSince <= limit) return { kind: "wait", stage, reason };
    return {
      kind: "blocked",
      stage,
      reason: `only repairs are done without ${reason}`,
      remedy:
        "mend what keeps the API servers from answering, then run again; where no second engine can be, --without-lease (withoutLease of an EncryptionRollout) does without",
    };
  };
}
