/** Secrets of a kOps cluster that are replaced by a text of the user's. The values are kOps' own names of them. */
export const ReplaceableSecret = {
  /** The IPsec keys of Cilium. `kops update cluster` carries them into the cluster; no machine is replaced. */
  CiliumPassword: "ciliumpassword",
  /** The registry credentials of every machine. A machine reads them when it boots, so every machine is replaced. */
  DockerConfig: "dockerconfig",
} as const;
export type ReplaceableSecret = (typeof ReplaceableSecret)[keyof typeof ReplaceableSecret];
