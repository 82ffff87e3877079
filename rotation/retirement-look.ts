/** A look at a cluster for retiring keys: its servers, everything that is stored, and the snapshots that are kept. */
import { keptSnapshots } from "./adapters/etcd/kept-snapshots";
import type { Cluster } from "./cluster";
import { firstObservation } from "./first-observation";
import type { Goal } from "./goal";
import { serverStates } from "./proofs";
import type { RetirementView } from "./retire-keys";
import { situationOf } from "./situation";

/**
 * `snapshotDirectories`: where snapshots were kept before, beside where the goal has them. Without a way to etcd, what is stored is proven through the API,
 * which offers every object for a no-op write.
 */
export async function retirementLook(
  { fleet, stored }: Pick<Cluster, "fleet" | "stored">,
  goal: Goal,
  signal: AbortSignal,
  snapshotDirectories: readonly string[] = [],
): Promise<RetirementView> {
  const endpointOf = fleet.endpoint.bind(fleet);
  const seen = await fleet.observe(signal);
  const observed = firstObservation(seen, Date.now());
  const kept = await keptSnapshots([
    ...snapshotDirectories,
    ...(goal.etcdSnapshot ? [goal.etcdSnapshot.directory] : []),
  ]);
  const nothing = () => undefined;
  if (stored.countEverything !== undefined) {
    return { observed, goal, endpointOf, ...kept, inEtcd: await stored.countEverything(nothing, signal) };
  }
  const { targets } = situationOf(observed, goal, endpointOf);
  const proof = await stored.measure(targets, serverStates(observed.servers), nothing, signal);
  const etcd = await stored.position?.(signal);
  return { observed: { ...observed, stored: proof, ...(etcd && { etcd }) }, goal, endpointOf, ...kept };
}
