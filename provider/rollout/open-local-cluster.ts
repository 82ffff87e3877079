/** Opens a control plane of this machine for the rotation engine. */

import { readControlPlaneFile } from "../../rotation/adapters/hosts/control-plane-file";
import { engineIdentity } from "../../rotation/adapters/hosts/engine-identity";
import {
  createLocalEngineLease,
  createLocalFleet,
  createLocalStoredObjects,
} from "../../rotation/adapters/hosts/local-fleet";
import type { Platform } from "./rotation-engine";
import type { Cluster } from "./rotation-on-ports";

/** Throws `not-found` while there is no control plane. */
export async function openLocalCluster(platform: Platform): Promise<Cluster> {
  const described = await readControlPlaneFile(platform.controlPlaneFile);
  const fleet = createLocalFleet(described);
  const stored = createLocalStoredObjects(described, fleet);
  const alone = { lease: createLocalEngineLease(described), identity: engineIdentity() };
  return { fleet, stored, alone, servers: described.hosts.map((host) => host.name) };
}
