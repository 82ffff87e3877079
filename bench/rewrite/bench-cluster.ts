/** A real control plane with Secrets in it, whose write key can be changed back and forth within seconds. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { startControlPlane } from "../../control-plane/start-control-plane";
import { stateLayout } from "../../control-plane/state-layout";
import { cleanControlPlane } from "../../control-plane/stop-control-plane";
import type { LocalControlPlane } from "../../core/local-control-plane";
import { createLocalFleet } from "../../rotation/adapters/hosts/local-fleet";
import type { ApiServerAddress } from "../../rotation/adapters/kubernetes/api-client";

export interface BenchCluster {
  readonly controlPlane: LocalControlPlane;
  readonly addresses: readonly ApiServerAddress[];
  /** Of the first server. */
  readonly kubeconfig: string;
  readonly directory: string;
  /** Every server writes with the other of two keys from now on; returns the provider. */
  changeKey(): Promise<string>;
  close(): Promise<void>;
}

export const benchNamespace = "bench";

/** `objects` Secrets of 1 KiB. Reports what it does, because it takes a while. */
export async function benchCluster(objects: number, report: (line: string) => void): Promise<BenchCluster> {
  const directory = mkdtempSync(join(tmpdir(), "kb-"));
  const stateDirectory = join(directory, "cp");
  // Read at start only: a restart takes seconds, a reload up to a minute.
  const controlPlane = await startControlPlane({ stateDirectory, automaticReload: false, report });
  const fleet = createLocalFleet(controlPlane);
  const keys = ["a", "b"].map((name) => ({
    kind: "secretbox" as const,
    keys: [{ name, secret: randomBytes(32).toString("base64") }],
  }));
  report(`creating ${objects} Secrets`);
  await createSecrets(controlPlane, objects);
  return {
    controlPlane,
    directory,
    kubeconfig: stateLayout(stateDirectory).host(controlPlane.hosts[0]?.name ?? "").kubeconfigFile,
    addresses: controlPlane.hosts.map(({ name, apiServerUrl, client }) => ({
      name,
      url: apiServerUrl,
      tls: {
        ca: readFileSync(client.caFile, "utf8"),
        cert: readFileSync(client.certFile, "utf8"),
        key: readFileSync(client.keyFile, "utf8"),
      },
    })),
    changeKey: async () => {
      keys.reverse();
      const signal = new AbortController().signal;
      const config = { blocks: [{ resources: ["secrets"], providers: [...keys, { kind: "identity" as const }] }] };
      const look = async (name: string) => (await fleet.observe(signal)).servers.find((server) => server.name === name);
      // A server without the second key could not read what another writes: with both in place this is only for two keys.
      for (const { name } of controlPlane.hosts) {
        const before = await look(name);
        await fleet.writeConfig({ server: name, expectedHash: before?.file?.hash, config });
        await fleet.restart(name);
        for (;;) {
          const now = await look(name);
          if (now?.file && now.loaded.hash === now.file.hash && now.notReady === undefined) break;
          await delay(200);
        }
      }
      return `secretbox/${keys[0]?.keys[0]?.name ?? ""}`;
    },
    close: async () => {
      await fleet.close();
      await cleanControlPlane(stateDirectory);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function createSecrets({ hosts }: LocalControlPlane, objects: number): Promise<void> {
  const pools = hosts.map(({ apiServerUrl, client }) => {
    const [ca, cert, key] = [client.caFile, client.certFile, client.keyFile].map((file) => readFileSync(file));
    return new Pool(apiServerUrl, { connections: 16, connect: { ca, cert, key } });
  });
  let next = 0;
  const post = async (path: string, body: object) => {
    const pool = pools[next % pools.length] as Pool;
    const headers = { "content-type": "application/json" };
    const answer = await pool.request({ method: "POST", path, headers, body: JSON.stringify(body) });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(text);
  };
  await post("/api/v1/namespaces", { metadata: { name: benchNamespace } });
  const worker = async () => {
    while (next < objects) {
      const name = `s${String(next++).padStart(6, "0")}`;
      const data = { value: randomBytes(1_024).toString("base64") };
      await post(`/api/v1/namespaces/${benchNamespace}/secrets`, { metadata: { name }, data });
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
  await Promise.all(pools.map((pool) => pool.close()));
}
