/**
 * How fast stored objects are written again on a real control plane: by our rewriter, by the documented recipe
 * `kubectl get ... -o json | kubectl replace -f -`, and by the cluster's own migration. Runs are interleaved, figures are
 * medians. Prints a table, what was wanted, and one JSON object as its last line.
 * `npm run bench:rewrite -- --secrets 5000,50000 --configmaps 2000 --latency 0,30 --runs 5`
 */
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { type BenchCluster, benchCluster } from "./bench-cluster";
import { configMapsDataset, type Dataset, secretsDataset } from "./dataset";
import { delayProxy } from "./delay-proxy";
import { byInTree, byKubectl, byOurs, type Measurement, type Scene } from "./methods";
import { type BenchOptions, benchOptions, type Method } from "./options";
import { type Cell, report } from "./report";

const say = (line: string) => process.stderr.write(`${line}\n`);

async function main(): Promise<void> {
  const options = benchOptions(process.argv.slice(2));
  const datasets = [
    ...options.secrets.map((count) => secretsDataset(count, options.sample)),
    ...(options.configMaps > 0 ? [configMapsDataset(options.configMaps, options.sample)] : []),
  ];
  const cells: Cell[] = [];
  const loadBefore = loadavg();
  for (const dataset of datasets) {
    const cluster = await benchCluster(options.servers, say);
    const stop = () => void cluster.close().finally(() => process.exit(130));
    process.once("SIGINT", stop).once("SIGTERM", stop);
    try {
      say(`creating ${dataset.name}`);
      await cluster.changeKey();
      await cluster.fill(dataset);
      cells.push(...(await benchDataset(options, cluster, dataset)));
    } finally {
      process.off("SIGINT", stop).off("SIGTERM", stop);
      await cluster.close();
    }
  }
  const machine = { cpus: cpus().length, loadBefore, loadAfter: loadavg(), node: process.version };
  process.stdout.write(report(cells, machine));
  process.stdout.write(`${JSON.stringify({ bench: "rewrite", options, machine, cells })}\n`);
}

async function benchDataset(options: BenchOptions, cluster: BenchCluster, dataset: Dataset): Promise<readonly Cell[]> {
  const bundle = join(cluster.directory, "client.cjs");
  await build({
    entryPoints: [join(__dirname, "client-process.ts")],
    bundle: true,
    platform: "node",
    outfile: bundle,
    logLevel: "error",
  });
  const cells = options.latencies.flatMap((latency) =>
    options.methods.map((method) => ({ dataset: dataset.name, method, latency, runs: [] as Measurement[] })),
  );
  for (let run = 0; run < options.runs; run++) {
    for (const cell of cells) {
      say(`${cell.dataset}, ${cell.latency} ms, ${cell.method}, run ${run + 1} of ${options.runs}`);
      const provider = await cluster.changeKey();
      const proxies = cell.latency === 0 ? [] : await proxiesOf(cluster, cell.latency);
      try {
        const measured = await measure(
          cell.method,
          { cluster, dataset, provider, proxies, bundle },
          options,
          cell.latency,
        );
        say(`  ${measured.objects} objects in ${measured.seconds.toFixed(1)} s, ${Math.round(measured.perSecond)}/s`);
        cell.runs.push(measured);
      } finally {
        for (const proxy of proxies) proxy.close();
      }
    }
  }
  return cells;
}

function measure(method: Method, scene: Scene, options: BenchOptions, latency: number): Promise<Measurement> {
  const isWhole = latency === 0 && scene.dataset.objects <= options.whole;
  switch (method) {
    case "ours":
      return byOurs(scene);
    case "kubectl":
      return byKubectl(scene, isWhole);
    case "in-tree":
      return byInTree(scene, isWhole ? undefined : options.watchSeconds);
  }
}

function proxiesOf({ addresses }: BenchCluster, latency: number) {
  return Promise.all(addresses.map(({ url }) => delayProxy(Number(new URL(url).port), latency)));
}

main().catch((thrown: unknown) => {
  process.stderr.write(`bench: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
  process.exitCode = 1;
});
