/** The three ways to write stored objects again, each measured in the same way: time, client memory, bytes, plaintext, CPU. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startControllerManager, storageVersionMigration } from "../../control-plane/controller-manager";
import { type ApiServerAddress, apiClient } from "../../rotation/adapters/kubernetes/api-client";
import { migrateInTree } from "../../rotation/adapters/kubernetes/in-tree-migration";
import { discoverResources } from "../../rotation/adapters/kubernetes/resources";
import { findTool } from "../../tools/find-tool";
import { cpuMicroseconds, peakResidentMb } from "../process-cost";
import type { BenchCluster } from "./bench-cluster";
import type { ClientResult, ClientWork } from "./client-process";
import type { Dataset } from "./dataset";
import type { DelayProxy } from "./delay-proxy";
import { nudge } from "./nudge";
import { storedWith } from "./stored-with";

export interface Measurement {
  /** That were written again in that time. */
  readonly objects: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly clientMemoryMb: number;
  /** Milliseconds for each object; undefined where it was not counted. */
  readonly clientCpu: number | undefined;
  /** Over the client's connections, for each object; undefined where nobody counted them. */
  readonly sentPerObject: number | undefined;
  readonly receivedPerObject: number | undefined;
  /** Objects whose content the client was given, as a share. */
  readonly plaintext: number;
  /** Milliseconds for each object. */
  readonly apiServerCpu: number;
  readonly etcdCpu: number;
}

export interface Scene {
  readonly cluster: BenchCluster;
  readonly dataset: Dataset;
  /** The provider that the servers write with now; nothing is stored with it yet. */
  readonly provider: string;
  /** In front of each API server, where a round trip is simulated. */
  readonly proxies: readonly DelayProxy[];
  readonly bundle: string;
}

const signal = new AbortController().signal;

export async function byOurs(scene: Scene): Promise<Measurement> {
  const { cluster, dataset, bundle, proxies } = scene;
  const addresses = cluster.addresses.map((address, index) => ({
    ...address,
    url: proxies[index] === undefined ? address.url : `https://127.0.0.1:${proxies[index].port}`,
  }));
  const file = join(cluster.directory, "work.json");
  const work: ClientWork = { addresses, resource: dataset.resource, mark: dataset.mark };
  writeFileSync(file, JSON.stringify(work), { mode: 0o600 });
  const cpu = cpuMeter(cluster);
  const result = JSON.parse(await output(process.execPath, [bundle, file])) as ClientResult;
  const spent = cpu();
  rmSync(file);
  const { offered, rewritten = 0, failures, seconds, memoryMb, sent, received, plaintext, cpuMs } = result;
  if (failures > 0 || rewritten < dataset.objects)
    throw new Error(`ours: ${offered} offered, ${rewritten} rewritten, ${failures} failed`);
  return measurement(offered, seconds, memoryMb, { sent, received }, plaintext / offered, { ...spent, client: cpuMs });
}

/** The documented recipe, of everything or of the sample. `kubectl get` writes a file: a pipe would hold it in memory twice. */
export async function byKubectl(scene: Scene, all: boolean): Promise<Measurement> {
  const { cluster, dataset, proxies } = scene;
  const kubectl = (await findTool("kubectl")).path;
  const kubeconfig = throughProxy(scene);
  const file = join(cluster.directory, "objects.json");
  const from = all ? ["--all-namespaces"] : ["--namespace", dataset.sampleNamespace];
  const objects = all ? dataset.objects : dataset.sampleObjects;
  const before = totalBytes(proxies);
  const cpu = cpuMeter(cluster);
  const begun = performance.now();
  const got = await kubectlRun(kubectl, kubeconfig, ["get", dataset.resource, ...from, "-o", "json"], file);
  const replaced = await kubectlRun(kubectl, kubeconfig, ["replace", "-f", file], "/dev/null");
  const seconds = (performance.now() - begun) / 1_000;
  const spent = cpu();
  const exposed = occurrences(readFileSync(file), dataset.mark);
  rmSync(file);
  const after = totalBytes(proxies);
  const bytes =
    proxies.length === 0 ? undefined : { sent: after.sent - before.sent, received: after.received - before.received };
  const stored = await storedWith(scene);
  if (stored < objects) throw new Error(`kubectl: ${stored} of ${objects} are stored with the new key`);
  return measurement(objects, seconds, Math.max(got, replaced), bytes, Math.min(exposed / objects, 1), spent);
}

/**
 * The cluster's own controller, started for this alone and after its caches are filled. With a round trip, or many objects, it is
 * watched for a while only: it sends one request after the other.
 */
