/** The kOps port on the user's own kops program. */
import { describeError, KmsEtcdError } from "../../../core/errors";
import {
  apiServerGroups,
  appliedAssets,
  type InstanceGroup,
  type KopsCluster,
  readCluster,
  readInstanceGroup,
} from "./cluster-spec";
import type { AppliedGroup, KopsSeen, Machine, SecretSeen } from "./kops-observation";
import {
  instanceGroupOf,
  isPending,
  type KopsInstance,
  pendingTasks,
  readDocuments,
  readInstances,
  validationFailure,
} from "./kops-output";
import type { Kops, RollFailure } from "./kops-ports";
import { type KopsResult, kopsFailure, type RunKopsCommand } from "./kops-process";
import { storeFingerprint } from "./kops-situation";
import type { SecretBackups } from "./secret-backups";
import { readSecretText, secretHash } from "./secret-text";

/** What each machine's API server says of itself. */
export interface MachineLook {
  /** One entry for each instance, in its order; `known` has the texts of the secret and of those that were kept, by hash. */
  look(
    instances: readonly KopsInstance[],
    known: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<readonly Omit<Machine, "name" | "group" | "needsUpdate">[]>;
  /** API servers that answer and are on none of these machines. */
  strangers(instances: readonly KopsInstance[], signal: AbortSignal): Promise<readonly string[]>;
}

export interface KopsCliOptions {
  readonly cluster: string;
  /** `s3://bucket`; absent: as the environment has it. */
  readonly stateStore?: string;
  readonly run: RunKopsCommand;
  readonly backups: SecretBackups;
  readonly machines: MachineLook;
  /** How kops reaches the Kubernetes API: `--use-kubeconfig`, `--api-server=URL`; none: as kops finds it itself. */
  readonly apiArguments?: readonly string[];
  /** Further arguments of rolls; the defaults are kops' own. */
  readonly rollArguments?: readonly string[];
}

const minute = 60_000;
const limits = { read: 2 * minute, write: 3 * minute, update: 15 * minute, validate: 12 * minute, roll: 120 * minute };
const validateFor = "10m";

/** Throws `unsupported` for a kops that is older or newer than the one that wrote the cluster last. */
export async function requireKopsVersion(
  run: RunKopsCommand,
  clusterVersion: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const result = await run({ args: ["version", "--short"], timeoutMs: limits.read, signal });
  const version = /(\d+)\.(\d+)\.\d+/.exec(result.stdout);
  if (result.code !== 0 || version === null) throw kopsFailure("kops version", result);
  const [found, , minor = "0"] = version;
  const wanted = /^v?1\.(\d+)\./.exec(clusterVersion ?? "")?.[1];
  if (wanted !== undefined && Number(minor) < Number(wanted)) {
    throw new KmsEtcdError("unsupported", `kops ${found} is older than the cluster's Kubernetes ${clusterVersion}`, {
      remedy: `use a kops 1.${wanted} or newer: an older one would write a spec that it does not understand`,
    });
  }
  return found;
}

export function createKopsCli(options: KopsCliOptions): Kops {
  const { cluster, run, backups, machines } = options;
  const where = ["--name", cluster, ...(options.stateStore === undefined ? [] : ["--state", options.stateStore])];
  const api = options.apiArguments ?? [];
  /** What kops said that an update would do, for this spec and secret. */
  let foreseen: { readonly fingerprint: string; readonly tasks: readonly string[] } | undefined;

  async function call(
    what: string,
    args: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
    input?: string,
  ): Promise<KopsResult> {
    const result = await run({ args, timeoutMs, signal, ...(input === undefined ? {} : { input }) });
    if (result.code !== 0) throw kopsFailure(what, result);
    return result;
  }

  async function readSpec(signal: AbortSignal): Promise<KopsCluster> {
    const { stdout } = await call("kops get cluster", ["get", "cluster", ...where, "-o", "json"], limits.read, signal);
    return readCluster(readDocuments(stdout, "kops get cluster")[0]);
  }

  async function readSecret(signal: AbortSignal): Promise<string | undefined> {
    const args = ["get", "secrets", "encryptionconfig", ...where, "-o", "plaintext"];
    const result = await run({ args, timeoutMs: limits.read, signal });
    if (result.code === 0) return result.stdout.replace(/\n$/, ""); // kOps prints one line end of its own
    if (result.stderr.includes("no secrets found")) return undefined;
    throw kopsFailure("kops get secrets", result);
  }

  async function preview(signal: AbortSignal): Promise<string> {
    const args = ["update", "cluster", ...where];
    return (await call("kops update cluster", args, limits.update, signal)).stdout;
  }

  /** kOps refuses to say while encryption is on and there is no secret: then there is no task that is known. */
  async function foreseenTasks(
    spec: KopsCluster,
    hash: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly string[] | undefined> {
    if (spec.spec.encryptionConfig === true && hash === undefined) return undefined;
    const fingerprint = storeFingerprint(spec, hash);
    if (foreseen?.fingerprint !== fingerprint) foreseen = { fingerprint, tasks: pendingTasks(await preview(signal)) };
    return foreseen.tasks;
  }

  return {
    async observe(signal): Promise<KopsSeen> {
      const spec = await readSpec(signal);
      const { stdout } = await call(
        "kops get instancegroups",
        ["get", "instancegroups", ...where, "-o", "json"],
        limits.read,
        signal,
      );
      const groups = readDocuments(stdout, "kops get instancegroups").map(readInstanceGroup);
      const text = await readSecret(signal);
      const secret = text === undefined ? undefined : secretSeen(text);
      const servers = apiServerGroups(groups);
      const tasks = await foreseenTasks(spec, secret?.hash, signal);
      // kOps compares what it would tell each group with what it has told: a group without a task has what the store says.
      const told = servers.filter(({ name }) => tasks !== undefined && !isPending(tasks, name));
      const listed = await call(
        "kops get instances",
        ["get", "instances", ...where, ...api, "-o", "json"],
        limits.read,
        signal,
      );
      const names = groups.map(({ name }) => name);
      const all = readInstances(listed.stdout).map((instance) => ({
        ...instance,
        group: instanceGroupOf(instance.group, names, cluster) ?? instance.group,
      }));
      const instances = all.filter(({ group }) => servers.some(({ name }) => name === group));
      const lost = all.filter((instance) => instance.isApiServer && !instances.includes(instance));
      const known = new Map(await backups.all());
      if (secret !== undefined) known.set(secret.hash, secret.text);
      const looks = await machines.look(instances, known, signal);
      return {
        cluster: spec,
        groups,
        secret,
        applied: told.map((group) => appliedGroup(spec, group, secret?.hash)),
        ...(tasks !== undefined && { pending: tasks }),
        machines: instances.flatMap(({ id, group, needsUpdate }, index) => {
          const look = looks[index];
          return look === undefined ? [] : [{ name: id, group, needsUpdate, ...look }];
        }),
        strangers: [...lost.map(({ id }) => id), ...(await machines.strangers(instances, signal))],
      };
    },
    async putCluster(next, expected, signal) {
      if (JSON.stringify(await readSpec(signal)) !== JSON.stringify(expected)) {
        throw new KmsEtcdError("conflict", `the spec of ${cluster} was changed in the meantime`);
      }
      foreseen = undefined;
      const state = options.stateStore === undefined ? [] : ["--state", options.stateStore];
      await call("kops replace", ["replace", "-f", "-", ...state], limits.write, signal, JSON.stringify(next));
    },
    async putSecret(text, expectedHash, signal) {
      const present = await readSecret(signal);
      if ((present === undefined ? undefined : secretHash(present)) !== expectedHash) {
        throw new KmsEtcdError("conflict", `the encryptionconfig secret of ${cluster} was changed in the meantime`);
      }
      if (present !== undefined) await backups.keep(present);
      foreseen = undefined;
      const force = present === undefined ? [] : ["--force"];
      const args = ["create", "secret", "encryptionconfig", ...where, "-f", "-", ...force];
      await call("kops create secret encryptionconfig", args, limits.write, signal, text);
    },
    async update(signal) {
      foreseen = undefined;
      // Without it kops would write into the kubeconfig of whoever runs this.
      const args = ["update", "cluster", ...where, "--yes", "--create-kube-config=false"];
      await call("kops update cluster --yes", args, limits.update, signal);
    },
    previewUpdate: preview,
    async roll(group, force, signal): Promise<RollFailure | undefined> {
      const args = ["rolling-update", "cluster", ...where, ...api, "--instance-group", group, "--yes"];
      const more = [...(force ? ["--force"] : []), ...(options.rollArguments ?? [])];
      const result = await run({ args: [...args, ...more], timeoutMs: limits.roll, signal });
      if (result.code === 0) return undefined;
      const failure = kopsFailure(`kops rolling-update of ${group}`, result);
      if (failure.code === "throttled" || failure.code === "unreachable") throw failure;
      return { notJoined: result.stderr.includes("after terminating instance"), reason: describeError(failure) };
    },
    async validate(signal) {
      const args = ["validate", "cluster", ...where, ...api, "--wait", validateFor, "--count", "2", "-o", "json"];
      const result = await run({ args, timeoutMs: limits.validate, signal });
      if (result.code === 0) return validationFailure(result.stdout);
      const json =
        result.stdout.lastIndexOf('{"failures"') >= 0
          ? result.stdout.slice(result.stdout.lastIndexOf('{"failures"'))
          : undefined;
      const named = json === undefined ? undefined : safely(() => validationFailure(json));
      return named ?? describeError(kopsFailure("kops validate cluster", result));
    },
  };
}

/** What machines of the group get by an update for this spec and secret. */
export function appliedGroup({ spec }: KopsCluster, group: InstanceGroup, hash: string | undefined): AppliedGroup {
  const secretHash = spec.encryptionConfig === true ? hash : undefined;
  return { group: group.name, secretHash, assets: appliedAssets(spec, group) };
}

export function secretSeen(text: string): SecretSeen {
  const seen = { hash: secretHash(text), text };
  try {
    return { ...seen, config: readSecretText(text) };
  } catch (thrown) {
    return { ...seen, config: undefined, problem: describeError(thrown) };
  }
}

function safely<Value>(work: () => Value): Value | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
