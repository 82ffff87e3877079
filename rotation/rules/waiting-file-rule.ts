/**
 * A file that waits on a host to be loaded is as good as loaded: a reload comes once a minute, a restart at any time. So what
 * somebody else has written there must read everything that is stored or written, and write nothing that a server cannot read.
 */
import { type ProviderItem, providerIds, readersOf, writerOf } from "../../core/encryption-configuration";
import { RotationStage } from "../../core/rotation-stage";
import type { ProviderId } from "../../core/write-key";
import type { Decision } from "../decision";
import type { ServerObservation } from "../observation";
import { serverState, validStored } from "../proofs";
import { type GoalSlot, listOf, neededProviders, type Situation } from "../situation";
import { addReaders, type Slot, slotProviders, withSlotProviders } from "../slots";
import { configWrite, type Rule } from "./rule";

/**
 * Invariants 1 and 2, before a file is loaded. The engine's own files hold them already; after PRUNE, or the kill of an engine
 * in it, that is measured once more. What is mended is the one list: the rest of the edit stays.
 */
export const waitingFilesAreHarmless: Rule = (situation) => {
  const { observed, slots } = situation;
  const waiting = observed.servers.filter(
    (server) =>
      server.file !== undefined &&
      server.loaded.config !== undefined &&
      server.file.hash !== server.loaded.hash &&
      // No file of its own is about to be loaded there; setting it up gives it one.
      server.setUp?.namesNoConfig !== true,
  );
  for (const server of waiting) {
    const harmed = slots.filter(
      ({ slot }) => writesUnreadably(situation, server, slot) || drops(server, slot, writtenBy(situation, slot)),
    );
    if (harmed.length > 0) return mend(server, harmed);
  }
  const dropping = waiting.filter((server) => slots.some(({ slot }) => dropped(server, slot).length > 0));
  if (dropping.length === 0) return undefined;
  if (validStored(observed, situation.targets) === undefined) {
    const cannotBeProven = observed.servers.some((server) => serverState(server) === undefined);
    const failed = observed.setbacks.some((setback) => setback.kind === "failed");
    if (failed || (cannotBeProven && observed.stored !== undefined)) return undefined;
    return {
      kind: "measure",
      stage: RotationStage.Read,
      measurement: { kind: "stored", targets: situation.targets },
      reason: `${dropping[0]?.name ?? ""} is about to load a file that lets go of a provider`,
    };
  }
  for (const server of dropping) {
    const harmed = slots.filter(({ slot }) => drops(server, slot, neededProviders(situation, slot)));
    if (harmed.length > 0) return mend(server, harmed);
  }
  return undefined;
};

/** The list that the server has loaded comes back, with what the file adds to it. */
function mend(server: ServerObservation, slots: readonly GoalSlot[]): Decision {
  let config = server.file?.config ?? { blocks: [] };
  for (const { slot } of slots) {
    const loaded = loadedList(server, slot);
    const known = readersOf(loaded);
    const added = listOf(server, slot).filter((item) => !providerIds(item).some((id) => known.has(id)));
    config = withSlotProviders(config, slot, addReaders(loaded, added));
  }
  return {
    kind: "act",
    stage: RotationStage.Read,
    action: { kind: "writeConfig", writes: [configWrite(server, config)] },
    reason: `somebody else has written the file of ${server.name}, and what it would load lacks what is needed`,
  };
}

function writesUnreadably({ observed }: Situation, server: ServerObservation, slot: Slot): boolean {
  const writer = writerOf(listOf(server, slot));
  if (writer === writerOf(loadedList(server, slot))) return false;
  return observed.servers.some((other) => other !== server && !readersOf(loadedList(other, slot)).has(writer));
}

function drops(server: ServerObservation, slot: Slot, needed: ReadonlySet<ProviderId>): boolean {
  return dropped(server, slot).some((id) => needed.has(id));
}

function dropped(server: ServerObservation, slot: Slot): readonly ProviderId[] {
  const readers = readersOf(listOf(server, slot));
  return [...readersOf(loadedList(server, slot))].filter((id) => !readers.has(id));
}

function writtenBy({ observed }: Situation, slot: Slot): ReadonlySet<ProviderId> {
  return new Set(
    observed.servers.flatMap((server) => [writerOf(listOf(server, slot)), writerOf(loadedList(server, slot))]),
  );
}

/** What the process uses; its file's list where that is not known. */
function loadedList({ loaded, ...server }: ServerObservation, slot: Slot): readonly ProviderItem[] {
  return loaded.config === undefined ? listOf({ loaded, ...server }, slot) : slotProviders(loaded.config, slot);
}
