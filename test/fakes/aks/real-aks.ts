/** An Azure whose managed clusters are real: ARM, Entra and Key Vault as ever, and API servers with etcd behind each cluster. */
import { type FakeArm, startFakeArm } from "../arm/fake-arm";
import { type AksControlPlane, type AksControlPlaneOptions, createAksControlPlane } from "./aks-control-plane";

export interface RealAks extends FakeArm {
  /** What stands behind a cluster, by its resource id. */
  controlPlaneOf(id: string): AksControlPlane;
}

export async function startRealAks(
  options: Omit<AksControlPlaneOptions, "azure" | "newestKeyId"> = {},
): Promise<RealAks> {
  const controlPlanes = new Map<string, AksControlPlane>();
  const cloud: FakeArm = await startFakeArm({
    // Called when a cluster is made, and so later.
    kmsCluster: ({ id }) => {
      const made = createAksControlPlane({ ...options, azure: cloud.azure, newestKeyId });
      controlPlanes.set(id.toLowerCase(), made);
      return made;
    },
  });
  function newestKeyId(keyId: string): string {
    const [, vault = "", name = ""] = /^https:\/\/([^./]+)\.[^/]+\/keys\/([^/]+)/.exec(keyId) ?? [];
    return cloud.arm.keyVaults.dataPlane(vault)?.keys.find(name, "")?.kid ?? "";
  }
  return {
    ...cloud,
    controlPlaneOf(id) {
      const found = controlPlanes.get(id.toLowerCase());
      if (found === undefined) throw new Error(`there is no control plane behind ${id}`);
      return found;
    },
  };
}
