/** The kOps port on the user's own kops program. */
import { describeError, KmsEtcdError } from "../../../core/errors";
import { mayPass } from "../../patience";
import type { AwsKeyNames } from "../aws/aws-key-names";
import { lazyAwsKeyAdmin } from "../aws/lazy-key-admin";
import {
  apiServerGroups,
  appliedAssets,
  type InstanceGroup,
  type KopsCluster,
  readCluster,
  readInstanceGroup,
} from "./cluster-spec";
import { seeAliases } from "./key-aliases";
import { clusterArguments, type KopsPlace, readSecret, storeArguments, succeed } from "./kops-commands";
import type { AppliedGroup, KopsSeen, Machine, OwnChange, SecretSeen } from "./kops-observation";
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
import { kopsFailure, type RunKopsCommand } from "./kops-process";
import { storeFingerprint } from "./kops-situation";
import { kubernetesMinor } from "./kubernetes-version";
import type { SecretBackups } from "./secret-backups";
import { readSecretText, secretHash } from "./secret-text";
import { type SpecRecord, type SpecRecords, specMark, specRecordsInMemory } from "./spec-record";

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

export interface KopsCliOptions extends KopsPlace {
  readonly run: RunKopsCommand;
  readonly backups: SecretBackups;
  readonly machines: MachineLook;
  /** Default: the engine's own changes are known for as long as this lasts. */
  readonly records?: SpecRecords;
  /** kops' version. */
  readonly version?: string;
  /** Default: AWS' SDK, with the credentials of the environment, as kops itself has them. */
  readonly keyNames?: () => AwsKeyNames;
  /** How kops reaches the Kubernetes API: `--use-kubeconfig`, `--api-server=URL`; none: as kops finds it itself. */
  readonly apiArguments?: readonly string[];
  /** Further arguments of rolls; the defaults are kops' own. */
  readonly rollArguments?: readonly string[];
}

const usualKeyNames = lazyAwsKeyAdmin();
const minute = 60_000;
const limits = { read: 2 * minute, write: 3 * minute, update: 15 * minute, validate: 12 * minute, roll: 120 * minute };
const validateFor = "10m";

/** Before it the role of control planes is `Master`, on machines too. */
const oldestKopsMinor = 26;

/** Throws `unsupported` for a kops that is too old: for this package, or for the Kubernetes of the cluster's spec. */
export async function requireKopsVersion(
  run: RunKopsCommand,
  clusterVersion: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const result = await run({ args: ["version", "--short"], timeoutMs: limits.read, signal });
  const version = /(\d+)\.(\d+)\.\d+/.exec(result.stdout);
  if (result.code !== 0 || version === null) throw kopsFailure("kops version", result);
  const [found, , minor = "0"] = version;
  const wanted = kubernetesMinor(clusterVersion);
  if (Number(minor) < oldestKopsMinor) {
    throw new KmsEtcdError("unsupported", `kops ${found} is older than 1.${oldestKopsMinor}`, {
      remedy: `use a kops of the cluster's minor version, 1.${Math.max(oldestKopsMinor, wanted ?? 0)} or newer: before 1.${oldestKopsMinor} control planes have another role`,
    });
  }
  if (wanted !== undefined && Number(minor) < wanted) {
    throw new KmsEtcdError("unsupported", `kops ${found} is older than the cluster's Kubernetes ${clusterVersion}`, {
      remedy: `use a kops 1.${wanted} or newer: an older one would write a spec that it does not understand`,
    });
  }
  return found;
}

