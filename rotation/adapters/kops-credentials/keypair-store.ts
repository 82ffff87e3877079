/** The rotation of keypairs as the loop and the preview need it. */

import { type DecideKeypairs, decideKeypairs } from "./decide-keypairs";
import type { CredentialFacts, FleetSeen } from "./fleet-decision";
import { validationKey } from "./fleet-decision";
import type { KeypairAction, KeypairGoal, KeypairsSeen } from "./keypair-decision";
import { type Keyset, keypairsFingerprint, kubernetesCa } from "./keypairs";
import type { KopsFleet } from "./kops-fleet";
import type { KopsKeypairs } from "./kops-keypairs";
import type { Foresight } from "./predict-steps";
import type { CredentialStore } from "./run-credentials";

export interface KeypairStoreOptions {
  readonly goal: KeypairGoal;
  /** Fingerprint that an earlier run has brought to every machine, where there was one. */
  readonly settled: string | undefined;
  readonly keypairs: KopsKeypairs;
  readonly fleet: Pick<KopsFleet, "look" | "mark">;
  readonly now?: () => number;
  /** Default: `decideKeypairs`. The tests take rules away, to see that it is noticed. */
  readonly decide?: DecideKeypairs;
}

export type KeypairStore = CredentialStore<KeypairsSeen, KeypairAction> & Foresight<KeypairsSeen, KeypairAction>;

export function createKeypairStore(options: KeypairStoreOptions): KeypairStore {
  const { goal, settled, keypairs, fleet, now = Date.now, decide = decideKeypairs } = options;
  const fingerprint = ({ keysets }: KeypairsSeen) => keypairsFingerprint(keysets);
  return {
    fingerprint,
    validationKey: (seen) => validationKey({ fleet: seen.fleet, fingerprint: fingerprint(seen) }),
    async observe(appliedFor, signal) {
      const { keysets, hasOwnCertificate } = await keypairs.look(signal);
      const isApplied = appliedFor === keypairsFingerprint(keysets);
      return { now: now(), keysets, hasOwnCertificate, fleet: await fleet.look(isApplied, signal) };
    },
    decide: (seen, facts: CredentialFacts) => decide({ ...seen, facts, settled }, goal),
    async carryOut(action, seen, signal) {
      // Before it: a run that is killed between the two replaces machines once more than needed, and never too few.
      if (action.kind === "trust") await fleet.mark(seen.fleet.machines.map(({ name }) => name));
      await keypairs.change(action, signal);
    },
    describe: describeKeypairAction,
    afterUpdate: ({ fleet: { machines } }) => {
      // What was pending before this run is told by the update alone; so every machine may be old then.
      if (!machines.some(({ needsUpdate }) => needsUpdate))
        return machines.map((one) => ({ ...one, needsUpdate: true }));
      return machines;
    },
    after: (action, seen) => ({
      ...seen,
      keysets: seen.keysets.map((keyset) => changed(keyset, action, seen.now)),
      fleet: {
        ...seen.fleet,
        pending: true,
        machines: seen.fleet.machines.map((machine) => ({
          ...machine,
          needsUpdate: machine.needsUpdate || reaches(action, roleOf(seen.fleet, machine.group)),
        })),
        mustGo: action.kind === "trust" ? seen.fleet.machines.map(({ name }) => name) : seen.fleet.mustGo,
      },
    }),
  };
}

/** Whether new nodes can't join for a while: they and kops-controller know each other by kubernetes-ca (the kOps guide, step 3). */
export function pausesScaleUp(action: { readonly kind: string }): boolean {
  const { kind, keypairs } = action as Partial<Extract<KeypairAction, { kind: "promote" }>>;
  return kind === "promote" && keypairs?.some(({ keyset }) => keyset === kubernetesCa) === true;
}

function describeKeypairAction(action: KeypairAction): string {
  if (action.kind === "create") return `kops create keypair ${action.keysets.join(", ")}`;
  return `kops ${action.kind} keypair ${action.keypairs.map(({ keyset, id }) => `${keyset} ${id === unmade ? "(new)" : id}`).join(", ")}`;
}

function roleOf({ groups }: FleetSeen, group: string): string | undefined {
  return groups.find(({ name }) => name === group)?.role;
}

/** Whether a change of these keysets changes what machines of the role get: workers know of kubernetes-ca alone. */
function reaches(action: KeypairAction, role: string | undefined): boolean {
  if (role === "ControlPlane" || role === "APIServer") return true;
  const keysets = action.kind === "create" ? action.keysets : action.keypairs.map(({ keyset }) => keyset);
  return role === "Node" && keysets.includes(kubernetesCa);
}

/** Stands for a keypair that is not made yet; kOps takes the greater number for the newer one. */
const unmade = `${1n << 96n}`;

function changed(keyset: Keyset, action: KeypairAction, now: number): Keyset {
  if (action.kind === "create") {
    if (!action.keysets.includes(keyset.name)) return keyset;
    const made = { id: unmade, isPrimary: false, hasPrivateKey: true, madeAt: now, distrustedAt: undefined };
    return { ...keyset, keypairs: [...keyset.keypairs, { ...made, expiresAt: Number.POSITIVE_INFINITY }] };
  }
  const ids = action.keypairs.filter((each) => each.keyset === keyset.name).map(({ id }) => id);
  if (ids.length === 0) return keyset;
  return {
    ...keyset,
    keypairs: keyset.keypairs.map((keypair) => {
      if (action.kind === "promote") return { ...keypair, isPrimary: ids.includes(keypair.id) };
      if (!ids.includes(keypair.id)) return keypair;
      return { ...keypair, distrustedAt: action.kind === "distrust" ? now : undefined };
    }),
  };
}
