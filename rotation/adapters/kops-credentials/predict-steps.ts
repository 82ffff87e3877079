/** What a run would do, step by step, by letting it decide about what it would have done: for the preview. */
import type { CredentialDecision, CredentialFacts, FleetAction, FleetMachine, FleetSeen } from "./fleet-decision";
import { freshFacts } from "./fleet-decision";
import { describeFleetAction, isFleetAction } from "./run-credentials";

export interface Foresight<Seen extends { readonly fleet: FleetSeen }, Action> {
  decide(seen: Seen, facts: CredentialFacts): CredentialDecision<Action>;
  describe(action: Action): string;
  /** What would be seen after it. */
  after(action: Action, seen: Seen): Seen;
  /** What `kops rolling-update` would say after an update. */
  afterUpdate(seen: Seen): readonly FleetMachine[];
  validationKey(seen: Seen): string;
}

export interface PlannedSteps<Action> {
  readonly lines: readonly string[];
  readonly actions: readonly (Action | FleetAction)[];
  /** Why a run would stop before its goal. */
  readonly blocked?: string;
  readonly waitingFor?: { readonly input: string; readonly value: string };
}

/** More than that is a decision that goes in circles. */
const mostSteps = 200;

export function predictSteps<Seen extends { readonly fleet: FleetSeen }, Action extends { readonly kind: string }>(
  start: Seen,
  { decide, describe, after, afterUpdate, validationKey }: Foresight<Seen, Action>,
): PlannedSteps<Action> {
  const lines: string[] = [];
  const actions: (Action | FleetAction)[] = [];
  let facts: CredentialFacts = freshFacts;
  let seen = start;
  for (let step = 0; step < mostSteps; step += 1) {
    const decision = decide(seen, facts);
    if (decision.kind === "done") return { lines, actions };
    if (decision.kind === "blocked") {
      return { lines, actions, blocked: `${decision.reason}; ${decision.remedy}` };
    }
    if (decision.kind === "waiting") {
      const { input, value } = decision;
      // The number of a keypair that is not made yet is not known yet.
      lines.push(`wait for ${input}: ${decision.reason}`);
      return { lines, actions, waitingFor: { input, value } };
    }
    if (decision.kind === "validate") {
      if (lines.at(-1) !== validate) lines.push(validate);
      facts = { ...facts, validation: { of: validationKey(seen), failure: undefined } };
      continue;
    }
    const { action } = decision;
    actions.push(action);
    if (isFleetAction(action)) {
      lines.push(describeFleetAction(action));
      const fleet =
        action.kind === "update"
          ? { ...seen.fleet, pending: false, machines: afterUpdate(seen) }
          : afterRoll(action.group, seen.fleet);
      seen = { ...seen, fleet };
    } else {
      lines.push(describe(action));
      facts = { ...facts, changed: true };
      seen = after(action, seen);
    }
  }
  return { lines, actions };
}

const validate = "kops validate cluster";

function afterRoll(rolled: string, fleet: FleetSeen): FleetSeen {
  const isReplaced = ({ group }: FleetMachine) => group === rolled;
  const replaced = fleet.machines.filter(isReplaced).map(({ name }) => name);
  return {
    ...fleet,
    machines: fleet.machines.map((machine) => (isReplaced(machine) ? { ...machine, needsUpdate: false } : machine)),
    mustGo: fleet.mustGo.filter((name) => !replaced.includes(name)),
  };
}
