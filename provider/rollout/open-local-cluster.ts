/** Opens the cluster of a platform for the rotation engine. */
import { openLocalCluster as openByFile } from "../../rotation/adapters/hosts/open-local-cluster";
import type { Cluster } from "../../rotation/cluster";
import type { Platform } from "./rotation-engine";

/** Throws `not-found` while there is no control plane. */
export function openLocalCluster(platform: Platform): Promise<Cluster> {
  return openByFile(platform.controlPlaneFile);
}
