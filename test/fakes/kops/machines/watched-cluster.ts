/**
 * What must hold at every moment of a rotation, seen from outside: each API server that takes work reads every Secret that there is, and new
 * ones are written all the time, by whichever server answers.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { RealKopsCluster } from "./real-kops-cluster";

export interface ClusterWatch {
  /** Reads that an API server refused which takes work; what never may be. */
  readonly violations: readonly string[];
  /** How many reads succeeded. */
  reads(): number;
  /** Names of Secrets that were written meanwhile. */
  readonly written: readonly string[];
  stop(): Promise<void>;
}

const pause = 2_000;

export function watchCluster({ nodes }: RealKopsCluster): ClusterWatch {
  const violations: string[] = [];
  const written: string[] = [];
  const stopping = new AbortController();
  let reads = 0;

  async function write(): Promise<void> {
    const name = `w${written.length}-${Date.now()}`;
    const body = {
      ...{ apiVersion: "v1", kind: "Secret", metadata: { name } },
      stringData: { text: `content of ${name}` },
    };
    const made = await nodes.ask("POST", "/api/v1/namespaces/default/secrets", body).catch(() => undefined);
    if (made?.status === 201) written.push(name);
  }

  async function readThroughEach(): Promise<void> {
    const { text } = await nodes.ask("GET", "/api/v1/namespaces/default/secrets");
    const { items = [] } = JSON.parse(text) as { items?: { metadata: { name: string } }[] };
    for (const machine of nodes.machines()) {
      if (!(await machine.isReady())) continue;
      for (const { metadata } of items) {
        // Without a resourceVersion: from etcd, not from the server's cache.
        const path = `/api/v1/namespaces/default/secrets/${metadata.name}`;
        const answer = await machine.request("GET", path).catch(() => undefined);
        if (answer === undefined) break; // terminated meanwhile
        if (answer.status === 200) reads += 1;
        else if (![404, 429, 503].includes(answer.status)) {
          violations.push(`${machine.id} answers ${answer.status} for ${metadata.name}: ${answer.text.slice(0, 200)}`);
        }
      }
    }
  }

  const watching = (async () => {
    while (!stopping.signal.aborted) {
      await write();
      await readThroughEach().catch(() => undefined); // no API server at all for a moment
      await sleep(pause, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();
  return {
    violations,
    written,
    reads: () => reads,
    async stop() {
      stopping.abort();
      await watching;
    },
  };
}
