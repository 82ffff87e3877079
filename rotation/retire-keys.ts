/**
 * Retiring key versions: an input of its own, never a part of a rotation (invariant 5). A key is retired once nothing is seen
 * to need it: no stored value, no configuration of a server, no kept snapshot. What needs it is named.
 */
import type { EncryptionConfiguration } from "../core/encryption-configuration";
import { describeError, KmsEtcdError } from "../core/errors";
import { describeKey } from "../core/key-reference";
import type { PluginInstance } from "../core/plugin-instance";
import { providerName, resourceSlot } from "../core/provider-name";
import type { Goal } from "./goal";
import { custodyOf, type KeyCustodies } from "./key-custody";
import type { Observation, ServerObservation, StoredKey } from "./observation";
import { validStored } from "./proofs";
import { type EndpointOf, hasKeyId, situationOf } from "./situation";
import type { SnapshotRecord } from "./snapshot-record";

/** A version of the key that shall be retired. */
export interface RetiringKey {
  readonly version: number;
  readonly plugin: PluginInstance;
}

export interface RetirementView {
  readonly observed: Observation;
  readonly goal: Goal;
  readonly endpointOf: EndpointOf;
  /** Of every snapshot that is kept. */
  readonly snapshots: readonly SnapshotRecord[];
  /** Directories of snapshots that are not on this machine. */
  readonly unseenSnapshots?: readonly string[];
  /** Everything in etcd by its key, where that was counted; without, the proof of the goal's resources has to do. */
  readonly inEtcd?: { readonly keys: readonly StoredKey[]; readonly unknown: number };
}

/** Why the key cannot be retired: one sentence for each thing that needs it, or of which it is not known. Pure. */
export function retirementObstacles(view: RetirementView, { plugin }: RetiringKey): readonly string[] {
  if (isWriter(view, plugin)) return ["it is the key that encrypts"];
  const isNeed = needTest(view, plugin);
  return [
    ...view.observed.servers.flatMap((server) => serverObstacles(view, server, plugin)),
    ...storedObstacles(view, isNeed),
    ...snapshotObstacles(view, isNeed),
  ];
}

/** Of these, what no rotation can change: for a preview, in which a rotation is still to come. Pure. */
export function lastingObstacles(view: RetirementView, { plugin }: RetiringKey): readonly string[] {
  return isWriter(view, plugin) ? ["it is the key that encrypts"] : snapshotObstacles(view, needTest(view, plugin));
}

function isWriter({ goal }: RetirementView, plugin: PluginInstance): boolean {
  return goal.writer !== "identity" && goal.writer.name === plugin.name;
}

type IsNeed = (key: StoredKey["key"]) => boolean;

function snapshotObstacles({ snapshots, unseenSnapshots = [] }: RetirementView, isNeed: IsNeed): readonly string[] {
  const unseen = unseenSnapshots.map(
    (directory) =>
      `what snapshots in ${directory} need is not known, because that directory is not on this machine (where none is kept any more, make it, empty)`,
  );
  const needing = snapshots.flatMap(({ snapshot, needs, unknown }) => {
    if (needs.some(isNeed)) return [`the snapshot ${snapshot} needs it`];
    return unknown > 0 ? [`the snapshot ${snapshot} has ${unknown} values that may need any key`] : [];
  });
  return [...needing, ...unseen];
}

function serverObstacles(
  { endpointOf }: RetirementView,
  server: ServerObservation,
  plugin: PluginInstance,
): readonly string[] {
  const { name, file, loaded, unreachable } = server;
  if (unreachable !== undefined || file === undefined || loaded.config === undefined) {
    return [`it is not known what ${name} reads with`];
  }
  const names = (config: EncryptionConfiguration) =>
    config.blocks.some((block) =>
      block.providers.some((item) => item.kind === "kms" && item.endpoint === endpointOf(plugin)),
    );
  return names(file.config) || names(loaded.config) ? [`the configuration of ${name} names it`] : [];
}

function storedObstacles({ observed, goal, endpointOf, inEtcd }: RetirementView, isNeed: IsNeed): readonly string[] {
  const proof =
    inEtcd === undefined ? validStored(observed, situationOf(observed, goal, endpointOf).targets) : undefined;
  const proven = proof?.method === "counted" ? undefined : proof?.resources;
  const entries = inEtcd === undefined ? proven : [inEtcd];
  if (entries === undefined) return ["it is not known what is stored"];
  const unknown = entries.reduce((sum, entry) => sum + entry.unknown, 0);
  const needing = entries
    .flatMap((entry) => entry.keys)
    .filter(({ key }) => isNeed(key))
    .reduce((sum, { objects }) => sum + objects, 0);
  return [
    ...(needing > 0 ? [`${needing} stored ${needing === 1 ? "object needs" : "objects need"} it`] : []),
    ...(unknown > 0 ? [`${unknown} stored values cannot be understood and may need it`] : []),
  ];
}

/** By the key_id, also where the key's plugins have stopped, and by every provider name that the engine may have given the key. */
function needTest({ observed, goal }: RetirementView, plugin: PluginInstance): IsNeed {
  const blocks = observed.servers.flatMap((server) => [
    ...(server.file?.config.blocks ?? []),
    ...(server.loaded.config?.blocks ?? []),
  ]);
  const slots = [...goal.resources.map((resource) => [resource]), ...blocks.map((block) => block.resources)];
  const providers = new Set(slots.map((slot) => `kms/v2/${providerName("v2", plugin.key, resourceSlot(slot))}`));
  return ({ provider, keyId }) => (keyId !== undefined && hasKeyId(observed, plugin, keyId)) || providers.has(provider);
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
