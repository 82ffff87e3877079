/** A real control plane with objects in it, whose write key can be changed within seconds. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { storageVersionMigration } from "../../control-plane/controller-manager";
import { runningPods } from "../../control-plane/running-pods";
import { startControlPlane } from "../../control-plane/start-control-plane";
import { apiServerPodName, etcdHostName, etcdPodName, stateLayout } from "../../control-plane/state-layout";
import { cleanControlPlane } from "../../control-plane/stop-control-plane";
import type { LocalControlPlane } from "../../core/local-control-plane";
import { etcdConnections } from "../../rotation/adapters/etcd/etcd-connections";
import { compactEtcd, memberStatus } from "../../rotation/adapters/etcd/etcd-maintenance";
import { createLocalFleet } from "../../rotation/adapters/hosts/local-fleet";
import type { ApiServerAddress } from "../../rotation/adapters/kubernetes/api-client";
import type { Dataset } from "./dataset";

export interface BenchCluster {
  readonly controlPlane: LocalControlPlane;
  readonly addresses: readonly ApiServerAddress[];
  /** Of the first server. */
  readonly kubeconfig: string;
  readonly directory: string;
  fill(dataset: Dataset): Promise<void>;
  /** Every server writes with a new key from now on, so that everything is stale; returns the provider. */
  changeKey(): Promise<string>;
  /** The processes that are at work, as they are now. */
  pids(): { readonly apiServers: readonly number[]; readonly etcd: number };
  close(): Promise<void>;
}

/** Reports what it does, because it takes a while. */
export async function benchCluster(servers: number, report: (line: string) => void): Promise<BenchCluster> {
  const directory = mkdtempSync(join(tmpdir(), "kb-"));
  const stateDirectory = join(directory, "cp");
  const layout = stateLayout(stateDirectory);
  try {
    const controlPlane = await startControlPlane({
      stateDirectory,
      hosts: servers,
      // Read at start only: a restart takes seconds, a reload up to a minute.
      automaticReload: false,
      apiServerArguments: storageVersionMigration.apiServerArguments,
      etcdArguments: ["--quota-backend-bytes=4294967296"],
      requestTimeoutSeconds: 60,
      report,
    });
    const fleet = createLocalFleet(controlPlane);
    return {
      controlPlane,
      directory,
      kubeconfig: layout.host(controlPlane.hosts[0]?.name ?? "").kubeconfigFile,
      addresses: controlPlane.hosts.map(({ name, apiServerUrl, client }) => ({
        name,
        url: apiServerUrl,
        tls: {
          ca: readFileSync(client.caFile, "utf8"),
          cert: readFileSync(client.certFile, "utf8"),
          key: readFileSync(client.keyFile, "utf8"),
        },
      })),
      fill: (dataset) => createObjects(controlPlane, dataset),
      changeKey: keyChanger(controlPlane, fleet),
      pids: () => ({
        apiServers: controlPlane.hosts.flatMap(({ name }) =>
          runningPods(layout, name)
            .filter((pod) => pod.name === apiServerPodName)
            .map(({ pid }) => pid),
        ),
        etcd: runningPods(layout, etcdHostName).find(({ name }) => name === etcdPodName)?.pid ?? 0,
      }),
      close: async () => {
        await fleet.close();
        await cleanControlPlane(stateDirectory);
        rmSync(directory, { recursive: true, force: true });
      },
    };
  } catch (thrown) {
    rmSync(directory, { recursive: true, force: true });
    throw thrown;
  }
}

function keyChanger(controlPlane: LocalControlPlane, fleet: ReturnType<typeof createLocalFleet>) {
  // Older ones stay: a measurement that takes a sample leaves objects with them.
  const keys: { readonly name: string; readonly secret: string }[] = [];
  return async (): Promise<string> => {
    // What earlier measurements have overwritten would fill etcd: API servers compact every five minutes only.
    await compact(controlPlane);
    keys.unshift({ name: `k${keys.length + 1}`, secret: randomBytes(32).toString("base64") });
    const signal = new AbortController().signal;
    const providers = [{ kind: "secretbox" as const, keys: [...keys] }, { kind: "identity" as const }];
    const config = { blocks: [{ resources: ["secrets", "configmaps"], providers }] };
    const look = async (name: string) => (await fleet.observe(signal)).servers.find((server) => server.name === name);
    // With several servers one writes with the new key before the others can read it: nobody else reads meanwhile.
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
    return `secretbox/${keys[0]?.name ?? ""}`;
  };
}

async function compact({ etcd: { endpoints, client } }: LocalControlPlane): Promise<void> {
  const read = (file: string) => readFileSync(file, "utf8");
  const tls = { ca: read(client.caFile), cert: read(client.certFile), key: read(client.keyFile) };
  const etcd = etcdConnections({ endpoints, tls });
  const signal = new AbortController().signal;
  const { revision } = await memberStatus(etcd, endpoints[0] ?? "", signal);
  await compactEtcd(etcd, revision, signal);
  etcd.close();
}

async function createObjects({ hosts }: LocalControlPlane, dataset: Dataset): Promise<void> {
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
  for (const name of dataset.namespaces) await post("/api/v1/namespaces", { metadata: { name } });
  const worker = async () => {
    while (next < dataset.objects) {
      const { namespace, body } = dataset.object(next++);
      await post(`/api/v1/namespaces/${namespace}/${dataset.resource}`, body);
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
  await Promise.all(pools.map((pool) => pool.close()));
}
