/** Where everything of one control plane lies in its state directory. */
import { join } from "node:path";

/** Name of the host that runs etcd. The API servers' hosts are cp1, cp2, ... */
export const etcdHostName = "etcd";

/** File name of the API server's manifest on its host. */
export const apiServerManifest = "kube-apiserver.yaml";
export const apiServerPodName = "kube-apiserver";
export const etcdPodName = "etcd";

export interface HostLayout {
  readonly name: string;
  readonly directory: string;
  readonly manifestDirectory: string;
  readonly pkiDirectory: string;
  readonly encryptionDirectory: string;
  readonly encryptionConfigFile: string;
  readonly backupDirectory: string;
  readonly logDirectory: string;
  readonly statusFile: string;
  readonly kubeconfigFile: string;
}

export interface StateLayout {
  readonly directory: string;
  readonly settingsFile: string;
  readonly supervisorFile: string;
  readonly supervisorLogFile: string;
  readonly kubeconfigFile: string;
  readonly pkiDirectory: string;
  readonly etcdDataDirectory: string;
  host(name: string): HostLayout;
}

/** `directory` is absolute. */
export function stateLayout(directory: string): StateLayout {
  return {
    directory,
    settingsFile: join(directory, "settings.json"),
    supervisorFile: join(directory, "supervisor.json"),
    supervisorLogFile: join(directory, "supervisor.log"),
    kubeconfigFile: join(directory, "kubeconfig"),
    pkiDirectory: join(directory, "pki"),
    etcdDataDirectory: join(directory, "hosts", etcdHostName, "data"),
    host: (name) => {
      const host = join(directory, "hosts", name);
      return {
        name,
        directory: host,
        manifestDirectory: join(host, "manifests"),
        pkiDirectory: join(host, "pki"),
        encryptionDirectory: join(host, "encryption"),
        encryptionConfigFile: join(host, "encryption", "encryption-config.yaml"),
        backupDirectory: join(host, "backups"),
        logDirectory: join(host, "logs"),
        statusFile: join(host, "status.json"),
        kubeconfigFile: join(host, "kubeconfig"),
      };
    },
  };
}

/** Names of the API servers' hosts. */
export function apiServerHostNames(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `cp${index + 1}`);
}
