/** A kOps cluster: which one, by which program and from which store, and how its machines are reached. From the block `kops`, checked. */
import type { PluginFlavour } from "./plugin-flavour";
import type { SelfManagedSsh } from "./self-managed-cluster";

/** What every use of kops needs to know. */
export interface KopsProgram {
  /** The cluster's name, as `kops get clusters` prints it. */
  readonly clusterName: string;
  /** `s3://BUCKET`. @default KOPS_STATE_STORE of the environment */
  readonly stateStore?: string;
  /** Path of the program, or its name in PATH. */
  readonly program: string;
}

/** Which address of a machine is dialled. */
export const KopsMachineAddress = {
  /** The private one. */
  Internal: "Internal",
  /** The public one. */
  External: "External",
} as const;
export type KopsMachineAddress = (typeof KopsMachineAddress)[keyof typeof KopsMachineAddress];

/** A host between here and the machines. Texts of keys are held in memory only. */
export type KopsJumpHost = Pick<SelfManagedSsh, "user" | "privateKey" | "passphrase" | "agentSocket" | "knownHosts"> & {
  readonly address: string;
  readonly port: number;
};

export interface KopsPlugin {
  /** By digest. */
  readonly image: string;
  readonly flavour: PluginFlavour;
  readonly command?: readonly string[];
  readonly arguments?: readonly string[];
  readonly awsEndpoint?: string;
}

/** How machines are replaced; what is absent is as kops has it. */
export interface KopsRolling {
  readonly intervalSeconds?: number;
  readonly drainTimeoutSeconds?: number;
  readonly postDrainSeconds?: number;
  readonly validateCount?: number;
  readonly validationTimeoutSeconds?: number;
}

export interface KopsCluster extends KopsProgram {
  /** Text of a kubeconfig. */
  readonly kubeconfig?: string;
  /** A kubeconfig on this machine with a context named like the cluster. */
  readonly kubeconfigFile?: string;
  readonly machineAddress: KopsMachineAddress;
  readonly jumpHost?: KopsJumpHost;
  readonly plugin: KopsPlugin;
  /** Statements for the machines' role, a JSON list; absent: policies are left alone. */
  readonly policyStatements?: string;
  /** Where replaced secrets are kept. @default a folder of the user's own */
  readonly backupDirectory?: string;
  /** Key versions that no kept backup of etcd needs, as the user says. */
  readonly etcdBackupsWithoutKeyVersions?: readonly number[];
  readonly rolling: KopsRolling;
}

/** Whether both are the same cluster. The same store may be named in one and come from the environment in the other. */
export function isSameKopsCluster(a: KopsCluster, b: KopsCluster): boolean {
  const stores = [a.stateStore, b.stateStore].filter((store) => store !== undefined);
  return a.clusterName === b.clusterName && new Set(stores).size <= 1;
}

/** What messages call it. */
export function describeKopsCluster({ clusterName }: KopsProgram): string {
  return `the kOps cluster ${clusterName}`;
}
