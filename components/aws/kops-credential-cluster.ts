/** The block that names a kOps cluster where nothing of its machines but their number and age matters. */
import type * as pulumi from "@pulumi/pulumi";
import type { KopsRollingArgs } from "./kops-platform";

/** A cluster made by kOps, whose own credentials are rotated by the `kops` program on the machine that runs Pulumi. */
export interface KopsCredentialClusterArgs {
  /** The cluster's name, as `kops get clusters` prints it. */
  readonly clusterName: pulumi.Input<string>;
  /**
   * Where kOps keeps the cluster: s3://BUCKET.
   * @default KOPS_STATE_STORE of the environment
   */
  readonly stateStore?: pulumi.Input<string>;
  /**
   * Path of the program, of the cluster's minor version or newer.
   * @default "kops"
   */
  readonly program?: pulumi.Input<string>;
  /**
   * Path of a kubeconfig with a context named like the cluster, by which kops reaches the Kubernetes API (`--use-kubeconfig`). Its CA must be one
   * that is trusted after each stage.
   * @default kops makes short-lived credentials of its own
   */
  readonly kubeconfigFile?: pulumi.Input<string>;
  /**
   * A folder on the machine that runs Pulumi for secrets that were replaced, and for the list of machines that a killed run has still to
   * replace by force. Keep it where the next run finds it.
   * @default ~/.kms-etcd/kops/CLUSTER
   */
  readonly recordDirectory?: pulumi.Input<string>;
  /** How machines are replaced. */
  readonly rolling?: pulumi.Input<KopsRollingArgs>;
}
