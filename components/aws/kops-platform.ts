/** The block that names a cluster made by kOps. */
import * as pulumi from "@pulumi/pulumi";
import type { KopsMachineAddress } from "../../core/kops-cluster";
import type { PluginFlavour } from "../../core/plugin-flavour";
import { isKnownLater } from "../known-later";

/** A host with SSH between here and the machines: kOps' bastion, for example. Nobody logs in on the machines themselves. */
export interface KopsJumpHostArgs {
  /** Host name or IP address. */
  readonly address: pulumi.Input<string>;
  /**
   * SSH port.
   * @default 22
   * @integer
   */
  readonly port?: pulumi.Input<number>;
  /** The user that logs in. It needs leave for port forwarding and nothing else. */
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
  /** Lines of known_hosts for it: nobody's key is trusted at first sight. */
  readonly knownHosts: pulumi.Input<string>;
}

/** The KMS plugin on the machines: a static pod by a file asset of the cluster's spec. */
export interface KopsPluginArgs {
  /**
   * Its image by digest, for example of a PluginImage: repository@sha256:... Machines pull from ECR where the spec has
   * `iam.allowContainerRegistry: true`.
   */
  readonly image: pulumi.Input<string>;
  /**
   * Which program is in the image: this package's own, or aws-encryption-provider.
   * @default "KmsEtcd"
   */
  readonly flavour?: pulumi.Input<PluginFlavour>;
  /**
   * Command in the place of the image's entry point.
   * @default the image's own
   */
  readonly command?: pulumi.Input<pulumi.Input<string>[]>;
  /** Flags behind those that the key makes. */
  readonly arguments?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * Address of AWS KMS.
   * @default the region's own
   */
  readonly awsEndpoint?: pulumi.Input<string>;
}

/** How kOps replaces machines. What is left out is as kOps has it. */
export interface KopsRollingArgs {
  /**
   * Seconds between a machine's termination and the first look at its replacement.
   * @default 15
   * @integer
   */
  readonly intervalSeconds?: pulumi.Input<number>;
  /**
   * Seconds for a node to drain.
   * @default 900
   * @integer
   */
  readonly drainTimeoutSeconds?: pulumi.Input<number>;
  /**
   * Seconds after a node was drained.
   * @default 5
   * @integer
   */
  readonly postDrainSeconds?: pulumi.Input<number>;
  /**
   * How often in a row the cluster has to be valid before the next machine.
   * @default 2
   * @integer
   */
  readonly validateCount?: pulumi.Input<number>;
  /**
   * Seconds for a replacement to join.
   * @default 900
   * @integer
   */
  readonly validationTimeoutSeconds?: pulumi.Input<number>;
}

/**
 * A cluster made by kOps on AWS, changed by the `kops` program on the machine that runs Pulumi. Its machines are replaced, group by group:
 * those that run an API server, and no others.
 */
export interface KopsPlatformArgs {
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
   * Text of a kubeconfig with a client certificate or a token of an administrator, by which machines are looked at and objects are
   * written again. kops itself needs none. It is kept as a secret in the state.
   * @default the context named like the cluster in KUBECONFIG or ~/.kube/config
   * @secret
   */
  readonly kubeconfig?: pulumi.Input<string>;
  /** Path of a kubeconfig with a context named like the cluster, by which kops reaches the Kubernetes API too (`--use-kubeconfig`). */
  readonly kubeconfigFile?: pulumi.Input<string>;
  /**
   * By which address each machine's own API server is reached, to see what it has loaded.
   * @default "Internal"
   */
  readonly machineAddress?: pulumi.Input<KopsMachineAddress>;
  /** The way to the machines where it is not direct. */
  readonly jumpHost?: pulumi.Input<KopsJumpHostArgs>;
  /** The KMS plugin. */
  readonly plugin: pulumi.Input<KopsPluginArgs>;
  /**
   * Statements for the machines' role, as an AwsKeyAccess gives them: for keys of another account, or where the keys' policies leave it to IAM.
   * They go into `additionalPolicies` beside your own.
   * @default the spec's policies stay as they are
   */
  readonly policyStatements?: pulumi.Input<string>;
  /**
   * A folder on the machine that runs Pulumi for encryptionconfig secrets that were replaced, because kOps keeps none, and for the last change to
   * the spec until every machine has it. Files are readable by their owner alone.
   * @default ~/.kms-etcd/kops/CLUSTER
   */
  readonly backupDirectory?: pulumi.Input<string>;
  /**
   * Versions of `retireKeyVersions` that no kept backup of etcd needs: the backups that kOps made before such a key had left every machine's
   * configuration are gone. They are in `backups/etcd/main` of the cluster's folder in the state store, and nothing looks into them, so no version is retired without.
   * @default none
   */
  readonly etcdBackupsWithoutKeyVersions?: pulumi.Input<pulumi.Input<number>[]>;
  /** How machines are replaced. */
  readonly rolling?: pulumi.Input<KopsRollingArgs>;
}

/** The same block with its secrets marked, wherever its parts are plain objects; the provider marks the others. */
export function withKopsSecrets(block: KopsPlatformArgs): KopsPlatformArgs {
  const { kubeconfig, jumpHost } = block;
  return {
    ...block,
    ...(kubeconfig !== undefined && { kubeconfig: pulumi.secret(kubeconfig) }),
    ...(jumpHost !== undefined && { jumpHost: markedJumpHost(jumpHost) }),
  };
}

function markedJumpHost(jump: pulumi.Input<KopsJumpHostArgs>): pulumi.Input<KopsJumpHostArgs> {
  if (isKnownLater(jump)) return jump;
  const { privateKey, passphrase } = jump;
  return {
    ...jump,
    ...(privateKey !== undefined && { privateKey: pulumi.secret(privateKey) }),
    ...(passphrase !== undefined && { passphrase: pulumi.secret(passphrase) }),
  };
}
