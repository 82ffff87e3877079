/** `runKops` as the one engine at work on a cluster: what the Pulumi provider runs. */
import { KmsEtcdError } from "../../../core/errors";
import { RotationStage } from "../../../core/rotation-stage";
import { systemClock } from "../../clock";
import { withEngineLease } from "../../engine-lease";
import { type KeyWork, runWithKeys } from "../../key-work";
import type { AloneBy } from "../../run-alone";
import type { RotationEvent } from "../../run-events";
import { freshRun } from "./kops-observation";
import { type KopsOutcome, type KopsRunOptions, runKops } from "./run-kops";

export interface KopsAloneOptions extends Omit<KopsRunOptions, "decide"> {
  readonly alone: AloneBy;
  /** Work without the Lease where it cannot be had. */
  readonly withoutLease?: boolean;
  /** Done around the run. */
  readonly keys?: KeyWork<KopsOutcome>;
}

/** While the only API server is being replaced nobody can renew the Lease; it is there again soon after. */
const leaseLimit = 60_000;
const lookAgain = 1_000;
const none: KeyWork<KopsOutcome> = { reinstate: async () => undefined };

/**
 * Another engine at work is an outcome (`blocked`), and so is to lose the Lease to one in the middle (`cancelled`, at a safe point).
 * The Lease is kept through the machines' own API servers, so they are looked at first.
 */
export async function runKopsAlone(options: KopsAloneOptions): Promise<KopsOutcome> {
  const { alone, kops, signal, clock = systemClock, withoutLease = false, keys = none } = options;
  const first = await kops.observe(signal);
  if (first.isNew === true) {
    // There is no API server to keep a Lease; the store's own checks are all there is.
    await keys.reinstate(signal);
    return runKops({ ...options, kops: { ...kops, observe: whileNew } });
  }
  /** Once it is made, it is for an engine that holds the Lease. */
  async function whileNew(stop: AbortSignal) {
    const seen = await kops.observe(stop);
    if (seen.isNew === true) return seen;
    throw new KmsEtcdError("blocked", "kOps has made the cluster in the middle of this run", { remedy: "run again" });
  }
  const run = { hasBegun: false, stage: RotationStage.Plugin as RotationStage };
  const onEvent = (event: RotationEvent) => {
    run.stage = event.stage;
    options.onEvent(event);
  };
  const say = (kind: "waiting" | "warning", message: string) =>
    onEvent({ stage: run.stage, kind, message, at: clock.now() });
  try {
    return await withEngineLease({ ...alone, withoutLease, signal, onEvent: say }, async (working, held) => {
      run.hasBegun = true;
      /** A look that finds the Lease gone is of no use to decide on: another engine may be at work by then. */
      async function leased(stop: AbortSignal) {
        const seen = await kops.observe(stop);
        const since = clock.now();
        for (let missing = held.missing(); missing !== undefined && !stop.aborted; missing = held.missing()) {
          if (clock.now() - since > leaseLimit) {
            throw new KmsEtcdError("blocked", `the Lease that keeps a second engine out can't be had: ${missing}`, {
              remedy: "mend that; where no second engine can be, withoutLease does without it",
            });
          }
          await clock.sleep(lookAgain, stop);
        }
        return seen;
      }
      const rotate = () => runKops({ ...options, onEvent, signal: working, kops: { ...kops, observe: leased } });
      return runWithKeys(rotate, keys, held, working);
    });
  } catch (thrown) {
    // What the run itself throws is not of the Lease.
    if (run.hasBegun || !(thrown instanceof KmsEtcdError)) throw thrown;
    const observed = { ...first, now: clock.now(), run: freshRun };
    const kind = thrown.code === "cancelled" ? ("cancelled" as const) : ("blocked" as const);
    const remedy = thrown.remedy === undefined ? {} : { remedy: thrown.remedy };
    return { kind, stage: run.stage, reason: thrown.message, ...remedy, observed };
  }
}
