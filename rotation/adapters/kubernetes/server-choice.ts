/** Which API server gets the next request: the one with the fewest in flight, and none that has just failed. */
import { setTimeout as delay } from "node:timers/promises";
import { KmsEtcdError } from "../../../core/errors";
import type { ApiClient } from "./api-client";

export interface ServerChoice {
  /**
   * Waits while every server is paused. The caller calls `release` when its request has ended.
   * Throws `unreachable` when none has answered for a minute, `cancelled` when `signal` is aborted.
   */
  take(signal: AbortSignal): Promise<ApiClient>;
  release(client: ApiClient): void;
  /** Leaves the server alone for this long; without a time, for longer with every failure in a row. */
  pause(client: ApiClient, milliseconds?: number): void;
  /** The server answered, whatever it said. */
  answered(client: ApiClient): void;
}

const firstPause = 500;
const longestPause = 10_000;
/** Longer than an API server needs for a restart. */
const patience = 60_000;

export function serverChoice(clients: readonly ApiClient[]): ServerChoice {
  if (clients.length === 0) throw new KmsEtcdError("invalid-input", "no API server was given to work through");
  const servers = clients.map((client) => ({ client, inFlight: 0, pausedUntil: 0, failures: 0 }));
  let lastAnswer = Date.now();
  const of = (client: ApiClient) => servers.find((server) => server.client === client);
  return {
    take: async (signal) => {
      for (;;) {
        if (signal.aborted) throw new KmsEtcdError("cancelled", "stopped at a safe point");
        const now = Date.now();
        const ready = servers.filter((server) => server.pausedUntil <= now);
        const chosen = ready.sort((a, b) => a.inFlight - b.inFlight)[0];
        if (chosen !== undefined) {
          chosen.inFlight += 1;
          return chosen.client;
        }
        if (now - lastAnswer > patience) {
          const names = clients.map((client) => client.name).join(", ");
          throw new KmsEtcdError("unreachable", `no answer from ${names} for ${patience / 1_000} s`);
        }
        const until = Math.min(...servers.map((server) => server.pausedUntil));
        await delay(Math.max(until - now, 1), undefined, { signal }).catch(() => undefined);
      }
    },
    release: (client) => {
      const server = of(client);
      if (server !== undefined) server.inFlight -= 1;
    },
    pause: (client, milliseconds) => {
      const server = of(client);
      if (server === undefined) return;
      const now = Date.now();
      // Requests that fail together are one failure: only the first of them makes the next pause longer.
      if (milliseconds === undefined && server.pausedUntil > now) return;
      const own = Math.min(firstPause * 2 ** server.failures, longestPause);
      if (milliseconds === undefined) server.failures += 1;
      server.pausedUntil = Math.max(server.pausedUntil, now + (milliseconds ?? own));
    },
    answered: (client) => {
      lastAnswer = Date.now();
      const server = of(client);
      if (server !== undefined) server.failures = 0;
    },
  };
}
