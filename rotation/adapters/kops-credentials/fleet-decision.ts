/**
 * What both rotations here have in common: a change in kOps' store reaches nobody until the groups were told (`kops update cluster`)
 * and machines were replaced (`kops rolling-update cluster`). Pure.
 */

/** Every machine of a cluster, of all roles: credentials of kOps reach workers too. */
export interface FleetSeen {
  readonly groups: readonly MachineGroup[];
  readonly machines: readonly FleetMachine[];
  /** Whether an update would change what some group's new machines get. */
  readonly pending: boolean;
  /** Machines that must be replaced although kOps itself takes them for current. Some may be gone. */
  readonly mustGo: readonly string[];
}

export interface MachineGroup {
  readonly name: string;
  readonly role: string;
}

export interface FleetMachine {
  /** The cloud's id: another machine never has the same. */
  readonly name: string;
  readonly group: string;
  readonly needsUpdate: boolean;
}

/** What this run has done and measured. Losing it costs time and nothing else. */
export interface CredentialFacts {
  /** The store, as its fingerprint names it, for which an update of this run has ended well. */
  readonly updatedFor: string | undefined;
  /** What `kops validate cluster` said of these machines under this store. */
  readonly validation: { readonly of: string; readonly failure: string | undefined } | undefined;
  /** Whether this run has changed the store. */
  readonly changed: boolean;
}

export const freshFacts: CredentialFacts = {
  updatedFor: undefined,
  validation: undefined,
  changed: false,
};

export type FleetAction =
  /** `kops update cluster --yes`: running machines stay as they are. */
  | { readonly kind: "update" }
  /** `kops rolling-update cluster --yes` of one group, `--force`: of all its machines. */
  | { readonly kind: "roll"; readonly group: string; readonly force: boolean };

export type CredentialDecision<Action> =
  | { readonly kind: "act"; readonly action: Action | FleetAction; readonly reason: string }
  | { readonly kind: "validate"; readonly reason: string }
  /** Nothing is wrong: somebody has to do something outside, and say so in this input. */
  | { readonly kind: "waiting"; readonly input: string; readonly value: string; readonly reason: string }
  | { readonly kind: "blocked"; readonly reason: string; readonly remedy: string }
  | { readonly kind: "done" };

export interface FleetSituation {
  readonly fleet: FleetSeen;
  readonly facts: CredentialFacts;
  /** Of the store as it is. */
  readonly fingerprint: string;
  /** The store that an earlier run has brought to every machine: what kOps says is old since then is somebody else's change. */
  readonly settled: string | undefined;
}

/** kOps' own order (kops pkg/instancegroups/rollingupdate.go): a worker joins through a control plane that trusts it. */
const roles = ["Bastion", "ControlPlane", "APIServer", "Node"];

/** The next thing that brings the store to every machine; undefined when it is there. */
export function finishRollout(situation: FleetSituation): CredentialDecision<never> | undefined {
  const { fleet, fingerprint, settled } = situation;
  const forced = mustGo(fleet);
  if (fingerprint === settled && forced.length === 0) return undefined;
  const trouble = whatIsAmiss(situation);
  if (trouble !== undefined) return trouble;
  if (fleet.pending) {
    return { kind: "act", action: { kind: "update" }, reason: "what is in the store was not told to the groups" };
  }
  for (const { name } of inRollingOrder(fleet.groups)) {
    const machines = fleet.machines.filter((machine) => machine.group === name);
    const force = machines.some((machine) => forced.includes(machine.name));
    if (!force && !machines.some((machine) => machine.needsUpdate)) continue;
    return { kind: "act", action: { kind: "roll", group: name, force }, reason: `machines of ${name} are old` };
  }
  return validated(situation);
}

/** Undefined once this run has seen the cluster valid with these machines. The exit code of a roll proves nothing. */
export function validated(situation: FleetSituation): CredentialDecision<never> | undefined {
  const { facts } = situation;
  if (facts.validation?.of !== validationKey(situation)) {
    return { kind: "validate", reason: "whether the cluster is valid was not looked at since it changed" };
  }
  if (facts.validation.failure === undefined) return undefined;
  return {
    kind: "blocked",
    reason: `the cluster is not valid: ${facts.validation.failure}`,
    remedy: "mend what kOps names",
  };
}

export function validationKey({ fleet, fingerprint }: Pick<FleetSituation, "fleet" | "fingerprint">): string {
  const machines = fleet.machines.map(({ name, needsUpdate }) => `${name}${needsUpdate ? "!" : ""}`).sort();
  return `${fingerprint} ${machines.join(",")}`;
}

/** Of those that must go, the ones that are still there. */
export function mustGo({ mustGo: ids, machines }: FleetSeen): readonly string[] {
  return ids.filter((id) => machines.some(({ name }) => name === id));
}

function inRollingOrder(groups: readonly MachineGroup[]): readonly MachineGroup[] {
  const rank = ({ role }: MachineGroup) => (roles.includes(role) ? roles.indexOf(role) : roles.length);
  return [...groups].sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
}

function whatIsAmiss({ fleet }: FleetSituation): CredentialDecision<never> | undefined {
  const lost = fleet.machines.find(({ group }) => !fleet.groups.some(({ name }) => name === group));
  if (lost !== undefined) {
    return {
      kind: "blocked",
      reason: `${lost.name} belongs to no instance group of the cluster, so no roll replaces it`,
      remedy: "terminate it, or bring its group back",
    };
  }
  if (fleet.machines.length === 0) {
    return {
      kind: "blocked",
      reason: "the cluster has no machines",
      remedy: "create it first: kops update cluster --yes",
    };
  }
  return undefined;
}
