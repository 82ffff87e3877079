/**
 * `npm run bench:plugin`: how fast the KMS plugin is and what it costs, beside a bare grpc-js server that only does AES, on
 * the same Node in the same run, in turns. Prints a table, and one JSON object as its last line.
 *   --seconds N   of each measurement (default 1)     --rounds N   measurements of each row; the median counts (default 7)
 *   --only PARTS   some of local,near,away,start: the in-process key, the fake clouds, the same 2 ms away, the start
 *   --node PATH   another Node than the image's, which plugins run on in clusters; for example "$(command -v node)"
 *   --peer-azure PATH, --peer-aws PATH   the upstream plugins' binaries, which you have built: measured in turns with ours
 *       on the same fake. The one for Azure listens on all interfaces, so run it in a network namespace of its own:
 *       unshare --net sh -c 'ip link set lo up; npm run bench:plugin -- --peer-azure PATH'
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { frameMessage } from "../../core/grpc-frame";
import { kmsV2Service } from "../../core/kms-protocol";
import { architectures } from "../../plugin-server/image/architecture";
import { nodeBinary } from "../../plugin-server/image/node-binary";
import { kmsClient } from "../../test/plugin-server/support/kms-client";
import { cacheDirectory } from "../../tools/cache-directory";
import { cpuMicroseconds, peakResidentMb } from "../process-cost";
import { load } from "./load";
import { heading, line, type Method, methods, type Ready, type Row, ratios, verdicts } from "./report";
import { type Cloud, openWorkshop, type RunningServer, type Workshop } from "./servers";

const warmUpMs = 2_000;
const inFlights = [1, 16, 64] as const;

interface Target {
  readonly name: string;
  readonly server: RunningServer;
  /** Files with one request for each method. */
  readonly bodies: Readonly<Record<Method, string>>;
}

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "1" },
    rounds: { type: "string", default: "7" },
    only: { type: "string", default: "local,near,away,start" },
    node: { type: "string" },
    "peer-azure": { type: "string" },
    "peer-aws": { type: "string" },
  },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const parts = values.only.split(",");

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-bench-"));
  const node = values.node ?? (await imageNode(directory));
  const workshop = await openWorkshop(directory, node);
  try {
    const version = execFileSync(node, ["--version"], { encoding: "utf8" }).trim();
    process.stdout.write(`Node ${version}, ${seconds} s a measurement, median of ${rounds}\n\n${heading}`);
    const none = { rows: [], connections: [], peakMb: 0 };
    const local = parts.includes("local") ? await benchLocal(workshop, directory) : none;
    const near = parts.includes("near") ? await benchClouds(workshop, directory, 0) : none;
    const away = parts.includes("away") ? await benchClouds(workshop, directory, 2) : none;
    const ready = parts.includes("start") ? await benchStart(workshop) : {};
    const summary = {
      ratioToBare: ratios(local.rows, "bare"),
      ratioToPeers: ratios(near.rows, "upstream"),
      peakResidentMb: Math.max(local.peakMb, near.peakMb, away.peakMb),
      connections: [...near.connections, ...away.connections],
      ready,
    };
    process.stdout.write(`\n${verdicts(summary)}`);
    process.stdout.write(
      `${JSON.stringify({ bench: "plugin", node: version, rows: [...local.rows, ...near.rows, ...away.rows], ...summary })}\n`,
    );
  } finally {
    await workshop.stopAll();
    rmSync(directory, { recursive: true });
  }
}

/** The program that the image for this machine's processor holds. */
async function imageNode(directory: string): Promise<string> {
  const architecture = architectures.find(({ name }) => name === (process.arch === "x64" ? "amd64" : process.arch));
  if (architecture === undefined) return process.execPath;
  const file = join(directory, "node");
  writeFileSync(file, (await nodeBinary(architecture, join(cacheDirectory(), "image"))).program, { mode: 0o755 });
  return file;
}

async function benchLocal(workshop: Workshop, directory: string) {
  const bare = await target("bare", await workshop.bare(), directory);
  const plugin = await target("local key", await workshop.plugin("local", workshop.localFlags), directory);
  const rows = await measure([bare, plugin], methods);
  const peakMb = Math.round(peakResidentMb(plugin.server.pid));
  await bare.server.stop();
  await plugin.server.stop();
  return { rows, peakMb };
}

