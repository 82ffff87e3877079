/**
 * The one next thing to do with kOps' keypairs. Pure; where to start reading.
 *
 * What lies behind each rule: whatever a machine or client presents must be trusted by everybody at every moment. So a keypair issues only
 * after every machine trusts it, and is distrusted only after nothing uses what it has issued. To trust one more is always safe, and so
 * is to go back to one that everybody still trusts: both are done at once, also while a roll can't be finished.
 */
import { KmsEtcdError } from "../../../core/errors";
import { isAtLeast, KeypairStage } from "../../../core/keypair-stage";
import { type FleetSituation, finishRollout, mustGo, validated } from "./fleet-decision";
import type { KeypairDecision, KeypairGoal, KeypairName, KeypairObservation } from "./keypair-decision";
import { type KeysetSituation, keysetSituations, previousPrimary } from "./keypair-situation";
import { keypairsFingerprint, kubernetesCa } from "./keypairs";

export interface KeypairSituation extends FleetSituation {
  readonly observed: KeypairObservation;
  readonly goal: KeypairGoal;
  readonly keysets: readonly KeysetSituation[];
}

export type KeypairRule = (situation: KeypairSituation) => KeypairDecision | undefined;

/** The order is the meaning: what makes things safer, then what was begun, then what was asked for. */
export const keypairRules: readonly KeypairRule[] = [
  previousOnesAreTrustedAgain,
  previousOnesIssueAgain,
  newOnesAreMade,
  everyMachineHasWhatTheStoreSays,
  previousOnesIssueAgainAfterAll,
  stagedOnesAreDistrusted,
  newOnesIssue,
  previousOnesAreDistrusted,
];

export type DecideKeypairs = (observed: KeypairObservation, goal: KeypairGoal) => KeypairDecision;

export const decideKeypairs: DecideKeypairs = (observed, goal) => decideKeypairsBy(keypairRules, observed, goal);

/** `decideKeypairs` with other rules: the tests use it to show that each one is needed. */
export function decideKeypairsBy(
  rules: readonly KeypairRule[],
  observed: KeypairObservation,
  goal: KeypairGoal,
): KeypairDecision {
  try {
    const { fleet, facts, settled } = observed;
    const fingerprint = keypairsFingerprint(observed.keysets);
    const situation = { observed, goal, fleet, facts, settled, fingerprint, keysets: keysetSituations(observed, goal) };
    for (const rule of rules) {
      const decision = rule(situation);
      if (decision !== undefined) return decision;
    }
    return { kind: "done" };
  } catch (thrown) {
    if (!(thrown instanceof KmsEtcdError)) throw thrown;
    return { kind: "blocked", reason: thrown.message, remedy: thrown.remedy ?? "mend it" };
  }
}

/** Back from Distrust. Machines that have booted since don't trust them, whatever kOps takes them for: so all are replaced. */
export function previousOnesAreTrustedAgain({ goal, keysets }: KeypairSituation): KeypairDecision | undefined {
  if (isAtLeast(goal.advanceTo, KeypairStage.Distrust)) return undefined;
  const keypairs = keysets.flatMap(({ name, distrusted }) => named(name, distrusted));
  return act("trust", keypairs, "the previous keypairs are to be trusted");
}

/** Back from Promote. While a forced roll is under way, some machines may not trust them yet. */
export function previousOnesIssueAgain(situation: KeypairSituation): KeypairDecision | undefined {
  return mustGo(situation.fleet).length > 0 ? undefined : previousOnesIssueAgainAfterAll(situation);
}

export function previousOnesIssueAgainAfterAll({ goal, keysets }: KeypairSituation): KeypairDecision | undefined {
  if (isAtLeast(goal.advanceTo, KeypairStage.Promote)) return undefined;
  const keypairs = keysets.filter(({ isPromoted }) => isPromoted).flatMap((keyset) => previousPrimary(keyset) ?? []);
  return act("promote", keypairs, "the previous keypairs are to issue again");
}

export function newOnesAreMade({ goal, keysets }: KeypairSituation): KeypairDecision | undefined {
  if (!isAtLeast(goal.advanceTo, KeypairStage.Stage)) return undefined;
  const missing = keysets.filter(({ candidate }) => candidate === undefined).map(({ name }) => name);
  if (missing.length === 0) return undefined;
  return { kind: "act", action: { kind: "create", keysets: missing }, reason: "there are no new keypairs yet" };
}

export function everyMachineHasWhatTheStoreSays(situation: KeypairSituation): KeypairDecision | undefined {
  return finishRollout(situation);
}

/** Back from Stage. */
export function stagedOnesAreDistrusted({ goal, keysets }: KeypairSituation): KeypairDecision | undefined {
  if (isAtLeast(goal.advanceTo, KeypairStage.Stage)) return undefined;
  const keypairs = keysets.filter(({ isPromoted }) => !isPromoted).flatMap(({ name, staged }) => named(name, staged));
  const used = keypairs.find(({ keyset, id }) => keyset === kubernetesCa && id === goal.clientsUse);
  if (used === undefined) return act("distrust", keypairs, "what was staged is not wanted");
  return {
    kind: "blocked",
    reason: `clients use credentials of ${used.keyset} ${used.id}, as clientsUseKeypair says, so it can't be distrusted`,
    remedy: "give clients credentials of the primary keypair, and take clientsUseKeypair away",
  };
}

export function newOnesIssue(situation: KeypairSituation): KeypairDecision | undefined {
  const { goal, keysets, observed } = situation;
  if (!isAtLeast(goal.advanceTo, KeypairStage.Promote)) return undefined;
  const keypairs = keysets.flatMap(({ name, isPromoted, candidate }) =>
    isPromoted || candidate === undefined ? [] : [{ keyset: name, id: candidate.id }],
  );
  if (keypairs.length === 0) return undefined;
  const ca = keypairs.find(({ keyset }) => keyset === kubernetesCa);
  if (ca !== undefined && !observed.hasOwnCertificate && ca.id !== goal.clientsTrust) {
    const reason = "every client of the API has to trust the new CA first: give them the kubeconfig in the outputs";
    return { kind: "waiting", input: "clientsTrustKeypair", value: ca.id, reason };
  }
  return validated(situation) ?? act("promote", keypairs, "every machine trusts the new keypairs");
}

export function previousOnesAreDistrusted(situation: KeypairSituation): KeypairDecision | undefined {
  const { goal, keysets } = situation;
  if (!isAtLeast(goal.advanceTo, KeypairStage.Distrust)) return undefined;
  const promoted = keysets.filter(({ isPromoted }) => isPromoted);
  const keypairs = promoted.flatMap(({ name, previous }) => named(name, previous));
  if (keypairs.length === 0) return undefined;
  const ca = promoted.find(({ name, previous }) => name === kubernetesCa && previous.length > 0);
  if (ca !== undefined && ca.primary.id !== goal.clientsUse) {
    const reason =
      "every client of the API has to use credentials of the new CA first: adminKubeconfig in the outputs is one";
    return { kind: "waiting", input: "clientsUseKeypair", value: ca.primary.id, reason };
  }
  return validated(situation) ?? act("distrust", keypairs, "nothing uses the previous keypairs");
}

function named(keyset: string, keypairs: readonly { readonly id: string }[]): readonly KeypairName[] {
  return keypairs.map(({ id }) => ({ keyset, id }));
}

function act(
  kind: "promote" | "distrust" | "trust",
  keypairs: readonly KeypairName[],
  reason: string,
): KeypairDecision | undefined {
  return keypairs.length === 0 ? undefined : { kind: "act", action: { kind, keypairs }, reason };
}
