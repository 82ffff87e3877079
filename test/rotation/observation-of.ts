/** A look at a simulated cluster as a run would have it, with a fresh proof of what is stored where one can be had. */
import { firstObservation } from "../../rotation/first-observation";
import type { Goal } from "../../rotation/goal";
import type { Observation } from "../../rotation/observation";
import { serverStates } from "../../rotation/proofs";
import { situationOf } from "../../rotation/situation";
import type { SimulatedCluster } from "./simulated-cluster";

export async function observationOf(cluster: SimulatedCluster, goal: Goal): Promise<Observation> {
  const { signal } = new AbortController();
  const seen = await cluster.fleet.observe(signal);
  const etcd = await cluster.stored.position?.(signal);
  const bare = { ...firstObservation(seen, cluster.clock.now()), ...(etcd && { etcd }) };
  const { targets } = situationOf(bare, goal, cluster.fleet.endpoint.bind(cluster.fleet));
  const stored = await cluster.stored.measure(targets, serverStates(bare.servers), () => undefined, signal);
  const later = await cluster.stored.position?.(signal);
  return { ...bare, stored, ...(later && { etcd: later }) };
}
