/**
 * How fast stored objects are written again and looked at, on a real control plane, beside the documented recipe
 * `kubectl get secrets -A -o json | kubectl replace -f -`. Prints a table, and one JSON object as its last line.
 * `npm run bench:rewrite -- --objects 5000 --round-trip 30`
 */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ApiServerAddress } from "../../rotation/adapters/kubernetes/api-client";
import { createStoredObjects } from "../../rotation/adapters/kubernetes/stored-objects";
import { findTool } from "../../tools/find-tool";
import { type BenchCluster, benchCluster, benchNamespace } from "./bench-cluster";
import { delayProxy } from "./delay-proxy";

interface Row {
  readonly what: string;
  readonly objects: number;
  readonly seconds: number;
  readonly perSecond: number;
  /** Of our own process, not of kubectl's. */
  readonly clientCpuPerObject: number | undefined;
}

const { values } = parseArgs({
  options: { objects: { type: "string", default: "5000" }, "round-trip": { type: "string", default: "30" } },
});
const objects = Number(values.objects);
const roundTrip = Number(values["round-trip"]);
const signal = new AbortController().signal;
const quiet = () => undefined;
const report = (line: string) => process.stderr.write(`${line}\n`);
const rows: Row[] = [];

async function timed(what: string, work: () => Promise<number>, inProcess = true): Promise<void> {
  report(what);
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const count = await work();
  const seconds = (performance.now() - begun) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const clientCpuPerObject = inProcess ? (user + system) / 1_000 / count : undefined;
  rows.push({ what, objects: count, seconds, perSecond: count / seconds, clientCpuPerObject });
}

async function rewriteThrough(addresses: readonly ApiServerAddress[], expectAll: boolean): Promise<number> {
  const stored = createStoredObjects({ servers: addresses });
  const targets = [{ resource: "secrets", key: { provider: "" } }];
  const names = addresses.map((address) => address.name);
  const { offered, rewritten, failures } = await stored.rewrite(targets, names, quiet, signal);
  await stored.close();
  const right = failures.length === 0 && offered >= objects && (expectAll ? rewritten >= objects : rewritten === 0);
  if (!right) throw new Error(`${offered} offered, ${rewritten} rewritten, ${failures.length} failed`);
  return offered;
}

async function scan({ controlPlane, addresses }: BenchCluster, provider: string): Promise<number> {
  const { client, endpoints, prefix } = controlPlane.etcd;
  const read = (file: string) => readFileSync(file, "utf8");
  const tls = { ca: read(client.caFile), cert: read(client.certFile), key: read(client.keyFile) };
  const stored = createStoredObjects({ servers: addresses, etcd: { endpoints, tls, prefix } });
  const proof = await stored.measure([{ resource: "secrets", key: { provider } }], [], quiet, signal);
  await stored.close();
  const counted = proof.resources[0]?.keys.find(({ key }) => key.provider === provider)?.objects ?? 0;
  if (counted < objects) throw new Error(`etcd has ${counted} objects of ${provider}`);
  return counted;
}

async function kubectlReplace({ directory, kubeconfig }: BenchCluster): Promise<number> {
  const kubectl = (await findTool("kubectl")).path;
  const file = join(directory, "secrets.json");
  const run = (args: readonly string[], stdout: "ignore" | number) => {
    const { status, stderr } = spawnSync(kubectl, ["--kubeconfig", kubeconfig, ...args], {
      stdio: ["ignore", stdout, "pipe"],
    });
    if (status !== 0) throw new Error(stderr.toString());
  };
  const output = openSync(file, "w", 0o600);
  run(["get", "secrets", "-n", benchNamespace, "-o", "json"], output);
  closeSync(output);
  run(["replace", "-f", file], "ignore");
  return objects;
}

async function main(): Promise<void> {
  const cluster = await benchCluster(objects, report);
  const { addresses } = cluster;
  const first = addresses.slice(0, 1);
  const proxies = await Promise.all(
    addresses.map((address) => delayProxy(Number(new URL(address.url).port), roundTrip)),
  );
  const far = addresses.map((address, index) => ({
    ...address,
    url: `https://127.0.0.1:${proxies[index]?.port ?? 0}`,
  }));
  try {
    let provider = await cluster.changeKey();
    await timed("kubectl replace, one server", () => kubectlReplace(cluster), false);
    provider = await cluster.changeKey();
    await timed("rewrite, one server", () => rewriteThrough(first, true));
    await timed("verifying pass, one server", () => rewriteThrough(first, false));
    provider = await cluster.changeKey();
    await timed(`rewrite, ${addresses.length} servers`, () => rewriteThrough(addresses, true));
    await timed(`verifying pass, ${addresses.length} servers`, () => rewriteThrough(addresses, false));
    await timed("etcd scan", () => scan(cluster, provider));
    await timed("etcd scan, again", () => scan(cluster, provider));
    provider = await cluster.changeKey();
    await timed(`rewrite, one server ${roundTrip} ms away`, () => rewriteThrough(far.slice(0, 1), true));
    provider = await cluster.changeKey();
    await timed(`rewrite, ${addresses.length} servers ${roundTrip} ms away`, () => rewriteThrough(far, true));
  } finally {
    for (const proxy of proxies) proxy.close();
    await cluster.close();
  }
  const shown = rows.map((row) => [
    row.what,
    String(row.objects),
    row.seconds.toFixed(2),
    Math.round(row.perSecond).toString(),
    row.clientCpuPerObject === undefined ? "" : row.clientCpuPerObject.toFixed(2),
  ]);
  const table = [["what", "objects", "seconds", "objects/s", "client CPU ms/object"], ...shown];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0))) ?? [];
  for (const line of table) console.log(line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
  const memory = Math.round(process.resourceUsage().maxRSS / 1_024);
  console.log(`client memory at most ${memory} MB; ${cpus().length} CPUs, load ${loadavg()[0]?.toFixed(1) ?? ""}`);
  console.log(JSON.stringify({ bench: "rewrite", rows, clientMemoryMb: memory, cpus: cpus().length, load: loadavg() }));
}

main().catch((thrown: unknown) => {
  console.error(thrown);
  process.exitCode = 1;
});
