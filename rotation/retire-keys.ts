/**
 * Retiring key versions: an input of its own, never a part of a rotation (invariant 5). A key is retired once nothing is seen
 * to need it: no stored value, no configuration of a server, no kept snapshot. What needs it is named, and so is what may
 * need it because nobody can tell which key it is of; `key-need.ts` tells. Of backups without a record only the user can tell.
 */
import { describeError, KmsEtcdError } from "../core/errors";
import { isSameKey } from "../core/key-ids";
import { describeKey } from "../core/key-reference";
import type { PluginInstance } from "../core/plugin-instance";
import type { WriteKey } from "../core/write-key";
import type { Goal } from "./goal";
import { custodyOf, type KeyCustodies } from "./key-custody";
import { configsOf, type KeyNeed, needOfItem, needOfKey, whyUnclear } from "./key-need";
import type { Observation, StoredKey } from "./observation";
import { validStored } from "./proofs";
import { count } from "./rules/rule";
import { type EndpointOf, situationOf } from "./situation";
import { recordName, type SnapshotRecord } from "./snapshot-record";

/** A version of the key that shall be retired. */
export interface RetiringKey {
  readonly version: number;
  readonly plugin: PluginInstance;
}

/** Backups of etcd that the platform makes by itself, with no record of the keys that they need. */
export interface UnrecordedBackups {
  /** Whose they are and where. */
  readonly name: string;
  /** Versions that none of them needs any more, as the user says. */
  readonly withoutVersions: readonly number[];
  /** How the user says so, once it is true. */
  sayWithout(version: number): string;
}

export interface RetirementView {
  readonly observed: Observation;
  readonly goal: Goal;
  readonly endpointOf: EndpointOf;
  /** Of every snapshot that is kept. */
  readonly snapshots: readonly SnapshotRecord[];
  /** Directories of snapshots that are not on this machine. */
  readonly unseenSnapshots?: readonly string[];
  readonly unrecordedBackups?: UnrecordedBackups;
  /** Everything in etcd by its key, where that was counted; without, the proof of the goal's resources has to do. */
  readonly inEtcd?: { readonly keys: readonly StoredKey[]; readonly unknown: number };
}

/** Why the key cannot be retired: one sentence for each thing that needs it, or of which it is not known. Pure. */
export function retirementObstacles(view: RetirementView, key: RetiringKey): readonly string[] {
  const { plugin } = key;
  if (isWriter(view, plugin)) return [itEncrypts];
  return [...serverObstacles(view, plugin), ...storedObstacles(view, plugin), ...backupObstacles(view, key)];
}

/** Of these, what no rotation can change: for a preview, in which a rotation is still to come. Pure. */
export function lastingObstacles(view: RetirementView, key: RetiringKey): readonly string[] {
  return isWriter(view, key.plugin) ? [itEncrypts] : backupObstacles(view, key);
}

const itEncrypts = "it is the key that encrypts";

function isWriter({ goal }: RetirementView, plugin: PluginInstance): boolean {
  return goal.writer !== "identity" && (goal.writer.name === plugin.name || isSameKey(goal.writer.key, plugin.key));
}

function backupObstacles(view: RetirementView, key: RetiringKey): readonly string[] {
  return [...snapshotObstacles(view, key.plugin), ...unrecordedObstacles(view, key)];
}

/** What the user says holds for backups that there are; those made while machines still read with the key are yet to come. */
function unrecordedObstacles(view: RetirementView, { version, plugin }: RetiringKey): readonly string[] {
  const { unrecordedBackups: backups } = view;
  if (backups === undefined) return [];
  if (!backups.withoutVersions.includes(version)) {
    return [`${backups.name} may need it, and nothing looks into them (${backups.sayWithout(version)})`];
  }
  return isConfigured(view, plugin)
    ? [
        `${backups.name} need it as long as a server's configuration names it (retire it in a later run, once those are gone)`,
      ]
    : [];
}

/** Whether a server reads with the key, or may. */
function isConfigured(view: RetirementView, plugin: PluginInstance): boolean {
  return view.observed.servers.some((server) =>
    configsOf(server)
      .flatMap(({ blocks }) => blocks.flatMap(({ providers }) => providers))
      .some((item) => item.kind === "kms" && needOfItem(view, plugin, server, item).need !== "no"),
  );
}

function snapshotObstacles(view: RetirementView, plugin: PluginInstance): readonly string[] {
  const unseen = (view.unseenSnapshots ?? []).map(
    (directory) =>
      `what snapshots in ${directory} need is not known, because that directory is not on this machine (where none is kept any more, make it, empty)`,
  );
  const needing = view.snapshots.flatMap(({ snapshot, needs, unknown }) => {
    const isA = (need: KeyNeed) => (key: WriteKey) => needOfKey(view, plugin, key) === need;
    if (needs.some(isA("yes"))) return [`the snapshot ${snapshot} needs it`];
    const perhaps = needs.find(isA("perhaps"));
    if (unknown > 0) return [`the snapshot ${snapshot} has ${unknown} values that may need any key`];
    return perhaps === undefined
      ? []
      : [
          `the snapshot ${snapshot} has values of ${perhaps.provider} that may need it: ${whyUnclear(perhaps)} (where you know the key, write its key_id into that need of ${recordName(snapshot)}; where the snapshot is not kept any more, remove both)`,
        ];
  });
  return [...needing, ...unseen];
}