export function createKopsCli(options: KopsCliOptions): Kops {
  const { cluster, run, backups, machines } = options;
  const where = clusterArguments(options);
  const api = options.apiArguments ?? [];
  const records = options.records ?? specRecordsInMemory();
  /** The instance groups, as kops has printed them last. */
  let groupsText: string | undefined;
  /** The engine's own change as it was seen last, with or without one: a secret that is put goes on with it. */
  let seenRecord: SpecRecord | undefined;
  /** What kops said that an update would do, for this spec and secret. */
  let foreseen: { readonly fingerprint: string; readonly tasks: readonly string[] } | undefined;

  const call = (what: string, args: readonly string[], timeoutMs: number, signal: AbortSignal, input?: string) =>
    succeed(run, { what, args, timeoutMs, signal, ...(input === undefined ? {} : { input }) });
  const presentSecret = (signal: AbortSignal) =>
    readSecret(run, options, "encryptionconfig", { timeoutMs: limits.read, signal });

  async function readSpec(signal: AbortSignal): Promise<KopsCluster> {
    const { stdout } = await call("kops get cluster", ["get", "cluster", ...where, "-o", "json"], limits.read, signal);
    return readCluster(readDocuments(stdout, "kops get cluster")[0]);
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

  /** The machines; undefined where kOps has yet to make the cluster: its first update makes keypairs before any machine. */
  async function listInstances(signal: AbortSignal): Promise<readonly KopsInstance[] | undefined> {
    const asked = (what: string, more: readonly string[]) =>
      run({ args: ["get", what, ...where, ...more, "-o", "json"], timeoutMs: limits.read, signal });
    const listed = await asked("instances", api);
    const instances = listed.code === 0 && listed.stdout.trim() !== "" ? readInstances(listed.stdout) : [];
    if (instances.length > 0) return instances;
    const keypairs = await asked("keypairs", []);
    if (keypairs.code !== 0 && keypairs.stderr.includes("no keypairs found")) return undefined;
    if (listed.code !== 0) throw kopsFailure("kops get instances", listed);
    return instances;
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
      groupsText = stdout;
      const groups = readDocuments(stdout, "kops get instancegroups").map(readInstanceGroup);
      const text = await presentSecret(signal);
      const secret = text === undefined ? undefined : secretSeen(text);
      const record = await records.read();
      const present = specMark(spec.spec, groupsText, options.version);
      const isOwn = record?.mark === present;
      // The secret of a record is told by its own hash, whatever the spec is.
      seenRecord = {
        ...{ mark: present, before: record !== undefined && isOwn ? record.before : [] },
        ...(record?.secret && { secret: record.secret }),
      };
      const aliases = await seeAliases(spec, groups, secret?.config, options.keyNames ?? usualKeyNames, signal);
      const servers = apiServerGroups(groups);
      const tasks = await foreseenTasks(spec, secret?.hash, signal);
      // kOps compares what it would tell each group with what it has told: a group without a task has what the store says.
      const told = servers.filter((group) => tasks !== undefined && !isPending(tasks, group));
      const listed = await listInstances(signal);
      const isNew = listed === undefined;
      const names = groups.map(({ name }) => name);
      const all = (listed ?? []).map((instance) => ({
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
        ...(isNew && { isNew }),
        ...(aliases.length > 0 && { aliases }),
        ...(record !== undefined && isOwn && { ownChange: ownChange(record, secret?.hash, known) }),
        machines: instances.flatMap(({ id, group, needsUpdate }, index) => {
          const look = looks[index];
          return look === undefined ? [] : [{ name: id, group, needsUpdate, ...look }];
        }),
        strangers: [...lost.map(({ id }) => id), ...(await machines.strangers(instances, signal))],
      };
    },
    async putCluster({ cluster: next, expected, before }, signal) {
      if (JSON.stringify(await readSpec(signal)) !== JSON.stringify(expected)) {
        throw new KmsEtcdError("conflict", `the spec of ${cluster} was changed in the meantime`);
      }
      foreseen = undefined;
      const mark = ({ spec }: KopsCluster) => specMark(spec, groupsText, options.version);
      const secret = seenRecord?.secret && { secret: seenRecord.secret };
      // Before the call: one that is cut off may have written all the same.
      await records.write({ mark: mark(next), before, ...secret });
      const args = ["replace", "-f", "-", ...storeArguments(options)];
      await call("kops replace", args, limits.write, signal, JSON.stringify(next));
      // kOps may write a field in another way than it was given.
      const written = mark(await readSpec(signal));
      if (written !== mark(next)) await records.write({ mark: written, before, ...secret });
    },
    settle: () => records.remove(),
    async putSecret({ text, expectedHash, mayGoBack }, signal) {
      const present = await presentSecret(signal);
      if ((present === undefined ? undefined : secretHash(present)) !== expectedHash) {
        throw new KmsEtcdError("conflict", `the encryptionconfig secret of ${cluster} was changed in the meantime`);
      }
      if (present !== undefined) await backups.keep(present);
      // Machines that it makes late, or its way back does, are no sign of somebody else's work.
      const change = mayGoBack && expectedHash !== undefined && { hash: secretHash(text), replaced: expectedHash };
      if (seenRecord !== undefined) await records.write({ ...seenRecord, ...(change && { secret: change }) });
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
      // Then kops has waited for the new machine, and what it says last may be how that one can't be reached.
      const notJoined = result.stderr.includes("after terminating instance");
      if (!notJoined && mayPass(failure)) throw failure;
      return { notJoined, reason: describeError(failure) };
    },
    async validate(signal) {
      const args = ["validate", "cluster", ...where, ...api, "--wait", validateFor, "--count", "2", "-o", "json"];
      const result = await run({ args, timeoutMs: limits.validate, signal });
      if (result.code === 0) return validationFailure(result.stdout);
      const named = safely(() => validationFailure(result.stdout));
      return named ?? describeError(kopsFailure("kops validate cluster", result));
    },
  };
}

/** What may go back is only known while the secret is the record's. */
function ownChange(
  { before, secret }: SpecRecord,
  presentHash: string | undefined,
  known: ReadonlyMap<string, string>,
): OwnChange {
  if (secret === undefined || secret.hash !== presentHash) return { before };
  const text = known.get(secret.replaced);
  return { before, ...(text !== undefined && { replaced: { hash: secret.replaced, text } }) };
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
