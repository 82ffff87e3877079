/** A kOps observation seen from the goal: what the secret says, what machines have, what the spec should say. Pure. */
import { createHash } from "node:crypto";
import { refusalOf } from "../../../core/configuration-refusal";
import {
  type EncryptionConfiguration,
  endpointsOf,
  type ProviderItem,
  providerIds,
  readersOf,
  writerOf,
} from "../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../core/errors";
import type { PluginInstance } from "../../../core/plugin-instance";
import { identityProvider, type ProviderId } from "../../../core/write-key";
import type { RewriteTarget } from "../../decision";
import type { ServerState, StoredProof } from "../../observation";
import { identityItem, kmsItem } from "../../situation";
import { countedIn } from "../../slot-needs";
import { type Slot, slotProviders, slotsOf, withReaders, withSlotProviders } from "../../slots";
import { apiServerGroups, type InstanceGroup, type KopsCluster } from "./cluster-spec";
import type { KopsGoal } from "./kops-decision";
import type { KopsObservation, KopsRunFacts, Machine } from "./kops-observation";
import { type KmsSettings, pluginsOf } from "./merge-cluster-spec";
import { kopsEndpoint } from "./plugin-asset";
import { secretText } from "./secret-text";

export interface KopsSlot {
  readonly slot: Slot;
  readonly item: ProviderItem;
  readonly writer: ProviderId;
}

export interface KopsSituation {
  readonly observed: KopsObservation;
  readonly goal: KopsGoal;
  /** The secret's configuration; that of a cluster without encryption where there is none. */
  readonly config: EncryptionConfiguration;
  /** Groups whose machines run an API server, in the order in which kOps rolls them. */
  readonly groups: readonly InstanceGroup[];
  readonly slots: readonly KopsSlot[];
  readonly targets: readonly RewriteTarget[];
  /** Machines whose API server is not proven to use the secret as it is now. */
  readonly behind: readonly Machine[];
}

/** Throws `unsupported` where the configuration is one that can't be moved; its reason and remedy are for people. */
export function kopsSituation(observed: KopsObservation, goal: KopsGoal): KopsSituation {
  const config = observed.secret?.config ?? plaintextConfig(goal.resources);
  const configs = new Map([["the encryptionconfig secret", config]]);
  for (const machine of observed.machines) {
    if (machine.loaded.kind === "hash" && machine.loaded.known !== undefined)
      configs.set(machine.name, machine.loaded.known.config);
  }
  const slots = slotsOf(goal.resources, configs).map((slot): KopsSlot => {
    const item = goal.writer === "identity" || slot.leaving ? identityItem : kmsItem(goal.writer, slot, kopsEndpoint);
    return { slot, item, writer: writerOf([item]) };
  });
  const refusal = refusalOf(withReaders(config, slots), false);
  if (refusal !== undefined) {
    const reason = `no API server would load a configuration for resources ${goal.resources.join(", ")}: ${refusal.path} ${refusal.problem}`;
    throw new KmsEtcdError("unsupported", reason, { remedy: `${refusal.remedy}; or change resources` });
  }
  const keyId = goal.writer === "identity" ? undefined : keyIdOf(goal.writer);
  const targets = slots.flatMap(({ slot, writer }) =>
    slot.writes.map((resource) => ({
      resource,
      key: keyId === undefined || writer === identityProvider ? { provider: writer } : { provider: writer, keyId },
    })),
  );
  const groups = apiServerGroups(observed.groups);
  const behind = observed.machines.filter((machine) => !isCurrent(machine, observed, config));
  return { observed, goal, config, groups, slots, targets, behind };
}

/** The situation; undefined where the configuration is one that can't be moved, which `decideKops` says. */
export function presentSituation(observed: KopsObservation, goal: KopsGoal): KopsSituation | undefined {
  try {
    return kopsSituation(observed, goal);
  } catch {
    return undefined;
  }
}

