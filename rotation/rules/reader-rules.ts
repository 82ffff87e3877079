/**
 * Rules that make things readable: the new plugin (stage Plugin), the new reader (READ), and, before both, the repair that
 * gives back a reader which a server lacks although data or another server needs it.
 */
import { type ProviderItem, providerIds, readersOf, writerOf } from "../../core/encryption-configuration";
import { describeKey } from "../../core/key-reference";
import { RotationStage } from "../../core/rotation-stage";
import type { ProviderId } from "../../core/write-key";
import type { Decision } from "../decision";
import { declaredReaders } from "../declared-readers";
import type { Observation, ServerObservation, StoredProof } from "../observation";
import { isEtcdUnchanged, serverState, validReadThrough, validStored } from "../proofs";
import {
  blockWith,
  configOf,
  countedFor,
  declaredPlugin,
  isUnseen,
  itemFor,
  listOf,
  neededProviders,
  type Situation,
} from "../situation";
import { addReaders, type Slot, withSlotProviders } from "../slots";
import { trouble } from "./fleet-rules";
import { crosswiseDecision, pluginDecision } from "./plugin-rules";
import { blocked, configWrite, count, type Rule } from "./rule";

/** Servers that can read different things, or a server that can't get ready: look at what is stored before judging. */
export const differencesAreMeasured: Rule = (situation) => {
  const { observed, slots, targets } = situation;
  // A measurement that failed is not tried for ever: the run ends with what failed.
  if (observed.setbacks.some((setback) => setback.kind === "failed")) return undefined;
  if (validStored(observed, targets) !== undefined) return undefined;
  // No proof can hold for a server whose state is not known: one look at this etcd is all there is to have.
  if (lastLook(observed) !== undefined && observed.servers.some((server) => serverState(server) === undefined))
    return undefined;
  const differ = slots.some(({ slot, writer }) => {
    const others = (server: ServerObservation) => [...readersOf(listOf(server, slot))].filter((id) => id !== writer);
    const sets = observed.servers.map((server) => others(server).sort().join(" "));
    return new Set(sets).size > 1;
  });
  if (!differ && !troubled(situation)) return undefined;
  return {
    kind: "measure",
    // What follows may be a plugin that is started first, and a run's stage is never left backwards.
    stage: RotationStage.Plugin,
    measurement: { kind: "stored", targets },
    reason: differ
      ? "servers do not read the same providers"
      : "a server does not get ready: stored data may need a reader it lacks",
  };
};

/**
 * What some server writes, or stored data needs, every server must read: also after a restore of an old etcd backup. Where
 * something can't be read, and only the API says so, every declared key's reader is added, because any may be the one.
 */
export const everyServerReadsWhatIsNeeded: Rule = (situation) => {
  // Of a host that cannot be seen at all it is not known what it reads and writes: then nothing is concluded.
  if (situation.observed.servers.some(isUnseen)) return undefined;
  // A server that has just refused a file would refuse the like of it: the run ends with why.
  if (situation.observed.setbacks.some((setback) => setback.kind !== "unreadable")) return undefined;
  const needs = situation.slots.map(({ slot }) => ({ slot, required: requiredReaders(situation, slot) }));
  for (const { slot, required } of needs) {
    const lacking = situation.observed.servers.filter((server) => missing(server, slot, required).length > 0);
    for (const id of new Set(lacking.flatMap((server) => missing(server, slot, required)))) {
      if (itemFor(situation, slot, id) === undefined) {
        const elsewhere = blockWith(situation.observed, id);
        if (elsewhere !== undefined) {
          return blocked(
            RotationStage.Read,
            `${storedWith(situation, slot, id)}, which the configuration of ${elsewhere.server} has for ${elsewhere.resources.join(", ")} alone`,
            "restore, on every server, the configuration under which they were stored: nothing of them is lost",
          );
        }
        return blocked(
          RotationStage.Read,
          `${storedWith(situation, slot, id)}, which no server's configuration has and no declared key provides`,
          "declare the key that wrote them (oldestKeyVersion), or restore the configuration that named it; where that key is lost, delete them: kms-etcd plan and a preview name a few",
        );
      }
      const plugin = declaredPlugin(situation, slot, id);
      if (plugin !== undefined && situation.goal.retired?.includes(plugin.name)) {
        return blocked(
          RotationStage.Read,
          `stored ${slot.resources.join(", ")} need ${id}, whose key (${describeKey(plugin.key)}) has been retired`,
          "take its version out of retireKeyVersions, which makes the key usable again, then run again",
        );
      }
      const notYet = plugin && pluginDecision(situation, plugin, lacking);
      if (notYet !== undefined) return notYet;
    }
  }
  const perhaps: Need[] = [];
  for (const { slot, required } of needs) {
    const declared = usableDeclaredReaders(situation, slot);
    if (!(declared instanceof Set)) return declared;
    perhaps.push({ slot, required: new Set([...required, ...declared]) });
  }
  return addReadersDecision(situation, perhaps, (ids) => `what is stored or written needs ${ids}`);
};

/** Where objects can't be read and nothing says which key they need. A plugin that does not come up is left out. */
function usableDeclaredReaders(situation: Situation, slot: Slot): Set<ProviderId> | Decision {
  const usable = new Set<ProviderId>();
  for (const { id, plugin } of declaredReaders(situation, slot)) {
    const lacking = situation.observed.servers.filter((server) => missing(server, slot, new Set([id])).length > 0);
    const notYet = plugin && pluginDecision(situation, plugin, lacking);
    if (notYet?.kind === "blocked") continue;
    if (notYet !== undefined) return notYet;
    usable.add(id);
  }
  return usable;
}

