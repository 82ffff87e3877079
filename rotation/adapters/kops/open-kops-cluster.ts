/** Opens a kOps cluster for its engine: the user's own kops, the machines' API servers, and the Lease that keeps a second engine out. */
import { homedir } from "node:os";
import { join } from "node:path";
import { KmsEtcdError } from "../../../core/errors";
import { type KopsCluster, type KopsRolling } from "../../../core/kops-cluster";
import type { AloneBy } from "../../run-alone";
import { engineIdentity } from "../hosts/engine-identity";
import type { ApiServerAddress } from "../kubernetes/api-client";
import { createEngineLease } from "../kubernetes/engine-lease";
import { readCluster } from "./cluster-spec";
import { following } from "./following";
import { createKopsCli, requireKopsVersion } from "./kops-cli";
import { clusterArguments, succeed } from "./kops-commands";
import { createKopsMachines, type KopsMachines } from "./kops-machines";
import { type KopsInstance, readDocuments } from "./kops-output";
import type { Kops } from "./kops-ports";
import { createKopsRunner, type RunKopsCommand } from "./kops-process";
import { requireKubernetesVersion } from "./kubernetes-version";
import { kopsCredentials, type MachineAddresses, machineAddresses } from "./machine-addresses";
import { createSecretBackups } from "./secret-backups";
import { createSpecRecords } from "./spec-record";

export interface OpenKopsCluster {
  readonly kops: Kops;
  readonly stored: KopsMachines["stored"];
  readonly alone: AloneBy;
  close(): Promise<void>;
}

/** Other ways than the usual ones, for tests. */
export interface KopsWays {
  readonly run?: RunKopsCommand;
  readonly addressOf?: (instance: KopsInstance) => ApiServerAddress;
}

const usualPort = 443;
const readLimit = 120_000;

/** Throws where there is no such program, cluster or kubeconfig, and for a kops or a Kubernetes that is too old. */
export async function openKopsCluster(
  cluster: KopsCluster,
  signal: AbortSignal,
  ways: KopsWays = {},
): Promise<OpenKopsCluster> {
  const { clusterName, stateStore, kubeconfigFile } = cluster;
  const environment = kubeconfigFile === undefined ? process.env : { ...process.env, KUBECONFIG: kubeconfigFile };
  const run = ways.run ?? createKopsRunner(cluster.program, environment);
  const place = { cluster: clusterName, ...(stateStore !== undefined && { stateStore }) };
  const args = ["get", "cluster", ...clusterArguments(place), "-o", "json"];
  const { stdout } = await succeed(run, { args, timeoutMs: readLimit, signal });
  const { spec } = readCluster(readDocuments(stdout, "kops get cluster")[0]);
  requireKubernetesVersion(spec.kubernetesVersion);
  const version = await requireKopsVersion(run, spec.kubernetesVersion, signal);
  const addresses = await waysToMachines(cluster, portOf(spec["kubeAPIServer"]), ways);
  const machines = createKopsMachines({ addressOf: (instance) => addresses.addressOf(instance) });
  const lease = following(() => machines.addresses(), createEngineLease);
  const directory = cluster.backupDirectory ?? join(homedir(), ".kms-etcd", "kops", clusterName);
  return {
    kops: createKopsCli({
      ...place,
      run,
      version,
      backups: createSecretBackups(directory),
      records: createSpecRecords(directory),
      machines: machines.look,
      // kops takes its way to the API from the same file; otherwise it makes a short-lived certificate for itself.
      apiArguments: kubeconfigFile === undefined ? [] : ["--use-kubeconfig"],
      rollArguments: rollArguments(cluster.rolling),
    }),
    stored: machines.stored,
    alone: {
      lease: {
        read: (...request) => lease.present().read(...request),
        write: (...request) => lease.present().write(...request),
        remove: (...request) => lease.present().remove(...request),
        close: () => lease.close(),
      },
      identity: engineIdentity(),
    },
    async close() {
      await Promise.all([machines.close(), lease.close()]);
      addresses.close();
    },
  };
}

/** A cluster that is yet to be made has no kubeconfig; one is missed with its first machine only. */
async function waysToMachines(cluster: KopsCluster, port: number, { addressOf }: KopsWays): Promise<MachineAddresses> {
  if (addressOf !== undefined) return { addressOf, close: () => undefined };
  try {
    return machineAddresses(cluster, await kopsCredentials(cluster, process.env), port);
  } catch (thrown) {
    if (!(thrown instanceof KmsEtcdError) || thrown.code !== "not-found") throw thrown;
    const missing: MachineAddresses["addressOf"] = () => {
      throw thrown;
    };
    return { addressOf: missing, close: () => undefined };
  }
}

function portOf(server: unknown): number {
  const port =
    typeof server === "object" && server !== null ? (server as { securePort?: unknown }).securePort : undefined;
  return typeof port === "number" && port > 0 ? port : usualPort;
}

export function rollArguments(rolling: KopsRolling): readonly string[] {
  const seconds = (flag: string, value: number | undefined) => (value === undefined ? [] : [flag, `${value}s`]);
  const { validateCount } = rolling;
  return [
    ...seconds("--control-plane-interval", rolling.intervalSeconds),
    // Groups with the role APIServer count as workers here.
    ...seconds("--node-interval", rolling.intervalSeconds),
    ...seconds("--drain-timeout", rolling.drainTimeoutSeconds),
    ...seconds("--post-drain-delay", rolling.postDrainSeconds),
    ...seconds("--validation-timeout", rolling.validationTimeoutSeconds),
    ...(validateCount === undefined ? [] : ["--validate-count", String(validateCount)]),
  ];
}