export async function byInTree(scene: Scene, watchSeconds: number | undefined): Promise<Measurement> {
  const { cluster, dataset, proxies } = scene;
  const logFile = join(cluster.directory, "controller-manager.log");
  const manager = await startControllerManager({
    kubeconfig: throughProxy(scene),
    controllers: storageVersionMigration.controllers,
    arguments: storageVersionMigration.arguments,
    logFile,
  });
  const client = apiClient(cluster.addresses[0] as ApiServerAddress);
  try {
    while (!readFileSync(logFile, "utf8").includes("resource monitors have synced")) await delay(100);
    const { served } = await discoverResources(client, signal);
    const resources = served.filter(({ name }) => name === dataset.resource);
    const stop = new AbortController();
    let before = totalBytes(proxies);
    let cpu = cpuMeter(cluster);
    let clientBefore = cpuMicroseconds(manager.pid);
    let begun = performance.now();
    let seconds = 0;
    let watch: NodeJS.Timeout | undefined;
    const end = () => {
      seconds = (performance.now() - begun) / 1_000;
      // From here on it reaches nobody: it would go on while it is being stopped.
      for (const proxy of proxies) proxy.close();
      stop.abort();
    };
    // Until its cache has seen a later change of this resource, which on a cluster at rest takes up to a minute, it waits.
    const nudging = await nudge(scene, () => {
      before = totalBytes(proxies);
      cpu = cpuMeter(cluster);
      clientBefore = cpuMicroseconds(manager.pid);
      begun = performance.now();
      if (watchSeconds !== undefined) watch = setTimeout(end, watchSeconds * 1_000);
    });
    const migrating = migrateInTree({
      clients: [client],
      resources,
      onProgress: () => undefined,
      signal: stop.signal,
      pollInterval: 100,
    });
    const failures = await migrating
      .then(
        (result) => result.failures,
        (thrown: unknown) => {
          if (stop.signal.aborted) return [];
          throw thrown;
        },
      )
      .finally(() => nudging.close());
    clearTimeout(watch);
    if (!stop.signal.aborted) seconds = (performance.now() - begun) / 1_000;
    const spent = { ...cpu(), client: (cpuMicroseconds(manager.pid) - clientBefore) / 1_000 };
    const after = totalBytes(proxies);
    if (failures.length > 0) throw new Error(`in-tree: ${failures[0]?.reason ?? ""}`);
    const memory = peakResidentMb(manager.pid);
    const objects = Math.min(await storedWith(scene), dataset.objects);
    if (!stop.signal.aborted && objects < dataset.objects) throw new Error(`in-tree: ${objects} rewritten`);
    const bytes =
      proxies.length === 0 ? undefined : { sent: after.sent - before.sent, received: after.received - before.received };
    // It is answered with whole objects, as any client of a PATCH is that does not ask for less.
    return measurement(objects, seconds, memory, bytes, 1, spent);
  } finally {
    await manager.stop();
    await client.close();
    rmSync(logFile, { force: true });
  }
}

function measurement(
  objects: number,
  seconds: number,
  clientMemoryMb: number,
  bytes: { readonly sent: number; readonly received: number } | undefined,
  plaintext: number,
  spent: { readonly apiServer: number; readonly etcd: number; readonly client?: number },
): Measurement {
  return {
    objects,
    seconds,
    perSecond: objects / seconds,
    clientMemoryMb,
    clientCpu: spent.client && spent.client / objects,
    sentPerObject: bytes && bytes.sent / objects,
    receivedPerObject: bytes && bytes.received / objects,
    plaintext,
    apiServerCpu: spent.apiServer / objects,
    etcdCpu: spent.etcd / objects,
  };
}

/** Milliseconds of CPU from now until the returned function is called. */
function cpuMeter(cluster: BenchCluster) {
  const { apiServers, etcd } = cluster.pids();
  const now = () => ({ apiServer: sum(apiServers.map(cpuMicroseconds)), etcd: cpuMicroseconds(etcd) });
  const before = now();
  return () => {
    const after = now();
    return { apiServer: (after.apiServer - before.apiServer) / 1_000, etcd: (after.etcd - before.etcd) / 1_000 };
  };
}

/** A kubeconfig of the first server, or of the proxy in front of it. */
function throughProxy({ cluster, proxies }: Scene): string {
  const [proxy] = proxies;
  if (proxy === undefined) return cluster.kubeconfig;
  const file = join(cluster.directory, "far.kubeconfig");
  const text = readFileSync(cluster.kubeconfig, "utf8");
  writeFileSync(file, text.replace(/https:\/\/127\.0\.0\.1:\d+/, `https://127.0.0.1:${proxy.port}`), { mode: 0o600 });
  return file;
}

/** Resolves to the most memory that it had, in MB. */
async function kubectlRun(kubectl: string, kubeconfig: string, args: readonly string[], file: string): Promise<number> {
  const out = openSync(file, "w", 0o600);
  const child = spawn(kubectl, ["--kubeconfig", kubeconfig, ...args], { stdio: ["ignore", out, "pipe"] });
  closeSync(out);
  let errors = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (errors += text));
  let memory = 0;
  const timer = setInterval(() => {
    try {
      memory = Math.max(memory, peakResidentMb(child.pid ?? 0) || 0);
    } catch {
      // It has just ended.
    }
  }, 20);
  const [code] = (await once(child, "close")) as [number | null];
  clearInterval(timer);
  if (code !== 0) throw new Error(`kubectl ${args[0]}: ${errors.slice(0, 2_000)}`);
  return memory;
}

async function output(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => (text += part));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} has ended with ${code}`);
  return text;
}

function totalBytes(proxies: readonly DelayProxy[]): { readonly sent: number; readonly received: number } {
  const all = proxies.map((proxy) => proxy.bytes());
  return { sent: sum(all.map(({ sent }) => sent)), received: sum(all.map(({ received }) => received)) };
}

function occurrences(bytes: Buffer, text: string): number {
  let count = 0;
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + text.length)) count += 1;
  return count;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
