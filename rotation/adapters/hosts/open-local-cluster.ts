/** Opens a control plane of this machine, by its description, for the engine. */
import type { Cluster } from "../../cluster";
import { readControlPlaneFile } from "./control-plane-file";
import { engineIdentity } from "./engine-identity";
import { createLocalEngineLease, createLocalFleet, createLocalStoredObjects } from "./local-fleet";

/** Throws `not-found` while there is no control plane. */
export async function openLocalCluster(controlPlaneFile: string): Promise<Cluster> {
  const described = await readControlPlaneFile(controlPlaneFile);
  const fleet = createLocalFleet(described);
  return {
    fleet,
    stored: createLocalStoredObjects(described, fleet),
    servers: described.hosts.map((host) => host.name),
    alone: { lease: createLocalEngineLease(described), identity: engineIdentity() },
  };
}
