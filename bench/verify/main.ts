/**
 * How fast what is stored is proven: every value's provider and key_id read from a real etcd over TLS, by the scan that VERIFY
 * uses; beside it, in turns, what etcd hands out at all: the same ranges read and thrown away, over one connection and over four.
 * `npm run bench:verify -- --values 50000 --bytes 1024 --runs 5`
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startLoneEtcd } from "../../control-plane/lone-etcd";
import { createPki, pkiFiles } from "../../control-plane/pki/control-plane-pki";
import { stateLayout } from "../../control-plane/state-layout";
import { etcdClient } from "../../rotation/adapters/etcd/etcd-client";
import type { EtcdAddress } from "../../rotation/adapters/etcd/etcd-connections";
import { keyRanges } from "../../rotation/adapters/etcd/etcd-keys";
import { scanStoredValues } from "../../rotation/adapters/etcd/etcd-scan";
import { cpuMicroseconds, peakResidentMb } from "../process-cost";
import { fillEtcd } from "./fill-etcd";

interface Run {
  readonly perSecond: number;
  readonly etcdCpuUs: number;
  readonly clientCpuUs: number;
}

const { values } = parseArgs({
  options: {
    values: { type: "string", default: "50000" },
    bytes: { type: "string", default: "1024" },
    runs: { type: "string", default: "5" },
  },
});
const count = Number(values.values);
const bytes = Number(values.bytes);
const runs = Number(values.runs);
const signal = new AbortController().signal;
const prefix = "/registry/secrets/";
const namespaces = 50;
const wanted = 50_000;

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "kv-"));
  const layout = stateLayout(directory);
  await createPki(layout, []);
  const { etcdAdministrator: client, etcdServer: tls } = pkiFiles(layout);
  const extraArguments = ["--quota-backend-bytes=4294967296"];
  const etcd = await startLoneEtcd({ directory: join(directory, "etcd"), tls, client, extraArguments });
  const stop = () => void etcd.stop().finally(() => process.exit(130));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const loadBefore = loadavg();
  try {
    const read = (file: string) => readFileSync(file, "utf8");
    const address: EtcdAddress = {
      endpoints: [etcd.endpoint],
      tls: { ca: read(client.caFile), cert: read(client.certFile), key: read(client.keyFile) },
    };
    process.stderr.write(`putting ${count} values of ${bytes} bytes\n`);
    await fillEtcd(address, prefix, count, bytes);
    const ways: readonly (readonly [string, () => Promise<number>])[] = [
      ["proof", () => proof(address)],
      ["read only, one connection", () => readOnly(address, 1)],
      ["read only, four connections", () => readOnly(address, 4)],
    ];
    const results = new Map<string, Run[]>(ways.map(([name]) => [name, []]));
    for (const [, way] of ways) await way(); // warm: etcd's page cache, and our own code
    for (let run = 0; run < runs; run++) {
      for (const [name, way] of ways) results.get(name)?.push(await measured(way, etcd.pid));
    }
    tell(results, loadBefore);
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
    await etcd.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measured(way: () => Promise<number>, etcdPid: number): Promise<Run> {
  const etcdBefore = cpuMicroseconds(etcdPid);
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const seen = await way();
  const seconds = (performance.now() - begun) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  if (seen !== count) throw new Error(`${seen} of ${count} values were seen`);
  return {
    perSecond: count / seconds,
    etcdCpuUs: (cpuMicroseconds(etcdPid) - etcdBefore) / count,
    clientCpuUs: (user + system) / count,
  };
}

async function proof(address: EtcdAddress): Promise<number> {
  const client = etcdClient(address);
  try {
    const ranges = keyRanges(["secrets"], "/registry", () => []);
    const [secrets] = await scanStoredValues(
      () => client,
      ranges,
      "/registry",
      () => undefined,
      signal,
    );
    if (secrets?.unknown !== 0 || secrets.keys.length !== 1) throw new Error("the values were not understood");
    return secrets.objects;
  } finally {
    client.close();
  }
}

/** The namespaces are shared out over the connections; nothing is looked at but the last key of each answer. */
async function readOnly(address: EtcdAddress, connections: number): Promise<number> {
  let next = 0;
  const reader = async () => {
    const client = etcdClient(address);
    let seen = 0;
    try {
      for (let namespace = next++; namespace < namespaces; namespace = next++) {
        let key = Buffer.from(`${prefix}ns${namespace}/`);
        const rangeEnd = Buffer.from(`${prefix}ns${namespace}0`);
        for (;;) {
          const { entries, more } = await client.range({ key, rangeEnd, limit: 2_000, revision: 0 }, signal);
          seen += entries.length;
          const last = entries.at(-1)?.key;
          if (!more || last === undefined) break;
          key = Buffer.concat([last, Buffer.alloc(1)]);
        }
      }
    } finally {
      client.close();
    }
    return seen;
  };
  const parts = await Promise.all(Array.from({ length: connections }, reader));
  return parts.reduce((sum, part) => sum + part, 0);
}

function tell(results: ReadonlyMap<string, readonly Run[]>, loadBefore: readonly number[]): void {
  const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[list.length >> 1] ?? 0;
  const rows = [...results].map(([name, list]) => ({
    name,
    perSecond: Math.round(median(list.map(({ perSecond }) => perSecond))),
    megabytesPerSecond: Math.round((median(list.map(({ perSecond }) => perSecond)) * bytes) / 1e6),
    etcdCpuUs: Math.round(median(list.map(({ etcdCpuUs }) => etcdCpuUs))),
    clientCpuUs: Math.round(median(list.map(({ clientCpuUs }) => clientCpuUs))),
  }));
  process.stdout.write(`${"way".padEnd(30)}values/s   MB/s   etcd CPU us   client CPU us (a value)\n`);
  for (const { name, perSecond, megabytesPerSecond, etcdCpuUs, clientCpuUs } of rows) {
    const numbers = [perSecond, megabytesPerSecond, etcdCpuUs, clientCpuUs];
    const cells = [8, 7, 14, 16].map((width, index) => String(numbers[index] ?? "").padStart(width));
    process.stdout.write(`${name.padEnd(30)}${cells.join("")}\n`);
  }
  const [own, ...limits] = rows;
  const limit = Math.max(...limits.map(({ perSecond }) => perSecond));
  const share = (own?.perSecond ?? 0) / limit;
  const met = (own?.perSecond ?? 0) >= wanted || share >= 0.9;
  const memoryMb = Math.round(peakResidentMb(process.pid));
  const text = `proof ${own?.perSecond ?? 0} values/s, ${share.toFixed(2)} of what etcd hands out (wanted ${wanted}, or 0.9 of that)`;
  process.stdout.write(`\n${met ? "met   " : "MISSED"} ${text}; client at most ${memoryMb} MB with ts-node\n`);
  const machine = { cpus: cpus().length, loadBefore, loadAfter: loadavg(), node: process.version };
  process.stdout.write(`${JSON.stringify({ bench: "verify", values: count, bytes, runs, rows, machine, memoryMb })}\n`);
}

main().catch((thrown: unknown) => {
  process.stderr.write(`bench: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
  process.exitCode = 1;
});
