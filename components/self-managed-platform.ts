/** The block that names a cluster whose control-plane hosts are in the user's hands, reached over SSH. */
import * as pulumi from "@pulumi/pulumi";
import type { PluginFlavour } from "../core/plugin-flavour";
import { isKnownLater } from "./known-later";

/** Where things lie on the control-plane hosts. What is left out lies where kubeadm puts it. */
export interface SelfManagedLayoutArgs {
  /**
   * The systemd unit that runs kube-apiserver, for example kube-apiserver.service, on hosts where it is no static pod. The KMS plugins are
   * units then too, and run `plugin.program`.
   * @default none: a kubelet runs it as a static pod
   */
  readonly apiServerUnit?: pulumi.Input<string>;
  /**
   * The kubelet's folder for static pods.
   * @default "/etc/kubernetes/manifests"
   */
  readonly manifestDirectory?: pulumi.Input<string>;
  /**
   * File name of the API server's manifest in that folder.
   * @default "kube-apiserver.yaml"
   */
  readonly apiServerManifest?: pulumi.Input<string>;
  /**
   * The encryption configuration. A configuration that API servers read elsewhere is moved here; each restarts once.
   * @default "/etc/kubernetes/kms-etcd/encryption-config.yaml"
   */
  readonly encryptionConfigFile?: pulumi.Input<string>;
  /**
   * Directory of the plugins' sockets.
   * @default "/run/kms-etcd"
   */
  readonly pluginSocketDirectory?: pulumi.Input<string>;
  /**
   * Where everything is kept that is replaced, by its SHA-256. Readable by root alone.
   * @default "/var/lib/kms-etcd"
   */
  readonly backupDirectory?: pulumi.Input<string>;
}

/** One control-plane host. */
export interface SelfManagedHostArgs {
  /** What reports and messages call it. */
  readonly name: pulumi.Input<string>;
  /** Host name or IP address, as knownHosts has it. */
  readonly address: pulumi.Input<string>;
  /**
   * SSH port.
   * @default 22
   * @integer
   */
  readonly port?: pulumi.Input<number>;
  /** What lies elsewhere on this host than on the others. */
  readonly layout?: pulumi.Input<SelfManagedLayoutArgs>;
}

/** A host between here and the control-plane hosts. The same key, or agent, logs in there; its host key is in knownHosts too. */
export interface SshJumpHostArgs {
  /** Host name or IP address. */
  readonly address: pulumi.Input<string>;
  /**
   * SSH port.
   * @default 22
   * @integer
   */
  readonly port?: pulumi.Input<number>;
  /**
   * User there.
   * @default the user of the control-plane hosts
   */
  readonly user?: pulumi.Input<string>;
}

/** How the control-plane hosts are reached. */
export interface SshArgs {
  /** The user that logs in: root, or one that may run sftp-server through sudo. */
  readonly user: pulumi.Input<string>;
  /**
   * Private key in OpenSSH or PEM form. It is kept as a secret in the state.
   * @secret
   */
  readonly privateKey?: pulumi.Input<string>;
  /**
   * Passphrase of the private key. It is kept as a secret in the state.
   * @secret
   */
  readonly passphrase?: pulumi.Input<string>;
  /** Path of an SSH agent's socket on the machine that runs Pulumi, instead of a private key. */
  readonly agentSocket?: pulumi.Input<string>;
  /** Lines of known_hosts for every host: nobody's key is trusted at first sight, and a changed one is refused. */
  readonly knownHosts: pulumi.Input<string>;
  /** The way to the hosts where it is not direct. */
  readonly jumpHost?: pulumi.Input<SshJumpHostArgs>;
  /**
   * Whether files and sockets are reached through `sudo -n`.
   * @default false
   */
  readonly sudo?: pulumi.Input<boolean>;
  /**
   * Path of sftp-server on the hosts, for sudo.
   * @default where the common distributions have it
   */
  readonly sudoSftpServer?: pulumi.Input<string>;
}

