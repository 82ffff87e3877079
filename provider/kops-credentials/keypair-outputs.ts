/** What kOps' keypairs look like in the outputs: numbers, which are public, and how far the rotation is. */
import { KeypairStage } from "../../core/keypair-stage";
import type { KeypairsSeen } from "../../rotation/adapters/kops-credentials/keypair-decision";
import { type Keypair, type Keyset, kubernetesCa } from "../../rotation/adapters/kops-credentials/keypairs";
import type { Properties } from "../property-values";

export function keypairOutputs(
  { keysets }: KeypairsSeen,
  madeBefore: number,
  wanted: readonly string[] | "all",
  waitingFor: string | undefined,
): Properties {
  const rotated = keysets.filter(({ name }) => wanted === "all" || wanted.includes(name));
  const stages = rotated.map((keyset) => stageOf(keyset, madeBefore));
  const order = Object.values(KeypairStage);
  const ca = keysets.find(({ name }) => name === kubernetesCa);
  const newest = ca?.keypairs.filter((keypair) => isNew(keypair, madeBefore) && isTrusted(keypair)).at(-1);
  return {
    // The rotation is as far as the keyset that is the furthest behind.
    stage: order.find((stage) => stages.includes(stage)) ?? KeypairStage.None,
    keypairs: keysets.map(({ name, keypairs }) => ({
      keyset: name,
      primaryId: keypairs.find(({ isPrimary }) => isPrimary)?.id ?? "",
      trustedIds: keypairs.filter((keypair) => !keypair.isPrimary && isTrusted(keypair)).map(({ id }) => id),
      distrustedIds: keypairs.filter((keypair) => !isTrusted(keypair)).map(({ id }) => id),
    })),
    ...(newest === undefined ? {} : { newKeypairId: newest.id }),
    ...(waitingFor === undefined ? {} : { waitingFor }),
  };
}

function stageOf({ keypairs }: Keyset, madeBefore: number): KeypairStage {
  const trusted = keypairs.filter(isTrusted);
  const isPromoted = trusted.some((keypair) => keypair.isPrimary && isNew(keypair, madeBefore));
  const hasNew = trusted.some((keypair) => isNew(keypair, madeBefore));
  const hasPrevious = trusted.some((keypair) => !isNew(keypair, madeBefore));
  if (isPromoted) return hasPrevious ? KeypairStage.Promote : KeypairStage.Distrust;
  return hasNew ? KeypairStage.Stage : KeypairStage.None;
}

function isNew({ madeAt }: Keypair, madeBefore: number): boolean {
  return madeAt >= madeBefore;
}

function isTrusted({ distrustedAt }: Keypair): boolean {
  return distrustedAt === undefined;
}
