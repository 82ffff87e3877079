/** When each API server was ready, as a client sees it that asks all the time. */
import { setTimeout as delay } from "node:timers/promises";
import type { KubeletCluster } from "./kubelet-cluster";

export interface Absence {
  readonly host: string;
  /** Milliseconds since the epoch: the last answer that it was ready, and the next one. */
  readonly from: number;
  readonly to: number;
}

export interface ReadinessRecord {
  /** The times in which a server was away and has come back. */
  stop(): Promise<readonly Absence[]>;
}

const pause = 200;

export function recordReadiness({ controlPlane, request }: KubeletCluster): ReadinessRecord {
  const absences: Absence[] = [];
  const ending = new AbortController();
  const watching = controlPlane.hosts.map(async ({ name }, host) => {
    let last = Date.now();
    let away = false;
    while (!ending.signal.aborted) {
      const ready = await request(host, "GET", "/readyz").then(
        ({ status }) => status === 200,
        () => false,
      );
      if (ready && away) absences.push({ host: name, from: last, to: Date.now() });
      if (ready) last = Date.now();
      away = !ready;
      await delay(pause);
    }
  });
  return {
    async stop() {
      ending.abort();
      await Promise.all(watching);
      return absences;
    },
  };
}
