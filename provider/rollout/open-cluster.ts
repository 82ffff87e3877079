/** Opens the cluster of a platform for the rotation engine. Each platform's adapter is loaded when one of its clusters is opened. */
import { KmsEtcdError } from "../../core/errors";
import type * as openLocalClusterModule from "../../rotation/adapters/hosts/open-local-cluster";
import type * as openSelfManagedClusterModule from "../../rotation/adapters/hosts/open-self-managed-cluster";
import type { Cluster } from "../../rotation/cluster";
import type { LocalPlatform, Platform, SelfManagedPlatform } from "./platform";

/** Platforms whose hosts are changed in place. */
type HostsPlatform = LocalPlatform | SelfManagedPlatform;

/* eslint-disable @typescript-eslint/no-require-imports -- imports at the top would load every platform's libraries */
const openers = {
  local: ({ controlPlaneFile }: LocalPlatform) => {
    const { openLocalCluster } =
      require("../../rotation/adapters/hosts/open-local-cluster") as typeof openLocalClusterModule;
    return openLocalCluster(controlPlaneFile);
  },
  selfManaged: ({ cluster }: SelfManagedPlatform) => {
    const { openSelfManagedCluster } =
      require("../../rotation/adapters/hosts/open-self-managed-cluster") as typeof openSelfManagedClusterModule;
    return openSelfManagedCluster(cluster);
  },
} satisfies {
  readonly [Kind in HostsPlatform["kind"]]: (platform: Extract<Platform, { kind: Kind }>) => Promise<Cluster>;
};

/** Throws `not-found` while there is no such cluster. */
export function openCluster(platform: Platform): Promise<Cluster> {
  switch (platform.kind) {
    case "kops":
      throw new KmsEtcdError("internal", "kOps' machines are replaced, not changed: they have an engine of their own");
    case "local":
      return openers.local(platform);
    case "selfManaged":
      return openers.selfManaged(platform);
  }
}