function serverObstacles(view: RetirementView, plugin: PluginInstance): readonly string[] {
  const unclear = new Map<string, { readonly servers: Set<string>; readonly resources: Set<string> }>();
  const certain = view.observed.servers.flatMap((server) => {
    const { name, file, loaded, unreachable } = server;
    if (unreachable !== undefined || file === undefined || loaded.config === undefined) {
      return [`it is not known what ${name} reads with`];
    }
    let isNamed = false;
    for (const { resources, providers } of configsOf(server).flatMap(({ blocks }) => blocks)) {
      for (const item of providers) {
        if (item.kind !== "kms") continue;
        const { need, why = "" } = needOfItem(view, plugin, server, item);
        if (need === "yes") isNamed = true;
        if (need !== "perhaps") continue;
        const what = `kms/${item.apiVersion}/${item.name}, which may need it: ${why}`;
        const entry = unclear.get(what) ?? { servers: new Set(), resources: new Set() };
        unclear.set(what, entry);
        entry.servers.add(name);
        for (const resource of resources) entry.resources.add(resource);
      }
    }
    return isNamed ? [`the configuration of ${name} names it`] : [];
  });
  const perhaps = [...unclear].map(([what, { servers, resources }]) => {
    const list = [...resources].join(", ");
    return `${[...servers].join(", ")} ${servers.size === 1 ? "has" : "have"} for ${list} ${what} (encrypt ${list} with a declared key: name it in resources, and rotate to the end)`;
  });
  return [...certain, ...perhaps];
}

function storedObstacles(view: RetirementView, plugin: PluginInstance): readonly string[] {
  const { observed, goal, endpointOf, inEtcd } = view;
  const proof =
    inEtcd === undefined ? validStored(observed, situationOf(observed, goal, endpointOf).targets) : undefined;
  const proven = proof?.method === "counted" ? undefined : proof?.resources;
  const entries = inEtcd === undefined ? proven : [inEtcd];
  if (entries === undefined) return ["it is not known what is stored"];
  const unknown = entries.reduce((sum, entry) => sum + entry.unknown, 0);
  let needing = 0;
  const perhaps = new Map<string, number>();
  for (const { key, objects } of entries.flatMap((entry) => entry.keys)) {
    const need = needOfKey(view, plugin, key);
    if (need === "yes") needing += objects;
    const what = `of ${key.provider} may need it: ${whyUnclear(key)}`;
    if (need === "perhaps" && objects > 0) perhaps.set(what, (perhaps.get(what) ?? 0) + objects);
  }
  return [
    ...(needing > 0 ? [`${count(needing, "stored object")} ${needing === 1 ? "needs" : "need"} it`] : []),
    ...[...perhaps].map(
      ([what, objects]) =>
        `${count(objects, "stored object")} ${what} (encrypt their resources with a declared key: name them in resources, and rotate to the end)`,
    ),
    ...(unknown > 0 ? [`${unknown} stored values cannot be understood and may need it`] : []),
  ];
}

/** Before a run: what is no longer to be retired must be usable, because the run may need it. */
export async function reinstateKeys(
  custodies: KeyCustodies,
  goal: Pick<Goal, "declared" | "retired">,
  signal: AbortSignal,
): Promise<void> {
  for (const plugin of goal.declared) {
    if (goal.retired?.includes(plugin.name)) continue;
    await custodyOf(custodies, plugin.key)?.reinstate(plugin.key, signal);
  }
}

/** Retires the keys that nothing needs. Throws `blocked`, naming for each of the others what needs it, after the others. */
export async function retireKeys(
  custodies: KeyCustodies,
  keys: readonly RetiringKey[],
  view: RetirementView,
  onRetired: (message: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const refused: string[] = [];
  for (const key of keys) {
    const { version, plugin } = key;
    const custody = custodyOf(custodies, plugin.key);
    const obstacles =
      custody === undefined ? [`this version cannot retire ${plugin.key.kind} keys`] : retirementObstacles(view, key);
    if (custody === undefined || obstacles.length > 0) {
      refused.push(`key version ${version} is not retired: ${obstacles.join("; ")}`);
      continue;
    }
    try {
      await custody.retire(plugin.key, signal);
      onRetired(`key version ${version} (${describeKey(plugin.key)}) is retired`);
    } catch (thrown) {
      refused.push(`key version ${version} is not retired: ${describeError(thrown)}`);
    }
  }
  if (refused.length === 0) return;
  throw new KmsEtcdError("blocked", refused.join("; "), {
    remedy:
      "finish the rotation away from it, and remove snapshots that need it with their records; or do not retire it yet",
  });
}
