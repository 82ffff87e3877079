/**
 * A cluster whose control-plane hosts are in the user's hands: where they are, how they are reached, and how things lie on
 * them. What a Pulumi program and a configuration file of the command line say, once it has been checked.
 */
import { dirname } from "node:path";
import type { PluginPodSettings } from "./plugin-static-pod";

export interface SelfManagedHost {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly layout: SelfManagedLayout;
}

/** Absolute paths. */
export interface SelfManagedLayout {
  /** The unit of systemd that runs the API server, where no kubelet does. The plugins are units then too. */
  readonly apiServerUnit?: string;
  readonly manifestDirectory: string;
  /** File name in `manifestDirectory`. */
  readonly apiServerManifest: string;
  readonly encryptionConfigFile: string;
  readonly pluginSocketDirectory: string;
  /** What is replaced is kept here, root's alone. */
  readonly backupDirectory: string;
}

/** `image` is given where a host has static pods, `program` where one has units. */
export interface SelfManagedPlugin extends Omit<PluginPodSettings, "image"> {
  readonly image?: string;
  /** Command and first arguments, before the flags. */
  readonly program?: readonly string[];
}

/** Texts of keys are held in memory only. */
export interface SelfManagedSsh {
  readonly user: string;
  readonly privateKey?: string;
  readonly passphrase?: string;
  readonly agentSocket?: string;
  readonly knownHosts: string;
  readonly jumpHost?: { readonly address: string; readonly port: number; readonly user: string };
  readonly sudo: boolean;
  readonly sudoSftpServer?: string;
}

export interface SelfManagedKubernetes {
  /** Text of a kubeconfig. Without one the hosts' own is read over SSH. */
  readonly kubeconfig?: string;
  readonly adminConfFile: string;
  readonly tlsServerName?: string;
}

export interface SelfManagedCluster {
  readonly hosts: readonly SelfManagedHost[];
  readonly ssh: SelfManagedSsh;
  readonly kubernetes: SelfManagedKubernetes;
  readonly plugin: SelfManagedPlugin;
}

/** As kubeadm lays hosts out, with directories of our own beside it. */
export const kubeadmLayout: SelfManagedLayout = {
  manifestDirectory: "/etc/kubernetes/manifests",
  apiServerManifest: "kube-apiserver.yaml",
  encryptionConfigFile: "/etc/kubernetes/kms-etcd/encryption-config.yaml",
  pluginSocketDirectory: "/run/kms-etcd",
  backupDirectory: "/var/lib/kms-etcd",
};

/** Where an administrator's units lie; those of packages lie elsewhere. */
export const unitDirectory = "/etc/systemd/system";

/** A directory of the host that the API server's container has to see, at the same path inside. */
export interface ApiServerVolume {
  readonly name: string;
  readonly path: string;
  readonly readOnly: boolean;
}

/** Directories, because a file that is mounted by itself stays the old one when it is replaced. */
export function apiServerVolumes({
  encryptionConfigFile,
  pluginSocketDirectory,
}: Pick<SelfManagedLayout, "encryptionConfigFile" | "pluginSocketDirectory">): readonly [
  ApiServerVolume,
  ApiServerVolume,
] {
  return [
    { name: "kms-etcd-config", path: dirname(encryptionConfigFile), readOnly: true },
    { name: "kms-etcd-sockets", path: pluginSocketDirectory, readOnly: false },
  ];
}

/** kubeadm's file for administrators, on every control-plane host. */
export const adminConfFile = "/etc/kubernetes/admin.conf";

/** Whether both are the same cluster: they have a host in common, because hosts come and go. */
export function isSameSelfManagedCluster(a: SelfManagedCluster, b: SelfManagedCluster): boolean {
  return a.hosts.some((host) => b.hosts.some((other) => other.address === host.address && other.port === host.port));
}

/** What messages call it. */
export function describeSelfManagedCluster({ hosts }: SelfManagedCluster): string {
  return `the cluster of ${hosts.map((host) => host.name).join(", ")}`;
}
