/** From when on every stored write uses the goal's key, as far as a run can know. */
import type { Observation, ServerObservation } from "./observation";

/**
 * A server that reloaded in place may still finish a request that it began with the old key, for as long as a request may
 * run; a server that restarted has no such request. `previous` stays while every look since has seen the goal's key
 * writing everywhere: later reloads (PRUNE) do not bring old writes back.
 */
export function settledSince(
  previous: number | undefined,
  observed: Observation,
  writersAreTheGoals: boolean,
): number | undefined {
  const loaded = observed.servers.every(
    (server) =>
      server.unreachable === undefined && server.file !== undefined && server.file.hash === server.loaded.hash,
  );
  // While a file that keeps the goal's writer is being loaded, nothing old can be written.
  if (!writersAreTheGoals) return undefined;
  if (!loaded) return previous;
  const settled = Math.max(
    ...observed.servers.flatMap((server) => [
      wasLoadedAtStart(server) ? server.processStartedAt : server.loaded.since + server.requestTimeout,
      // Under the same configuration a server may have changed over to another key_id since.
      ...(server.heardKeyIds ?? []).flatMap(({ since }) => (since === 0 ? [] : [since + server.requestTimeout])),
    ]),
  );
  return previous === undefined ? settled : Math.min(previous, settled);
}

/**
 * By both times: a file that was written after the process began, and loaded seconds later, was reloaded, and the process may have
 * begun requests with the one before.
 */
function wasLoadedAtStart({ file, loaded, processStartedAt }: ServerObservation): boolean {
  return file !== undefined && file.writtenAt < processStartedAt && loaded.since <= processStartedAt + startUp;
}

/** A configuration counts as loaded at start when its time is within this of the process start: clocks and start-up differ. */
const startUp = 5_000;
