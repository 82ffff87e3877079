/** The Kubernetes of a cluster's spec, and the oldest that can be encrypted here. */
import { KmsEtcdError } from "../../../core/errors";

/** KMS v2 is stable since, and behind no feature gate. */
const oldestMinor = 29;

/**
 * The minor version of "v1.36.3", "1.36" or, as kOps also takes it, the address of a build (".../v1.36.3"); undefined for what has none.
 */
export function kubernetesMinor(version: string | undefined): number | undefined {
  const minor =
    /^v?1\.(\d+)(?:\.|$)/.exec(version ?? "")?.[1] ??
    [...(version ?? "").matchAll(/\/v1\.(\d+)\.\d+/g)].map(([, found]) => found).at(-1);
  return minor === undefined ? undefined : Number(minor);
}

/** Throws `unsupported` for one that is known to be too old. */
export function requireKubernetesVersion(version: string | undefined): void {
  const minor = kubernetesMinor(version);
  if (minor === undefined || minor >= oldestMinor) return;
  throw new KmsEtcdError(
    "unsupported",
    `the cluster's spec says Kubernetes ${version}, and KMS v2 is stable from 1.${oldestMinor} on`,
    { remedy: `upgrade the cluster to Kubernetes 1.${oldestMinor} or newer first, then run again` },
  );
}