/** The secret, where it is a configuration. */
export function validSecretOf({
  secret,
}: Pick<KopsObservation, "secret">): { readonly hash: string; readonly config: EncryptionConfiguration } | undefined {
  return secret?.config && { hash: secret.hash, config: secret.config };
}

/** A block for each, so that one can leave without the others; wildcards behind what they cover. */
export function plaintextConfig(resources: readonly string[]): EncryptionConfiguration {
  return resources.reduce<EncryptionConfiguration>(
    (config, name) =>
      withSlotProviders(config, { name, resources: [name], writes: [name], leaving: false }, [identityItem]),
    { blocks: [] },
  );
}

/** What the spec should have, given these plugins. */
export function settingsFor(situation: KopsSituation, plugins: readonly PluginInstance[]): KmsSettings {
  const { goal, groups } = situation;
  return {
    plugins,
    image: goal.image,
    roles: [...new Set(groups.map((group) => group.role))],
    ...(goal.statements === undefined ? {} : { statements: goal.statements }),
  };
}

/** Both of what an update reads: when neither has changed since, a further update changes nothing. */
export function storeFingerprint(cluster: KopsCluster, hash: string | undefined): string {
  return createHash("sha256")
    .update(JSON.stringify([cluster, hash]))
    .digest("hex");
}

/** The machines with what each is known to run: a validation or a proof holds for these and no others. */
export function machinesFingerprint(machines: readonly Machine[]): string {
  return JSON.stringify(machines.map(({ name, processStartedAt, loaded }) => [name, processStartedAt, loaded]).sort());
}

/** Our plugins that a configuration names by their endpoints, as far as they are declared. */
export function pluginsNamed(config: EncryptionConfiguration, goal: KopsGoal): readonly PluginInstance[] {
  const endpoints = endpointsOf(config);
  return goal.declared.filter((plugin) => endpoints.has(kopsEndpoint(plugin)));
}

/** Endpoints on machines that have these assets. */
export function servedEndpoints(cluster: KopsCluster): ReadonlySet<string> {
  return new Set(pluginsOf(cluster).flatMap((plugin) => plugin.sockets.map((socket) => `unix://${socket}`)));
}

/** The list of `slot` on a machine: the secret's own text may have been loaded, another one, or none. Undefined: not known. */
export function loadedList(machine: Machine, slot: Slot): readonly ProviderItem[] | undefined {
  if (machine.loaded.kind === "none") return [identityItem];
  if (machine.loaded.kind === "unknown" || machine.loaded.known === undefined) return undefined;
  return slotProviders(machine.loaded.known.config, slot);
}

/** Providers that must stay readable: what machines may write now, and what a valid count has found stored. */
export function neededReaders(situation: KopsSituation, slot: Slot): ReadonlySet<ProviderId> {
  const writers = situation.observed.machines.flatMap((machine) => {
    const list = loadedList(machine, slot);
    return list === undefined ? [] : [writerOf(list)];
  });
  const { config, observed, slots } = situation;
  const known = observed.machines.flatMap(({ loaded }) => (loaded.kind === "hash" ? (loaded.known?.config ?? []) : []));
  const all = slots.map((kopsSlot) => kopsSlot.slot);
  const counted = countedIn(slot, all, [config, ...known], validStored(situation)?.resources ?? []);
  return new Set([...writers, ...counted]);
}

/** An item that reads `id`: as the secret or a machine has it, or rebuilt from a declared key. */
export function itemFor(situation: KopsSituation, slot: Slot, id: ProviderId): ProviderItem | undefined {
  if (id === identityProvider) return identityItem;
  const lists = [
    slotProviders(situation.config, slot),
    ...situation.observed.machines.flatMap((machine) => [loadedList(machine, slot) ?? []]),
    situation.goal.declared.map((plugin) => kmsItem(plugin, slot, kopsEndpoint)),
  ];
  return lists.flat().find((item) => providerIds(item).includes(id));
}

