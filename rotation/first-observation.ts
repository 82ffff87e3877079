/** What one look at a fleet says before anything has been done or proven: where a plan, a retirement and a run begin. */
import type { FleetObservation } from "./fleet";
import type { Observation } from "./observation";

export function firstObservation(seen: FleetObservation, now: number): Observation {
  return {
    ...seen,
    now,
    runStartedAt: now,
    servers: seen.servers.map((server) => ({ ...server, troubleSince: undefined, lastReadyHash: undefined })),
    crosswise: [],
    stored: undefined,
    readThrough: [],
    setbacks: [],
    written: [],
    rewrites: { count: 0, failures: [] },
    settledAt: undefined,
  };
}
