/**
 * Rules that repair the file on a host: one that cannot be used, and one that its server does not start with. Both go back to
 * a configuration of which the host keeps a backup.
 */
import { type EncryptionConfiguration, providerIds, readersOf, writerOf } from "../../core/encryption-configuration";
import { RotationStage } from "../../core/rotation-stage";
import type { ProviderId } from "../../core/write-key";
import type { Decision } from "../decision";
import type { ServerObservation } from "../observation";
import { isEtcdUnchanged } from "../proofs";
import { countedFor, declaredPlugin, listOf, type Situation } from "../situation";
import { type Slot, slotProviders } from "../slots";
import { trouble } from "./fleet-rules";
import { blocked, type Rule } from "./rule";

/**
 * Invariant 11: a file that cannot be loaded must not wait on disk for the next restart. What the server runs goes back in its
 * place, also where somebody has removed the file. Nothing is at stake for the server: it keeps what it has loaded.
 */
export const everyFileCanBeUsed: Rule = ({ observed }) => {
  for (const server of observed.servers) {
    const { name, file, fileProblem, loaded, lastReadyHash } = server;
    if (file !== undefined) continue;
    // Of a host that nobody can see it is not known that its file is gone.
    if (fileProblem === undefined && server.unreachable !== undefined) continue;
    const back = loaded.config === undefined ? lastReadyHash : loaded.hash;
    const readable = fileProblem === undefined || fileProblem.hash !== undefined;
    const failure = observed.setbacks.find((setback) => setback.kind === "failed")?.reason;
    if (back !== undefined && readable && failure === undefined) {
      return {
        kind: "act",
        stage: RotationStage.Read,
        action: {
          kind: "restoreLoaded",
          server: name,
          expectedHash: fileProblem?.hash,
          loadedHash: back,
          failed: undefined,
        },
        reason: `${name} gets back the configuration that it has loaded: ${fileProblem?.reason ?? "the file is gone"}`,
      };
    }
    // A server that is away may have a configuration to go back to; one that never had a file is told so by its gate.
    const mayGoBack = readable && trouble(server) !== undefined && server.fallback !== undefined;
    if (fileProblem === undefined || mayGoBack) continue;
    return blocked(
      RotationStage.Read,
      `the encryption configuration of ${name} cannot be used: ${[fileProblem.reason, failure].filter(Boolean).join("; ")}`,
      readable
        ? "mend the file; the backup directory of that host has earlier ones by their SHA-256"
        : "let the engine read the file, then run again",
    );
  }
  return undefined;
};

/**
 * A server that does not start with its file goes back to what it had loaded before, also when an earlier run wrote the file
 * and was killed. What a host's record says may be one step old, so it counts only where that configuration reads everything
 * that the other servers write and that is stored. It comes after the repair of readers: adding one is the smaller step.
 */
export const serversGoBack: Rule = (situation) => {
  const { observed } = situation;
  for (const server of observed.servers) {
    const { name, file, fileProblem, fallback } = server;
    const why = trouble(server);
    if (fallback === undefined || why === undefined) continue;
    if (fileProblem !== undefined && fileProblem.hash === undefined) continue;
    // Once in a run: where that did not help either, nothing is known to go back to.
    if (observed.setbacks.some((setback) => setback.server === name && setback.unfinished !== true)) continue;
    if (!readsWhatIsNeeded(situation, server, fallback.config)) continue;
    const expectedHash = file?.hash ?? fileProblem?.hash;
    return (
      startPluginOf(situation, server, fallback.config) ?? {
        kind: "act",
        stage: RotationStage.Read,
        action: {
          kind: "restoreLoaded",
          server: name,
          expectedHash,
          loadedHash: fallback.hash,
          // A file that nobody could load is no gate that failed.
          failed:
            fileProblem === undefined
              ? `${name} did not become ready with ${expectedHash ?? "no file"}: ${why}`
              : undefined,
        },
        reason: `${name} goes back to the configuration that it had before: ${fileProblem?.reason ?? why}`,
      }
    );
  }
  return undefined;
};

function readsWhatIsNeeded(situation: Situation, server: ServerObservation, config: EncryptionConfiguration): boolean {
  return situation.slots.every(({ slot }) => {
    const readers = readersOf(slotProviders(config, slot));
    return [...neededOf(situation, server, slot)].every((id) => readers.has(id));
  });
}

/** What others write, and what etcd was seen to hold in this run; without such a look, everything that anyone reads. */
function neededOf(situation: Situation, server: ServerObservation, slot: Slot): ReadonlySet<ProviderId> {
  const { observed } = situation;
  const others = observed.servers.filter((other) => other !== server);
  const lists = others.flatMap((other) => [
    listOf(other, slot),
    ...(other.loaded.config === undefined ? [] : [slotProviders(other.loaded.config, slot)]),
  ]);
  const written = lists.map(writerOf);
  const { stored, etcd } = observed;
  const isSeen = stored?.method === "etcd" && isEtcdUnchanged(etcd, stored.etcd);
  const entries = isSeen ? stored.resources : [];
  const seen = entries.filter((entry) => slot.resources.includes(entry.resource) && entry.unknown === 0);
  if (seen.length === slot.resources.length) {
    return new Set([...written, ...countedFor(situation, slot, seen)]);
  }
  const own = server.file === undefined ? [] : [listOf(server, slot)];
  return new Set([...written, ...[...lists, ...own].flatMap((list) => [...readersOf(list)])]);
}

/** Invariant 4: the socket first, then a configuration that names it. */
function startPluginOf(
  situation: Situation,
  server: ServerObservation,
  config: EncryptionConfiguration,
): Decision | undefined {
  for (const { slot } of situation.slots) {
    for (const id of slotProviders(config, slot).flatMap(providerIds)) {
      const plugin = declaredPlugin(situation, slot, id);
      if (plugin === undefined || server.plugins.some((seen) => seen.name === plugin.name)) continue;
      return {
        kind: "act",
        stage: RotationStage.Plugin,
        action: { kind: "startPlugin", server: server.name, plugin },
        reason: `${server.name} goes back to a configuration that names ${id}`,
      };
    }
  }
  return undefined;
}
