/** What is done around a run of the engine, whichever it is: to keys, under the same Lease, because another engine may need the key that is retired. */
import { KmsEtcdError } from "../core/errors";
import { RotationStage } from "../core/rotation-stage";
import type { HeldLease } from "./engine-lease";
import type { RotationOutcome } from "./run";

/** How a run ended, whatever engine it was. */
type End = Pick<RotationOutcome, "kind" | "stage" | "reason" | "remedy">;

export interface KeyWork<Outcome extends End = RotationOutcome> {
  /** Before the run, which may need the keys. It takes nothing from anybody, so it is done without the Lease too. */
  reinstate(signal: AbortSignal): Promise<void>;
  /** After a run that has got to the end. Throws KmsEtcdError for what is refused. Absent: nothing is to be retired. */
  readonly retire?: (outcome: Outcome, signal: AbortSignal) => Promise<void>;
}

/**
 * `run` between the two. One that had to stop because the Lease went to another engine says so. A retirement that is refused, or fails, takes nothing away from what the run has done and proven: its
 * outcome is returned, with the refusal as what is left to do.
 */
export async function runWithKeys<Outcome extends End>(
  run: () => Promise<Outcome>,
  keys: KeyWork<Outcome>,
  held: Pick<HeldLease, "missing" | "lostTo"> | undefined,
  signal: AbortSignal,
): Promise<Outcome> {
  const outcome = await runBetween(run, keys, held, signal);
  const holder = outcome.kind === "cancelled" ? held?.lostTo() : undefined;
  if (holder === undefined) return outcome;
  return { ...outcome, reason: `stopped at a safe point, because ${holder} has taken over` };
}

/** Throws `blocked`: another engine may be at work, and on its way back to the key that would be retired. */
export function refuseWithoutLease(held: Pick<HeldLease, "missing"> | undefined): void {
  const missing = held?.missing();
  if (missing === undefined) return;
  throw new KmsEtcdError("blocked", `no key is retired without the Lease that keeps a second engine out: ${missing}`, {
    remedy:
      "mend what keeps the API servers from answering, then run again; where no second engine can be, --without-lease (withoutLease of an EncryptionRollout) does without",
  });
}

async function runBetween<Outcome extends End>(
  run: () => Promise<Outcome>,
  { reinstate, retire }: KeyWork<Outcome>,
  held: Pick<HeldLease, "missing"> | undefined,
  signal: AbortSignal,
): Promise<Outcome> {
  await reinstate(signal);
  const outcome = await run();
  if (retire === undefined || outcome.kind !== "done" || outcome.stage !== RotationStage.Prune) return outcome;
  try {
    refuseWithoutLease(held);
    await retire(outcome, signal);
    return outcome;
  } catch (thrown) {
    if (signal.aborted) return { ...outcome, kind: "cancelled", reason: "stopped while keys were being retired" };
    if (!(thrown instanceof KmsEtcdError) || thrown.code === "internal") throw thrown;
    const { message: reason, remedy } = thrown;
    return { ...outcome, kind: "blocked", reason, ...(remedy !== undefined && { remedy }) };
  }
}
