/** The real rotation engine on a simulated cluster in virtual time, behind the provider's own port. */

import type { Platform } from "../../../provider/rollout/platform";
import { describePlatform } from "../../../provider/rollout/platform-inputs";
import type { RotationEngine } from "../../../provider/rollout/rotation-engine";
import { createRotationEngine } from "../../../provider/rollout/rotation-on-ports";
import type { SimulatedCluster } from "../../rotation/simulated-cluster";

/** `clusters` by the path of their control-plane.json. */
export function simulatedEngine(clusters: ReadonlyMap<string, SimulatedCluster>): RotationEngine {
  const byFile = (platform: Platform): SimulatedCluster => {
    const name = describePlatform(platform);
    const cluster = clusters.get(name);
    if (cluster === undefined) throw new Error(`no cluster ${name}`);
    return cluster;
  };
  const [first] = clusters.values();
  return createRotationEngine(async (platform) => {
    const { fleet, stored, hosts } = byFile(platform);
    return { fleet, stored, servers: hosts.map((host) => host.name) };
  }, first?.clock);
}
