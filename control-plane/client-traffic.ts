/**
 * Clients of a control plane that write and read Secrets through all its servers all the time and compare contents. The
 * example and the end-to-end tests run it during a rotation: a failed request or another content than was written is a fault.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import type { LocalControlPlane } from "../core/local-control-plane";

export interface TrafficReport {
  readonly requests: number;
  readonly failures: readonly string[];
  /** The slowest request, in milliseconds. */
  readonly slowest: number;
}

export interface Traffic {
  /** So far. */
  report(): TrafficReport;
  /** Ends it, after every Secret has been read through every server and compared once more. */
  stop(): Promise<TrafficReport>;
}

export interface TrafficOptions {
  readonly namespace?: string;
  /** Secrets that each client keeps writing. @default 5 */
  readonly secrets?: number;
  /** Pause between two steps of a client, in milliseconds. @default 50 */
  readonly pause?: number;
  /** Whether a request that finds no server counts as a failure: false while a test kills servers. @default true */
  readonly countUnreachable?: boolean;
}

const requestTimeout = 20_000;

/** Starts one client a server. Each writes its own Secrets through its server and reads them through another one. */
export function startTraffic(controlPlane: LocalControlPlane, options: TrafficOptions = {}): Traffic {
  const { namespace = "default", secrets = 5, pause = 50, countUnreachable = true } = options;
  const pools = controlPlane.hosts.map(
    (host) =>
      new Pool(host.apiServerUrl, {
        connections: 4,
        headersTimeout: requestTimeout,
        bodyTimeout: requestTimeout,
        connect: {
          ca: readFileSync(host.client.caFile),
          cert: readFileSync(host.client.certFile),
          key: readFileSync(host.client.keyFile),
        },
      }),
  );
  /** What each Secret may hold: one value, or several after a write that got no answer. */
  const written = new Map<string, readonly string[]>();
  /** Secrets that a server has confirmed once: from then on each of them must be there. */
  const confirmed = new Set<string>();
  const failures: string[] = [];
  let requests = 0;
  let slowest = 0;
  let stopping = false;

  async function request(server: number, method: "GET" | "POST" | "PUT", name: string, body?: object) {
    const pool = pools[server] as Pool;
    const path = `/api/v1/namespaces/${namespace}/secrets${method === "POST" ? "" : `/${name}`}`;
    const startedAt = performance.now();
    requests += 1;
    const answer = await pool.request({
      method,
      path,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    const text = await answer.body.text();
    slowest = Math.max(slowest, performance.now() - startedAt);
    return { status: answer.statusCode, body: text };
  }

  async function write(server: number, name: string): Promise<void> {
    const value = randomBytes(24).toString("base64");
    const secret = { apiVersion: "v1", kind: "Secret", metadata: { name, namespace }, data: { value } };
    const before = written.get(name) ?? [];
    // Until it is answered, it may be stored or not.
    written.set(name, [...before, value]);
    const known = confirmed.has(name);
    let answer = await request(server, known ? "PUT" : "POST", name, secret);
    // Left by an earlier run, or by a request that got no answer: from now on it is ours.
    if (answer.status === 409 && !known) answer = await request(server, "PUT", name, secret);
    if (answer.status === 200 || answer.status === 201) {
      written.set(name, [value]);
      confirmed.add(name);
      return;
    }
    if (answer.status < 500) written.set(name, before);
    fail(server, `${known ? "PUT" : "POST"} ${name}: ${answer.status} ${answer.body.slice(0, 200)}`);
  }

  async function read(server: number, name: string): Promise<void> {
    if (!confirmed.has(name)) return;
    const expected = written.get(name) ?? [];
    const answer = await request(server, "GET", name);
    if (answer.status !== 200) {
      fail(server, `GET ${name}: ${answer.status} ${answer.body.slice(0, 200)}`);
      return;
    }
    const { data } = JSON.parse(answer.body) as { data?: { value?: string } };
    if (!expected.includes(data?.value ?? "")) fail(server, `GET ${name}: another content than was written`);
  }

  function fail(server: number, what: string): void {
    failures.push(`${new Date().toISOString()} ${controlPlane.hosts[server]?.name ?? ""}: ${what}`);
  }

  async function step(server: number, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      if (countUnreachable)
        fail(server, thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown));
    }
  }

  const names = (client: number) => Array.from({ length: secrets }, (_, index) => `traffic-${client}-${index}`);

  async function client(own: number): Promise<void> {
    for (let round = 0; !stopping; round += 1) {
      const name = names(own)[round % secrets] as string;
      await step(own, () => write(own, name));
      const other = (own + 1 + (round % Math.max(1, pools.length - 1))) % pools.length;
      await step(other, () => read(other, name));
      await delay(pause);
    }
  }

  const clients = pools.map((_, own) => client(own));
  const report = (): TrafficReport => ({ requests, failures: [...failures], slowest: Math.round(slowest) });

  return {
    report,
    async stop() {
      stopping = true;
      await Promise.all(clients);
      for (const server of pools.keys()) {
        for (const name of written.keys()) await step(server, () => read(server, name));
      }
      await Promise.all(pools.map((pool) => pool.close()));
      return report();
    },
  };
}
