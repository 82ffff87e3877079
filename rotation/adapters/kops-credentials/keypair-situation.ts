/** Which keypairs are the previous ones and which the new ones: seen in the store, by when they were made, and in nothing else. */
import { KmsEtcdError } from "../../../core/errors";
import type { KeypairGoal, KeypairName, KeypairObservation } from "./keypair-decision";
import type { Keypair, Keyset } from "./keypairs";

export interface KeysetSituation {
  readonly name: string;
  readonly primary: Keypair;
  /** Whether the primary one is new. */
  readonly isPromoted: boolean;
  /** The new one that can be made primary, or is. */
  readonly candidate: Keypair | undefined;
  /** New ones that are trusted and not primary. */
  readonly staged: readonly Keypair[];
  /** Previous ones that are trusted. */
  readonly previous: readonly Keypair[];
  /** Previous ones that were distrusted since the new primary was made: this rotation has done that. */
  readonly distrusted: readonly Keypair[];
}

export function keysetSituations({ keysets, now }: KeypairObservation, goal: KeypairGoal): readonly KeysetSituation[] {
  if (goal.madeBefore > now) {
    throw new KmsEtcdError("invalid-input", "keypairs made before a moment in the future would be replaced for ever", {
      remedy: "write a moment that has passed",
    });
  }
  const wanted = goal.keysets === "all" ? keysets.map(({ name }) => name) : goal.keysets;
  return wanted.map((name) => {
    const keyset = keysets.find((candidate) => candidate.name === name);
    if (keyset !== undefined) return situationOf(keyset, goal.madeBefore, now);
    throw new KmsEtcdError("not-found", `the cluster has no keyset ${name} that can be rotated`, {
      remedy: `name some of ${keysets.map((each) => each.name).join(", ")}, or all`,
    });
  });
}

function situationOf({ name, keypairs }: Keyset, madeBefore: number, now: number): KeysetSituation {
  const primary = keypairs.find(({ isPrimary }) => isPrimary);
  if (primary === undefined) {
    throw new KmsEtcdError("invalid-input", `the keyset ${name} has no primary keypair`, {
      remedy: `promote one: kops promote keypair ${name} ID`,
    });
  }
  const isNew = (keypair: Keypair) => keypair.madeAt >= madeBefore;
  const isPromoted = isNew(primary);
  const trusted = keypairs.filter(({ distrustedAt }) => distrustedAt === undefined);
  const fresh = trusted.filter(isNew);
  const usable = fresh.filter(({ hasPrivateKey, expiresAt }) => hasPrivateKey && expiresAt > now);
  return {
    name,
    primary,
    isPromoted,
    candidate: isPromoted ? primary : usable.at(-1),
    staged: fresh.filter(({ id }) => id !== primary.id),
    previous: trusted.filter((keypair) => !isNew(keypair)),
    distrusted: keypairs.filter(
      (keypair) => isPromoted && !isNew(keypair) && (keypair.distrustedAt ?? 0) >= primary.madeAt,
    ),
  };
}

/** The keypair that issued before the new one, of those that can issue; undefined where there was none. */
export function previousPrimary({ name, previous }: KeysetSituation): KeypairName | undefined {
  const able = previous.filter(({ hasPrivateKey }) => hasPrivateKey);
  const [only] = able;
  if (only === undefined) return undefined;
  if (able.length === 1) return { keyset: name, id: only.id };
  const ids = able.map(({ id }) => id).join(", ");
  throw new KmsEtcdError("invalid-input", `${name} has more than one earlier keypair that is trusted (${ids})`, {
    remedy: `distrust those that were not in use: kops distrust keypair ${name} ID`,
  });
}