/** How the API servers take the engine for who it is. The connection itself goes through SSH. */
export interface SelfManagedKubernetesArgs {
  /**
   * Text of a kubeconfig with a client certificate or a token of an administrator. It is kept as a secret in the state.
   * @default the file on the hosts that adminConfFile names, which is read over SSH and stored nowhere
   * @secret
   */
  readonly kubeconfig?: pulumi.Input<string>;
  /**
   * An administrator's kubeconfig on the hosts.
   * @default "/etc/kubernetes/admin.conf"
   */
  readonly adminConfFile?: pulumi.Input<string>;
  /**
   * The name that the API servers' certificates have.
   * @default one of kubernetes.default.svc, kubernetes, the host's address and what the kubeconfig calls the server
   */
  readonly tlsServerName?: pulumi.Input<string>;
}

/** The KMS plugin that runs on every host, as a static pod or as a unit of systemd. It finds its cloud by what the host offers, or by these settings. */
export interface SelfManagedPluginArgs {
  /** Its image by digest, for example of a PluginImage: repository@sha256:... Required for static pods. */
  readonly image?: pulumi.Input<string>;
  /**
   * Command and first arguments that run the plugin on hosts with an apiServerUnit, before the flags: an absolute path of a program on the
   * host, which may be a container runtime.
   */
  readonly program?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * Which program is in the image.
   * @default "KmsEtcd"
   */
  readonly flavour?: pulumi.Input<PluginFlavour>;
  /**
   * Command in the place of the image's entry point.
   * @default the image's own
   */
  readonly command?: pulumi.Input<pulumi.Input<string>[]>;
  /** Flags behind those that the key and the settings make. */
  readonly arguments?: pulumi.Input<pulumi.Input<string>[]>;
  /** Environment variables, for example HTTPS_PROXY. They stand in clear in the manifests. */
  readonly environment?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /** Files of the hosts that the plugin reads, certificates for example: mounted read-only at the same path. */
  readonly files?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * Azure's cloud configuration on the hosts, which says how to authenticate.
   * @default "/etc/kubernetes/azure.json"
   */
  readonly azureConfigFile?: pulumi.Input<string>;
  /**
   * Address of AWS KMS.
   * @default the region's own
   */
  readonly awsEndpoint?: pulumi.Input<string>;
}

/**
 * A cluster whose control-plane hosts run kube-apiserver as a static pod, or as a unit of systemd, and are reached over SSH: kubeadm,
 * cluster-api, plain machines. List every control-plane host: a live API server that is not listed blocks a rollout.
 */
export interface SelfManagedPlatformArgs {
  /** The control-plane hosts. A host that is gone for good is taken out of the list. */
  readonly hosts: pulumi.Input<pulumi.Input<SelfManagedHostArgs>[]>;
  /** How they are reached. */
  readonly ssh: pulumi.Input<SshArgs>;
  /** How the API servers are talked to. */
  readonly kubernetes?: pulumi.Input<SelfManagedKubernetesArgs>;
  /** Where things lie on the hosts. */
  readonly layout?: pulumi.Input<SelfManagedLayoutArgs>;
  /** The KMS plugin on the hosts. */
  readonly plugin: pulumi.Input<SelfManagedPluginArgs>;
}

/** The same block with its secrets marked: of an output or a promise all, because a component's own inputs no provider marks. */
export function withSecrets(block: SelfManagedPlatformArgs): SelfManagedPlatformArgs {
  const { ssh, kubernetes } = block;
  return {
    ...block,
    ssh: marked(ssh, ["privateKey", "passphrase"]),
    ...(kubernetes === undefined ? {} : { kubernetes: marked(kubernetes, ["kubeconfig"]) }),
  };
}

function marked<Args extends object>(
  block: pulumi.Input<Args>,
  names: readonly (keyof Args & string)[],
): pulumi.Input<Args> {
  if (isKnownLater(block)) return pulumi.secret(block) as pulumi.Input<unknown> as pulumi.Input<Args>;
  const plain: Args = block;
  const secrets = names.flatMap((name) => {
    const value: unknown = plain[name];
    return value === undefined ? [] : [[name, pulumi.secret(value)]];
  });
  return { ...plain, ...Object.fromEntries(secrets) } as Args;
}