async function benchClouds(workshop: Workshop, directory: string, awayMs: number) {
  const rows: Row[] = [];
  const connections: { readonly server: string; readonly opened: number; readonly requests: number }[] = [];
  let peakMb = 0;
  for (const kind of ["azure", "aws"] as const) {
    const cloud = await workshop.cloud(kind, awayMs);
    const name = awayMs === 0 ? kind : `${kind}, ${awayMs} ms away`;
    const plugin = await target(name, await workshop.plugin(kind, cloud.flags, cloud.environment), directory);
    rows.push(...(await measure([plugin], ["Encrypt", "Decrypt"])));
    connections.push({ server: name, opened: await cloud.connections(), requests: Math.round(requestsOf(rows, name)) });
    const binary = values[`peer-${kind}`];
    if (binary !== undefined && awayMs === 0) {
      const peer = await target(`upstream ${kind}`, await workshop.peer(kind, binary, cloud), directory);
      const turns = await measure([peer, { ...plugin, name: `${kind} beside it` }], ["Encrypt", "Decrypt"]);
      rows.push(...turns);
      await peer.server.stop();
    }
    peakMb = Math.max(peakMb, Math.round(peakResidentMb(plugin.server.pid)));
    await plugin.server.stop();
    await cloud.stop();
  }
  return { rows, connections, peakMb };
}

/** A first call of each method by an ordinary client: what is measured afterwards is known to work. */
async function target(name: string, server: RunningServer, directory: string): Promise<Target> {
  const client = kmsClient(server.socket);
  const plaintext = Buffer.alloc(32, 3);
  const uid = "5fd4b1b2-3c1e-4c3d-8f0e-000000000000";
  await client.v2.Status({});
  const encrypted = await client.v2.Encrypt({ plaintext, uid });
  const decrypted = await client.v2.Decrypt({ ...encrypted, uid });
  client.close();
  if (!plaintext.equals(decrypted.plaintext)) throw new Error(`${name} does not give back what it encrypted`);
  const write = (method: string, message: Buffer) => {
    const file = join(directory, `${name.replace(/\W+/g, "-")}.${method}`);
    writeFileSync(file, frameMessage(message));
    return file;
  };
  return {
    name,
    server,
    bodies: {
      Status: write("status", kmsV2Service.Status.requestSerialize({})),
      Encrypt: write("encrypt", kmsV2Service.Encrypt.requestSerialize({ plaintext, uid })),
      Decrypt: write("decrypt", kmsV2Service.Decrypt.requestSerialize({ ...encrypted, uid })),
    },
  };
}

/** In turns, so that what else the machine does meets all servers alike. */
async function measure(targets: readonly Target[], chosen: readonly Method[]): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const each of targets) for (const method of chosen) await warmUp(each, method);
  for (const method of chosen) {
    for (const inFlight of inFlights) {
      const counts: number[] = [];
      for (const each of targets) {
        await othersRest(targets, each);
        counts.push(await requestsFor(each, method, inFlight));
      }
      const turns: Row[][] = [];
      for (let round = 0; round < rounds; round++) {
        const turn: Row[] = [];
        for (const [index, each] of targets.entries()) {
          await othersRest(targets, each);
          turn.push(await measureOnce(each, method, inFlight, counts[index] ?? 0));
        }
        turns.push(turn);
      }
      for (const index of targets.keys()) {
        const own = turns.flatMap((turn) => turn[index] ?? []);
        // Of each turn by itself: what disturbs one server in a turn disturbs the other.
        const shares = turns.flatMap(([first, ...others]) =>
          first && index > 0 ? (others[index - 1]?.perSecond ?? 0) / first.perSecond : [],
        );
        const row = medianBy(own, ({ perSecond }) => perSecond);
        rows.push({
          ...row,
          cpuUs: medianBy(own, ({ cpuUs }) => cpuUs).cpuUs,
          ...(shares.length === 0 ? {} : { shareOfFirst: medianBy(shares, (share) => share) }),
        });
        process.stdout.write(line(rows.at(-1) ?? row));
      }
    }
  }
  for (const { name, server } of targets) {
    const [failure] = server.failures();
    if (failure !== undefined) throw new Error(`a call to ${name} failed: ${failure}`);
  }
  return rows;
}

