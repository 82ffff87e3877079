/** Every leg that lies ahead, if nothing fails and nobody interferes: what a preview shows. Pure. */

import type { KmsSettings } from "./kms-settings";
import { type Leg, nextLeg, type ObservedCluster, writerOf } from "./next-leg";

/** More than the longest way has; a way that does not end would be a defect of `nextLeg`. */
const mostLegs = 20;

export function predictLegs(observed: ObservedCluster, goal: KmsSettings): readonly Leg[] {
  const legs: Leg[] = [];
  let cluster = observed;
  while (legs.length < mostLegs) {
    const leg = nextLeg(cluster, goal);
    if (leg.kind === "done") return legs;
    legs.push(leg);
    if (leg.kind === "blocked") return legs;
    cluster = after(cluster, leg);
  }
  return legs;
}

function after(cluster: ObservedCluster, leg: Exclude<Leg, { kind: "done" | "blocked" }>): ObservedCluster {
  switch (leg.kind) {
    case "wait":
      return { ...cluster, provisioningState: "Succeeded" };
    case "rewrite":
      return { ...cluster, storedUnder: leg.under, rewrittenSinceFailure: true };
    case "vault":
      return { ...cluster, vaultNetwork: leg.network };
    case "set":
      return {
        ...cluster,
        provisioningState: "Succeeded",
        kms: leg.settings,
        storedUnder: writerOf(leg.settings) === writerOf(cluster.kms) ? cluster.storedUnder : undefined,
      };
  }
}
