/** Which cluster a rollout is of: one kind a platform. */
import type { KopsCluster } from "../../core/kops-cluster";
import type { SelfManagedCluster } from "../../core/self-managed-cluster";

/** A control plane on this machine. */
export interface LocalPlatform {
  readonly kind: "local";
  readonly controlPlaneFile: string;
}

/** A cluster whose control-plane hosts are reached over SSH. Holds secrets: it is shown nowhere. */
export interface SelfManagedPlatform {
  readonly kind: "selfManaged";
  readonly cluster: SelfManagedCluster;
}

/** A cluster that kOps makes. Holds secrets: it is shown nowhere. */
export interface KopsPlatform {
  readonly kind: "kops";
  readonly cluster: KopsCluster;
}

export type Platform = LocalPlatform | SelfManagedPlatform | KopsPlatform;