const restMs = 200;
const restLimitMs = 60_000;

/**
 * Until no other server is at work. The upstream plugin for Azure goes on opening connections for seconds after its last call,
 * and whose turn comes next would find the vault busy with them.
 */
async function othersRest(targets: readonly Target[], next: Target): Promise<void> {
  const others = targets.filter((each) => each !== next).map(({ server }) => server.pid);
  const spent = (): number => others.reduce((sum, pid) => sum + cpuMicroseconds(pid), 0);
  const deadline = performance.now() + restLimitMs;
  for (let before = spent(); ; before = spent()) {
    await delay(restMs);
    // A hundredth of a CPU.
    if (spent() - before < restMs * 10) return;
    if (performance.now() > deadline)
      throw new Error(`a server that nobody asks is still at work after ${restLimitMs} ms`);
  }
}

/** A server of weeks is measured, not one of seconds: its code is compiled and optimised by now. */
async function warmUp({ server, bodies }: Target, method: Method): Promise<void> {
  const path = `/v2.KeyManagementService/${method}`;
  const begun = performance.now();
  while (performance.now() - begun < warmUpMs)
    await load({ socket: server.socket, path, body: bodies[method], inFlight: 16, requests: 500 });
}

/** How many requests take about the wanted time. */
async function requestsFor({ server, bodies }: Target, method: Method, inFlight: number): Promise<number> {
  const path = `/v2.KeyManagementService/${method}`;
  const { perSecond } = await load({ socket: server.socket, path, body: bodies[method], inFlight, requests: 300 });
  return Math.max(300, Math.round(perSecond * seconds));
}

async function measureOnce(
  { name, server, bodies }: Target,
  method: Method,
  inFlight: number,
  requests: number,
): Promise<Row> {
  const before = cpuMicroseconds(server.pid);
  const path = `/v2.KeyManagementService/${method}`;
  const result = await load({ socket: server.socket, path, body: bodies[method], inFlight, requests });
  const cpuUs = Math.round((cpuMicroseconds(server.pid) - before) / requests);
  return { server: name, method, inFlight, ...result, perSecond: Math.round(result.perSecond), cpuUs };
}

function medianBy<T>(values: readonly T[], of: (value: T) => number): T {
  const median = [...values].sort((a, b) => of(a) - of(b))[Math.floor(values.length / 2)];
  if (median === undefined) throw new Error("--rounds must be 1 or more");
  return median;
}

async function benchStart(workshop: Workshop): Promise<Ready> {
  const clouds = await Promise.all((["azure", "aws"] as const).map((kind) => workshop.cloud(kind, 0)));
  const kinds: readonly (readonly [string, readonly string[], Readonly<Record<string, string>>])[] = [
    ["local", workshop.localFlags, {}],
    ...clouds.map((cloud: Cloud) => [cloud.flags[0] ?? "", cloud.flags, cloud.environment] as const),
  ];
  const ready: Record<string, { readonly ms: number; readonly cpuMs: number }> = {};
  for (const [name, flags, environment] of kinds) {
    const starts: RunningServer[] = [];
    for (let start = 0; start < 7; start++) {
      const server = await workshop.plugin(name, flags, environment);
      starts.push(server);
      await server.stop();
    }
    const ms = Math.round(medianBy(starts, ({ readyMs }) => readyMs).readyMs);
    ready[name] = { ms, cpuMs: Math.round(medianBy(starts, ({ readyCpuMs }) => readyCpuMs).readyCpuMs) };
  }
  for (const cloud of clouds) await cloud.stop();
  return ready;
}

function requestsOf(rows: readonly Row[], name: string): number {
  return rows.reduce((sum, { server, perSecond }) => sum + (server === name ? perSecond * seconds * rounds : 0), 0);
}

main().catch((error: unknown) => {
  const missing =
    (error as NodeJS.ErrnoException).code === "ENOENT" ? "; h2load is in Debian's package nghttp2-client\n" : "\n";
  process.stderr.write(`bench: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}${missing}`);
  process.exit(1);
});