/** Whether the slot's list on every machine that is known reads `id`. */
export function everyMachineReads(situation: KopsSituation, slot: Slot, id: ProviderId): boolean {
  return situation.observed.machines.every((machine) => {
    const list = loadedList(machine, slot);
    return list === undefined || readersOf(list).has(id);
  });
}

/** The count of stored objects, if the machines are still those that it was made on. */
export function validStored(situation: Pick<KopsSituation, "observed" | "targets">): StoredProof | undefined {
  const proof = situation.observed.run.stored;
  if (proof === undefined || !sameStates(proof.servers, machineStates(situation.observed))) return undefined;
  const covered = situation.targets.every(({ resource }) =>
    proof.resources.some((entry) => entry.resource === resource),
  );
  return covered ? proof : undefined;
}

/** The machines as proofs are bound to them. */
export function machineStates(observed: Pick<KopsObservation, "machines" | "secret">): readonly ServerState[] {
  return observed.machines.map((machine) => machineState(machine, observed.secret?.hash));
}

/** A server that names no hash is taken to use the secret: rules ask for a proof only when all machines are current. */
export function machineState({ name, loaded, processStartedAt }: Machine, hash: string | undefined): ServerState {
  return { server: name, loadedHash: loaded.kind === "hash" ? loaded.hash : (hash ?? ""), processStartedAt };
}

/** The secret's text with another configuration. */
export function textFor(situation: KopsSituation, config: EncryptionConfiguration): string {
  return secretText(config, situation.observed.secret?.text);
}

/**
 * 1. The server names the very text.  2. It has none, and the secret says no more than that.
 * 3. It can't say: its whole group was replaced in this run, after the secret was put there.
 */
function isCurrent(machine: Machine, observed: KopsObservation, config: EncryptionConfiguration): boolean {
  const hash = observed.secret?.hash;
  if (machine.unreachable !== undefined) return false;
  switch (machine.loaded.kind) {
    case "hash":
      return machine.loaded.hash === hash;
    case "none":
      return config.blocks.every((block) => block.providers.every((item) => item.kind === "identity"));
    case "unknown":
      return !machine.needsUpdate && hash !== undefined && observed.run.rolledFor[machine.group] === hash;
  }
}

/**
 * A machine whose version does not say what it has loaded is taken to run the secret while its group was told of it, kOps finds the
 * machine to be made from that, and this run has changed nothing. That is enough to leave a cluster as it is, and for nothing else: see
 * `decideKops`.
 */
export function machinesAtRest(observed: KopsObservation): KopsObservation {
  const { secret, applied, machines, run } = observed;
  const canAllSay = machines.every(({ loaded }) => loaded.kind !== "unknown");
  if (secret === undefined || canAllSay || hasActed(run)) return observed;
  const groups = applied.filter(({ group, secretHash }) => {
    const own = machines.filter((machine) => machine.group === group);
    return secretHash === secret.hash && own.every(({ needsUpdate }) => !needsUpdate);
  });
  const rolledFor = Object.fromEntries(groups.map(({ group }) => [group, secret.hash]));
  return { ...observed, run: { ...run, rolledFor: { ...rolledFor, ...run.rolledFor } } };
}

function hasActed({ updatedFor, specChanged, replaced, rolledFor, rewrites, notLoaded }: KopsRunFacts): boolean {
  const counts = [rewrites.count, Object.keys(rolledFor).length, Object.keys(notLoaded).length];
  return updatedFor !== undefined || specChanged || replaced !== undefined || counts.some((count) => count > 0);
}

/** What the plugin reports as key_id follows from the reference for keys in AWS KMS (`--key` verbatim) and in files. */
function keyIdOf({ key }: PluginInstance): string | undefined {
  if (key.kind === "aws") return key.keyArn;
  return key.kind === "local" ? key.keyId : undefined;
}

function sameStates(a: readonly ServerState[], b: readonly ServerState[]): boolean {
  const key = (states: readonly ServerState[]) =>
    states
      .map((state) => JSON.stringify([state.server, state.loadedHash, state.processStartedAt]))
      .sort()
      .join();
  return key(a) === key(b);
}
