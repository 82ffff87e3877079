/** Opens a kOps cluster for the rotation of its own credentials: the user's kops, and a folder for what a killed run has still to do. */
import { homedir } from "node:os";
import { join } from "node:path";
import type { CredentialCluster } from "../../../core/credential-inputs";
import { readCluster } from "../kops/cluster-spec";
import { requireKopsVersion } from "../kops/kops-cli";
import { clusterArguments, succeed } from "../kops/kops-commands";
import { readDocuments } from "../kops/kops-output";
import { createKopsRunner, type RunKopsCommand } from "../kops/kops-process";
import { rollArguments } from "../kops/open-kops-cluster";
import { createSecretBackups } from "../kops/secret-backups";
import type { SecretGoal } from "./decide-secret";
import { certificateAuthority, exportKubeconfig } from "./export-kubeconfig";
import { createForcedRolls } from "./forced-rolls";
import type { KeypairGoal } from "./keypair-decision";
import { createKeypairStore, type KeypairStore } from "./keypair-store";
import { changesMachines, createKopsFleet, type KopsFleet } from "./kops-fleet";
import { createKopsKeypairs } from "./kops-keypairs";
import { changesCilium, createSecretStore, type SecretStore } from "./secret-store";

export interface OpenKeypairs {
  readonly store: KeypairStore;
  readonly fleet: KopsFleet;
  /** A kubeconfig of the cluster as it is, and the certificates in it. With a lifetime it holds admin credentials. */
  kubeconfig(
    adminFor: string | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly text: string; readonly ca: string }>;
}

export interface OpenSecret {
  readonly store: SecretStore;
  readonly fleet: KopsFleet;
}

/** Other ways than the usual ones, for tests. */
export interface CredentialWays {
  readonly run?: RunKopsCommand;
  readonly rollArguments?: readonly string[];
}

const limitMs = 2 * 60_000;

export async function openKeypairs(
  cluster: CredentialCluster,
  goal: KeypairGoal,
  settled: string | undefined,
  signal: AbortSignal,
  ways: CredentialWays = {},
): Promise<OpenKeypairs> {
  const opened = await open(cluster, "keypairs", changesMachines, signal, ways);
  const { program, fleet } = opened;
  const keypairs = createKopsKeypairs(program);
  return {
    fleet,
    store: createKeypairStore({ goal, settled, keypairs, fleet }),
    async kubeconfig(adminFor, until) {
      const text = await exportKubeconfig(program, adminFor, until);
      return { text, ca: certificateAuthority(text) };
    },
  };
}

export async function openSecret(
  cluster: CredentialCluster,
  goal: SecretGoal,
  settled: string | undefined,
  signal: AbortSignal,
  ways: CredentialWays = {},
): Promise<OpenSecret> {
  const { program, fleet, directory } = await open(cluster, goal.secret, changesCilium, signal, ways);
  const backups = createSecretBackups(directory, goal.secret);
  return { fleet, store: createSecretStore({ ...program, goal, settled, fleet, backups }) };
}

async function open(
  cluster: CredentialCluster,
  what: string,
  isPending: (task: string) => boolean,
  signal: AbortSignal,
  ways: CredentialWays,
) {
  const { clusterName, stateStore, kubeconfigFile } = cluster;
  const environment = kubeconfigFile === undefined ? process.env : { ...process.env, KUBECONFIG: kubeconfigFile };
  const run = ways.run ?? createKopsRunner(cluster.program, environment);
  const program = { cluster: clusterName, run, ...(stateStore !== undefined && { stateStore }) };
  const args = ["get", "cluster", ...clusterArguments(program), "-o", "json"];
  const { stdout } = await succeed(run, { args, timeoutMs: limitMs, signal });
  const { spec } = readCluster(readDocuments(stdout, "kops get cluster")[0]);
  await requireKopsVersion(run, spec.kubernetesVersion, signal);
  const directory = cluster.recordDirectory ?? join(homedir(), ".kms-etcd", "kops", clusterName);
  const fleet = createKopsFleet({
    ...program,
    forcedRolls: createForcedRolls(join(directory, `${what}-forced-rolls.json`)),
    isPending,
    apiArguments: kubeconfigFile === undefined ? [] : ["--use-kubeconfig"],
    rollArguments: [...rollArguments(cluster.rolling), ...(ways.rollArguments ?? [])],
  });
  return { program, fleet, directory };
}
