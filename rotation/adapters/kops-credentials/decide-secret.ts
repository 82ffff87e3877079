/**
 * The one next thing to do with a secret of kOps that is replaced by another text. Pure.
 *
 * Cilium reads its keys from the cluster, into which `kops update cluster` brings them. The Docker configuration is read by machines
 * when they boot, and kOps names no machine as old after it was replaced: so every machine that is there is replaced by force.
 */
import { ciliumKeyNumber } from "../../../core/credential-inputs";
import { ReplaceableSecret } from "../../../core/replaceable-secret";
import type { CredentialDecision, CredentialFacts, FleetSeen } from "./fleet-decision";
import { finishRollout } from "./fleet-decision";

export interface SecretGoal {
  readonly secret: ReplaceableSecret;
  readonly text: string;
}

export interface SecretSeen {
  /** As kOps' store has it; undefined where there is none. */
  readonly text: string | undefined;
  /** A hash of it. */
  readonly fingerprint: string;
  readonly fleet: FleetSeen;
}

/** `kops create secret NAME --force`, after what is there was kept. */
export interface SecretAction {
  readonly kind: "put";
  /** Fingerprint of what it replaces. */
  readonly expected: string;
}

export function decideSecret(
  seen: SecretSeen & { readonly facts: CredentialFacts; readonly settled: string | undefined },
  { secret, text }: SecretGoal,
): CredentialDecision<SecretAction> {
  const { facts, fingerprint, fleet } = seen;
  if (seen.text !== text) {
    if (facts.changed) {
      return {
        kind: "blocked",
        reason: `somebody else has changed the ${secret} secret since this run replaced it`,
        remedy: "agree on one text",
      };
    }
    const reused = numberIsReused(secret, seen.text, text);
    if (reused !== undefined) return reused;
    const reason = seen.text === undefined ? "there is no such secret yet" : "the secret has another text";
    return { kind: "act", action: { kind: "put", expected: fingerprint }, reason };
  }
  if (facts.changed && facts.updatedFor !== fingerprint) {
    return { kind: "act", action: { kind: "update" }, reason: "the secret was replaced" };
  }
  return finishRollout({ ...seen, fleet: ofThisSecret(secret, fleet) }) ?? { kind: "done" };
}

/** With the same number, agents take the other key for the one that they have, and drop each other's packets. */
function numberIsReused(
  secret: ReplaceableSecret,
  before: string | undefined,
  after: string,
): CredentialDecision<SecretAction> | undefined {
  if (secret !== ReplaceableSecret.CiliumPassword || before === undefined) return undefined;
  const number = ciliumKeyNumber(before);
  if (number === undefined || number !== ciliumKeyNumber(after)) return undefined;
  return {
    kind: "blocked",
    reason: `the IPsec key in use has the number ${number} too, so Cilium can't tell them apart`,
    remedy: "give the new key the next number; 1 comes after 15",
  };
}

/** What kOps calls old is not so by this secret's doing. */
function ofThisSecret(secret: ReplaceableSecret, fleet: FleetSeen): FleetSeen {
  const { groups, machines, mustGo } = fleet;
  const current = machines.map((machine) => ({ ...machine, needsUpdate: false }));
  const isCilium = secret === ReplaceableSecret.CiliumPassword;
  return isCilium
    ? { groups, machines, mustGo, pending: fleet.pending }
    : { groups, machines: current, mustGo, pending: false };
}
