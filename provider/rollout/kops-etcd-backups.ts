/**
 * The backups of etcd that kOps' etcd-manager makes of every cluster, into the state store where the spec names no other place
 * (kops docs/operations/etcd_backup_restore_encryption.md). Nobody counts which keys they need.
 */
import type { KopsCluster } from "../../core/kops-cluster";
import type { UnrecordedBackups } from "../../rotation/retire-keys";

export function kopsEtcdBackups({
  clusterName,
  stateStore = "$KOPS_STATE_STORE",
  etcdBackupsWithoutKeyVersions = [],
}: KopsCluster): UnrecordedBackups {
  return {
    name: `kOps' own backups of etcd in ${stateStore}/${clusterName}/backups/etcd/main`,
    withoutVersions: etcdBackupsWithoutKeyVersions,
    sayWithout: (version) =>
      `once those are gone that were made before the key had left every machine's configuration, write ${version} into kops.etcdBackupsWithoutKeyVersions; kOps keeps hourly ones for a week and daily ones for a year, unless the spec says otherwise`,
  };
}