/** What needs a reader, with what there is to find its key by. Its names are left to the plan: this text is kept in states. */
function storedWith({ observed: { stored } }: Situation, { resources }: Slot, id: ProviderId): string {
  const entries = (stored?.resources ?? []).filter((entry) => resources.includes(entry.resource));
  const keys = entries.flatMap((entry) => entry.keys.filter(({ key }) => key.provider === id));
  const objects = keys.reduce((sum, key) => sum + key.objects, 0);
  const keyIds = [...new Set(keys.flatMap(({ key }) => key.keyId ?? []))];
  const keyId = keyIds.length === 0 ? "" : ` (key_id ${keyIds.slice(0, 3).join(", ")})`;
  return `${objects === 0 ? "stored" : count(objects, "stored object")} of ${resources.join(", ")} ${objects === 1 ? "needs" : "need"} ${id}${keyId}`;
}

/** Stage Plugin: the new plugin runs on every host, and each decrypts what each other encrypted (invariant 1). */
export const newPluginIsProven: Rule = (situation) => {
  const { goal, observed } = situation;
  if (goal.writer === "identity") return undefined;
  const plugin = goal.writer;
  const notYet = pluginDecision(situation, plugin, observed.servers);
  if (notYet !== undefined) return notYet;
  return crosswiseDecision(situation, plugin, observed.servers);
};

/** READ: every server can decrypt with the new key before any encrypts with it. */
export const newKeyIsReadable: Rule = (situation) =>
  addReadersDecision(
    situation,
    situation.slots.map(({ slot, writer }) => ({ slot, required: new Set([writer]) })),
    (ids) => `every server must read ${ids} before any writes it`,
  );

/** What the servers of a slot must be able to read. */
interface Need {
  readonly slot: Slot;
  readonly required: ReadonlySet<ProviderId>;
}

function requiredReaders(situation: Situation, slot: Slot): ReadonlySet<ProviderId> {
  const { observed } = situation;
  const writers = observed.servers.map((server) => writerOf(listOf(server, slot)));
  const unreadable = observed.servers.some((server) => (validReadThrough(observed, server)?.failures.length ?? 0) > 0);
  const all = observed.servers.flatMap((server) => [...readersOf(listOf(server, slot))]);
  if (unreadable) return new Set([...writers, ...all]);
  if (validStored(observed, situation.targets) !== undefined)
    return new Set([...writers, ...neededProviders(situation, slot)]);
  // While a server is away no proof is valid, but a reader that is added for what was seen does no harm.
  const seen = countedFor(situation, slot, lastLook(observed)?.resources ?? []);
  return new Set([...writers, ...(troubled(situation) ? seen : [])]);
}

/** What etcd was seen to hold in this run, as long as it is the same etcd, whatever has become of the servers. */
function lastLook({ stored, etcd }: Observation): StoredProof | undefined {
  return stored !== undefined && isEtcdUnchanged(etcd, stored.etcd) ? stored : undefined;
}

function missing(server: ServerObservation, slot: Slot, required: ReadonlySet<ProviderId>): readonly ProviderId[] {
  const readers = readersOf(listOf(server, slot));
  return [...required].filter((id) => !readers.has(id));
}

/** One act for all slots. With automatic reload it is one for all servers too; others are written and restarted one by one. */
function addReadersDecision(
  situation: Situation,
  needs: readonly Need[],
  reason: (ids: string) => string,
): Decision | undefined {
  const lacks = (server: ServerObservation) => needs.flatMap(({ slot, required }) => missing(server, slot, required));
  const lacking = situation.observed.servers.filter((server) => lacks(server).length > 0);
  if (lacking.length === 0) return undefined;
  const writes = oneAct(lacking).map((server) => {
    let config = configOf(server) ?? { blocks: [] };
    for (const { slot, required } of needs) {
      const items = itemsFor(situation, slot, missing(server, slot, required));
      if (items.length > 0) config = withSlotProviders(config, slot, addReaders(listOf(server, slot), items));
    }
    return configWrite(server, config);
  });
  return {
    kind: "act",
    stage: RotationStage.Read,
    action: { kind: "writeConfig", writes },
    reason: reason([...new Set(lacking.flatMap(lacks))].join(", ")),
  };
}

/** The items that read `ids`, each once: one local item may read several. */
function itemsFor(situation: Situation, slot: Slot, ids: readonly ProviderId[]): readonly ProviderItem[] {
  const items: ProviderItem[] = [];
  for (const id of ids) {
    const item = itemFor(situation, slot, id);
    if (item !== undefined && !items.some((known) => providerIds(known).includes(id))) items.push(item);
  }
  return items;
}

/** Which of `servers` may be written together: all that reload by themselves, or else the first one alone (invariant 3). */
export function oneAct(servers: readonly ServerObservation[]): readonly ServerObservation[] {
  const hot = servers.filter((server) => server.reload === "hot");
  return hot.length > 0 ? hot : servers.slice(0, 1);
}

function troubled({ observed }: Situation): boolean {
  return observed.servers.some((server) => trouble(server) !== undefined);
}
