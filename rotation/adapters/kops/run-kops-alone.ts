/** `runKops` as the one engine at work on a cluster: what the Pulumi provider runs. */
import { KmsEtcdError } from "../../../core/errors";
import { RotationStage } from "../../../core/rotation-stage";
import { systemClock } from "../../clock";
import { type HeldLease, withEngineLease } from "../../engine-lease";
import { type KeyWork, runWithKeys } from "../../key-work";
import type { AloneBy } from "../../run-alone";
import type { RotationEvent } from "../../run-events";
import { type DecideKops, decideKops, decideKopsBy, type KopsRules, kopsRules } from "./decide-kops";
import { freshRun } from "./kops-observation";
import { theClusterIsValid } from "./rules/machine-rules";
import { type KopsOutcome, type KopsRunOptions, runKops } from "./run-kops";

export interface KopsAloneOptions extends KopsRunOptions {
  readonly alone: AloneBy;
  /** Work without the Lease where it cannot be had. */
  readonly withoutLease?: boolean;
  /** Done around the run. */
  readonly keys?: KeyWork<KopsOutcome>;
}

/**
 * While the only API server is being replaced nobody can renew the Lease; it is there again soon after. Where the new machine does not come
 * up, it is not, and the secret must go back without it.
 */
const leaseLimit = 60_000;
const lookAgain = 1_000;
const none: KeyWork<KopsOutcome> = { reinstate: async () => undefined };

const repairs: KopsRules = {
  ...{ repair: kopsRules.repair, finish: [theClusterIsValid] },
  ...{ spec: [], progress: [], beside: [], beginning: [] },
};

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
  const ended = (kind: KopsOutcome["kind"], reason: string): KopsOutcome => ({
    ...{ kind, stage: run.stage, reason },
    observed: { ...first, now: clock.now(), run: freshRun },
  });
  try {
    return await withEngineLease({ ...alone, withoutLease, signal, onEvent: say }, async (working, held) => {
      run.hasBegun = true;
      let isMissed = false;
      /** A look that finds the Lease gone waits for it, once, and is taken again: another engine may have been at work by then. */
      async function leased(stop: AbortSignal) {
        const seen = await kops.observe(stop);
        if (held.missing() === undefined) isMissed = false;
        if (held.missing() === undefined || isMissed) return seen;
        const since = clock.now();
        while (held.missing() !== undefined && !stop.aborted && clock.now() - since <= leaseLimit) {
          await clock.sleep(lookAgain, stop);
        }
        isMissed = held.missing() !== undefined;
        return stop.aborted ? seen : kops.observe(stop);
      }
      const decide = onlyRepairs(options.decide ?? decideKops, held);
      async function rotate(): Promise<KopsOutcome> {
        try {
          return await runKops({ ...options, onEvent, signal: working, decide, kops: { ...kops, observe: leased } });
        } catch (thrown) {
          // Before the run's own first look has ended there is the one before the Lease.
          if (!working.aborted || !(thrown instanceof KmsEtcdError)) throw thrown;
          return ended("cancelled", "stopped before anything was done");
        }
      }
      return runWithKeys(rotate, keys, held, working);
    });
  } catch (thrown) {
    // What the run itself throws is not of the Lease.
    if (run.hasBegun || !(thrown instanceof KmsEtcdError)) throw thrown;
    const kind = thrown.code === "cancelled" ? "cancelled" : "blocked";
    return { ...ended(kind, thrown.message), ...(thrown.remedy !== undefined && { remedy: thrown.remedy }) };
  }
}

/**
 * Without the Lease another engine may be at work, and most steps have an order: only what repairs is done, which is right whoever does
 * it. Looks change nothing.
 */
function onlyRepairs(decide: DecideKops, held: Pick<HeldLease, "missing">): DecideKops {
  return (observed, goal) => {
    const decision = decide(observed, goal);
    const missing = held.missing();
    if (missing === undefined || decision.kind !== "act") return decision;
    const repair = decideKopsBy(repairs, observed, goal);
    if (repair.kind === "act") return decision;
    // A killed run may have left what is to be repaired: validation shows it.
    if (repair.kind === "measure" && observed.ownChange?.replaced !== undefined) return repair;
    const failed = Object.values(observed.run.notLoaded).map(
      (reason) => `${reason}, and the secret of before is back; `,
    );
    const terminate =
      failed.length > 0 ? "terminate the machine that did not come up: its group makes one with that secret; " : "";
    return {
      kind: "blocked",
      stage: decision.stage,
      reason: `${failed.join("")}only repairs are done without the Lease that keeps a second engine out: ${missing}`,
      remedy: `${terminate}mend what keeps the API servers from answering, then run again; where no second engine can be, withoutLease does without it`,
    };
  };
}
