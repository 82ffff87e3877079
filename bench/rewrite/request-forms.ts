/**
 * What a no-op write costs an API server, by the form of the request: each form writes the same Secrets again after a change
 * of the key, and once more when nothing is left to write. With --profile, what the time of a PATCH is made of, by the API
 * server's own profiler (needs `go`). Prints a table, and one JSON object as its last line.
 * `npm run bench:request-forms -- --secrets 2000 --profile`, or `--configmaps 500` for ConfigMaps of 100 KiB.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Pool } from "undici";
import { cpuMicroseconds } from "../process-cost";
import { type BenchCluster, benchCluster } from "./bench-cluster";
import { configMapsDataset, type Dataset, secretsDataset } from "./dataset";

const { values } = parseArgs({
  options: {
    secrets: { type: "string", default: "2000" },
    configmaps: { type: "string", default: "0" },
    "in-flight": { type: "string", default: "16" },
    runs: { type: "string", default: "3" },
    only: { type: "string", default: "" },
    profile: { type: "boolean", default: false },
  },
});
const inFlight = Number(values["in-flight"]);

interface Form {
  readonly name: string;
  readonly method: "PATCH" | "PUT" | "GET";
  readonly query?: string;
  readonly contentType?: string;
  readonly accept: string;
  /** `object` is what a GET gives. */
  readonly body: (object: ListedObject) => string | Buffer | undefined;
}

interface ListedObject {
  readonly kind: string;
  readonly metadata: { readonly namespace: string; readonly name: string; readonly resourceVersion: string };
}

const kinds = { secrets: "Secret", configmaps: "ConfigMap" } as const;

const metadataJson = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const metadataProtobuf = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const merge = "application/merge-patch+json";
const empty = () => "{}";
const forms: readonly Form[] = [
  // What the rewriter sends, and what --profile looks at.
  {
    name: "strategic merge patch {}, metadata",
    method: "PATCH",
    contentType: "application/strategic-merge-patch+json",
    accept: metadataJson,
    body: empty,
  },
  { name: "merge patch {}, metadata", method: "PATCH", contentType: merge, accept: metadataJson, body: empty },
  {
    name: "merge patch {}, metadata, protobuf answer",
    method: "PATCH",
    contentType: merge,
    accept: metadataProtobuf,
    body: empty,
  },
  {
    name: "merge patch {}, whole answer",
    method: "PATCH",
    contentType: merge,
    accept: "application/json",
    body: empty,
  },
  {
    name: "merge patch {}, fieldValidation=Ignore",
    method: "PATCH",
    query: "?fieldValidation=Ignore",
    contentType: merge,
    accept: metadataJson,
    body: empty,
  },
  {
    name: "JSON patch [], metadata",
    method: "PATCH",
    contentType: "application/json-patch+json",
    accept: metadataJson,
    body: () => "[]",
  },
  {
    name: "apply of nothing, metadata",
    method: "PATCH",
    query: "?fieldManager=bench&force=true",
    contentType: "application/apply-patch+yaml",
    accept: metadataJson,
    body: ({ kind, metadata: { namespace, name } }) =>
      JSON.stringify({ apiVersion: "v1", kind, metadata: { namespace, name } }),
  },
  {
    name: "PUT of the object, metadata",
    method: "PUT",
    contentType: "application/json",
    accept: metadataJson,
    body: (object) => JSON.stringify(object),
  },
  { name: "GET, metadata (for comparison)", method: "GET", accept: metadataJson, body: () => undefined },
];

interface Row {
  readonly form: string;
  readonly perSecond: number;
  /** Milliseconds an object. */
  readonly apiServerCpu: number;
  readonly etcdCpu: number;
  /** Where there is nothing to write. */
  readonly idlePerSecond: number;
  readonly idleApiServerCpu: number;
}

const say = (line: string) => process.stderr.write(`${line}\n`);

async function main(): Promise<void> {
  const configMaps = Number(values.configmaps);
  const dataset = configMaps > 0 ? configMapsDataset(configMaps, 0) : secretsDataset(Number(values.secrets), 0);
  const chosen = forms.filter(({ name }) => name.includes(values.only));
  const cluster = await benchCluster(1, say);
  const loadBefore = loadavg();
  try {
    await cluster.changeKey();
    await cluster.fill(dataset);
    const runs: Row[][] = [];
    for (let run = 0; run < Number(values.runs); run++) {
      const rows: Row[] = [];
      for (const form of chosen) {
        say(`${form.name}, run ${run + 1} of ${values.runs}`);
        await cluster.changeKey();
        const objects = await listed(cluster, dataset);
        const stale = await measure(cluster, dataset, form, objects);
        const idle = await measure(
          cluster,
          dataset,
          form,
          form.method === "PUT" ? await listed(cluster, dataset) : objects,
        );
        rows.push({
          form: form.name,
          perSecond: stale.perSecond,
          apiServerCpu: stale.apiServerCpu,
          etcdCpu: stale.etcdCpu,
          idlePerSecond: idle.perSecond,
          idleApiServerCpu: idle.apiServerCpu,
        });
      }
      runs.push(rows);
    }
    const rows = chosen.map((_, index) => medianRow(runs.map((run) => run[index] as Row)));
    tell(rows);
    if (values.profile) await profile(cluster, dataset, rows[0]?.perSecond ?? 1);
    process.stdout.write(`${JSON.stringify({ bench: "request-forms", rows, loadBefore, loadAfter: loadavg() })}\n`);
  } finally {
    await cluster.close();
  }
}

