/** Where snapshots of etcd are kept. */

/** A snapshot of etcd before anything leaves a configuration. */
export interface EtcdSnapshotArgs {
  /**
   * Absolute path of a directory on the machine that runs `pulumi up`. Each snapshot is a file with mode 0600, beside a record
   * (`*.needs.json`) of the keys that it needs. A version whose key a record needs cannot be retired: remove a record together
   * with its snapshot. A snapshot holds everything of the cluster, also what is not encrypted.
   */
  readonly directory: string;
}
