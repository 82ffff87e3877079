/** The Kubernetes version of a cluster of AKS, and what follows from it. */
import type { ManagedClusterState } from "./managed-cluster";

/** The version that runs; the one that is asked for where AKS does not say. Empty where it says neither. */
export function kubernetesVersionOf({ body }: Pick<ManagedClusterState, "body">): string {
  const properties = body["properties"] as Readonly<Record<string, unknown>> | undefined;
  const version = properties?.["currentKubernetesVersion"] ?? properties?.["kubernetesVersion"];
  return typeof version === "string" ? version : "";
}

/** Whether what the cluster encrypts with is KMS v1: AKS runs KMS v2 from Kubernetes 1.27. */
export function isKmsV1(state: Pick<ManagedClusterState, "body" | "kms">): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(kubernetesVersionOf(state)) ?? [];
  return state.kms.mode === "legacy" && Number(major) === 1 && Number(minor) < 27;
}