async function listed(cluster: BenchCluster, { namespaces, resource }: Dataset): Promise<readonly ListedObject[]> {
  const pool = poolOf(cluster);
  const objects: ListedObject[] = [];
  for (const namespace of namespaces) {
    const { body } = await pool.request({ method: "GET", path: `/api/v1/namespaces/${namespace}/${resource}` });
    const { items } = (await body.json()) as {
      items: (Omit<ListedObject, "kind"> & { kind?: string; apiVersion?: string })[];
    };
    objects.push(...items.map((item) => ({ apiVersion: "v1", kind: kinds[resource], ...item })));
  }
  await pool.close();
  return objects;
}

async function measure(cluster: BenchCluster, { resource }: Dataset, form: Form, objects: readonly ListedObject[]) {
  const pool = poolOf(cluster);
  const { apiServers, etcd } = cluster.pids();
  const cpu = () => [apiServers.reduce((sum, pid) => sum + cpuMicroseconds(pid), 0), cpuMicroseconds(etcd)] as const;
  const before = cpu();
  const begun = performance.now();
  let next = 0;
  const worker = async () => {
    for (let object = objects[next++]; object !== undefined; object = objects[next++]) {
      const { namespace, name } = object.metadata;
      const content = form.body(object);
      const answer = await pool.request({
        method: form.method,
        path: `/api/v1/namespaces/${namespace}/${resource}/${name}${form.query ?? ""}`,
        headers: { accept: form.accept, ...(form.contentType && { "content-type": form.contentType }) },
        ...(content !== undefined && { body: content }),
      });
      const bytes = Buffer.from(await answer.body.arrayBuffer());
      if (answer.statusCode !== 200) throw new Error(`${form.name}: ${answer.statusCode} ${bytes.toString()}`);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  const seconds = (performance.now() - begun) / 1_000;
  const after = cpu();
  await pool.close();
  const perObject = (index: 0 | 1) => (after[index] - before[index]) / 1_000 / objects.length;
  return { perSecond: objects.length / seconds, apiServerCpu: perObject(0), etcdCpu: perObject(1) };
}

function poolOf({ addresses }: BenchCluster): Pool {
  const [address] = addresses;
  return new Pool(address?.url ?? "", { connections: inFlight, connect: { ...address?.tls } });
}

function medianRow(rows: readonly Row[]): Row {
  const median = (of: (row: Row) => number) => rows.map(of).sort((a, b) => a - b)[rows.length >> 1] ?? 0;
  return {
    form: rows[0]?.form ?? "",
    perSecond: median((row) => row.perSecond),
    apiServerCpu: median((row) => row.apiServerCpu),
    etcdCpu: median((row) => row.etcdCpu),
    idlePerSecond: median((row) => row.idlePerSecond),
    idleApiServerCpu: median((row) => row.idleApiServerCpu),
  };
}

function tell(rows: readonly Row[]): void {
  const heading = ["form", "objects/s", "API server ms", "etcd ms", "nothing to write: objects/s", "API server ms"];
  const lines = [
    heading,
    ...rows.map((row) => [
      row.form,
      row.perSecond.toFixed(0),
      row.apiServerCpu.toFixed(2),
      row.etcdCpu.toFixed(2),
      row.idlePerSecond.toFixed(0),
      row.idleApiServerCpu.toFixed(2),
    ]),
  ];
  const widths = heading.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  for (const line of lines)
    process.stdout.write(
      `${line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()}\n`,
    );
}

/** The profiler samples while every object is written again. */
async function profile(cluster: BenchCluster, dataset: Dataset, perSecond: number): Promise<void> {
  await cluster.changeKey();
  const objects = await listed(cluster, dataset);
  const pool = poolOf(cluster);
  const seconds = Math.max(2, Math.floor((0.8 * objects.length) / perSecond));
  const profiling = pool.request({ method: "GET", path: `/debug/pprof/profile?seconds=${seconds}` });
  await measure(cluster, dataset, forms[0] as Form, objects);
  const file = join(cluster.directory, "cpu.pprof");
  writeFileSync(file, Buffer.from(await (await profiling).body.arrayBuffer()));
  await pool.close();
  const args = ["tool", "pprof", "-top", "-cum", "-nodecount=120", file];
  process.stdout.write(`\n${execFileSync("go", args, { encoding: "utf8" })}`);
}

main().catch((thrown: unknown) => {
  process.stderr.write(`bench: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
  process.exitCode = 1;
});
