/** An open cluster, whatever its platform: what the Pulumi provider and the command line hand to the engine. */
import type { Fleet } from "./fleet";
import type { AloneBy } from "./run-alone";
import type { StoredObjects } from "./stored-objects";

export interface Cluster {
  readonly fleet: Fleet;
  readonly stored: StoredObjects;
  /** The API servers that the platform lists, by name. */
  readonly servers: readonly string[];
  /** How a second engine is kept out while a run changes the cluster. Looking needs no leave. */
  readonly alone?: AloneBy;
}

/** Closes every connection, also after a failure. */
export async function closeCluster({ fleet, stored, alone }: Cluster): Promise<void> {
  await Promise.all([stored.close(), fleet.close(), alone?.lease.close()]);
}
