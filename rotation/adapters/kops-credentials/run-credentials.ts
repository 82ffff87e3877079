/** The loop of both rotations: look, decide, do one thing, look again. */
import { describeError, KmsEtcdError } from "../../../core/errors";
import { type Clock, systemClock } from "../../clock";
import { countRepetitions, mayPass, sameActions, transientRetries, withRetries } from "../../patience";
import {
  type CredentialDecision,
  type CredentialFacts,
  type FleetAction,
  type FleetSeen,
  freshFacts,
  validationKey,
} from "./fleet-decision";
import type { KopsFleet } from "./kops-fleet";

/** What is rotated: a part of kOps' store. */
export interface CredentialStore<Seen extends { readonly fleet: FleetSeen }, Action> {
  /** `appliedFor`: the fingerprint of the store for which an update is known to have nothing left to do. */
  observe(appliedFor: string | undefined, signal: AbortSignal): Promise<Seen>;
  fingerprint(seen: Seen): string;
  decide(seen: Seen, facts: CredentialFacts): CredentialDecision<Action>;
  carryOut(action: Action, seen: Seen, signal: AbortSignal): Promise<void>;
  describe(action: Action): string;
}

export interface CredentialRunOptions<Seen extends { readonly fleet: FleetSeen }, Action> {
  readonly store: CredentialStore<Seen, Action>;
  readonly fleet: Pick<KopsFleet, "update" | "roll" | "validate">;
  readonly onEvent: (event: CredentialEvent) => void;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

export interface CredentialEvent {
  readonly kind: "action" | "warning";
  readonly message: string;
}

export interface CredentialOutcome<Seen> {
  /** `waiting`: everything that could be done is done, and the input that `waitingFor` names is needed. */
  readonly kind: "done" | "waiting" | "blocked" | "cancelled";
  readonly reason?: string;
  readonly remedy?: string;
  readonly waitingFor?: { readonly input: string; readonly value: string };
  readonly seen: Seen;
  /** Whether every machine has what the store says, and the cluster was seen valid since. */
  readonly isSettled: boolean;
}

const retryPause = 2_000;

export async function runCredentials<
  Seen extends { readonly fleet: FleetSeen },
  Action extends { readonly kind: string },
>(options: CredentialRunOptions<Seen, Action>): Promise<CredentialOutcome<Seen>> {
  const { store, fleet, signal, onEvent, clock = systemClock } = options;
  let facts: CredentialFacts = freshFacts;
  /** What failed and does not pass by itself: the run ends with it. */
  let failed: string | undefined;
  let failures = 0;
  const repetitions = countRepetitions();
  const pause = (tries: number) => clock.sleep(retryPause * tries, signal);

  for (;;) {
    const seen = await withRetries(() => store.observe(facts.updatedFor, signal), pause, signal);
    const decision = store.decide(seen, facts);
    const end = (outcome: Omit<CredentialOutcome<Seen>, "seen" | "isSettled">) => ({
      ...outcome,
      seen,
      isSettled: outcome.kind === "done" || outcome.kind === "waiting",
    });
    if (signal.aborted) return end({ kind: "cancelled", reason: "stopped at a safe point" });
    if (failed !== undefined) return end({ kind: "blocked", reason: failed, remedy: "mend what kOps names" });
    if (decision.kind === "done") return end({ kind: "done" });
    if (decision.kind === "blocked") return end(decision);
    if (decision.kind === "waiting") {
      const { input, value, reason } = decision;
      return end({ kind: "waiting", reason, waitingFor: { input, value } });
    }
    if (decision.kind === "act" && isInVain(decision.action)) {
      const reason = `"${describeStep(decision.action)}" was done ${sameActions} times, and nothing of it can be seen`;
      return end({ kind: "blocked", reason, remedy: "see whether something else changes it back" });
    }
    await guarded(() => (decision.kind === "act" ? act(decision.action, seen) : validate(seen)));
  }

  async function act(action: Action | FleetAction, seen: Seen): Promise<void> {
    onEvent({ kind: "action", message: describeStep(action) });
    if (isFleetAction(action)) {
      if (action.kind === "update") {
        await fleet.update(signal);
        facts = { ...facts, updatedFor: store.fingerprint(seen) };
        return;
      }
      const failure = await fleet.roll(action.group, action.force, signal);
      failed = failure?.reason;
      return;
    }
    // Before the call: one that fails may have changed the store all the same.
    facts = { ...facts, changed: true, updatedFor: undefined, validation: undefined };
    await store.carryOut(action, seen, signal);
  }

  async function validate(seen: Seen): Promise<void> {
    onEvent({ kind: "action", message: "kops validate cluster" });
    const failure = await fleet.validate(signal);
    const of = validationKey({ fleet: seen.fleet, fingerprint: store.fingerprint(seen) });
    facts = { ...facts, validation: { of, failure } };
  }

  function describeStep(action: Action | FleetAction): string {
    return isFleetAction(action) ? describeFleetAction(action) : store.describe(action);
  }

  /** What passes by itself is tried again; anything else ends the run, with kOps' own words. */
  async function guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      failures = 0;
    } catch (thrown) {
      if (!(thrown instanceof KmsEtcdError) || thrown.code === "internal") throw thrown;
      if (thrown.code === "cancelled") return;
      const reason = describeError(thrown);
      if (mayPass(thrown) && (failures += 1) <= transientRetries) {
        onEvent({ kind: "warning", message: `${reason}; trying again` });
        await pause(failures);
      } else failed = reason;
    }
  }

  function isInVain(action: Action | FleetAction): boolean {
    return repetitions(action) > sameActions;
  }
}

export function isFleetAction(action: { readonly kind: string }): action is FleetAction {
  return action.kind === "update" || action.kind === "roll";
}

export function describeFleetAction(action: FleetAction): string {
  return action.kind === "update"
    ? "kops update cluster --yes"
    : `kops rolling-update cluster --instance-group ${action.group}${action.force ? " --force" : ""} --yes`;
}
