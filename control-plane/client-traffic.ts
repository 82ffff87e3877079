/**
 * Clients of a control plane that write and read Secrets, or what they are given, through all its servers all the time and compare contents. The
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
  /** Reads everything that was written through every server and compares it, while the clients go on. */
  compareAll(): Promise<void>;
  /** Ends it, after everything has been read through every server and compared once more. */
  stop(): Promise<TrafficReport>;
}

/** Objects that carry a text in `data.value`. */
export interface TrafficKind {
  readonly apiVersion: string;
  readonly kind: string;
  /** As in the path. */
  readonly plural: string;
}

const secretKind: TrafficKind = { apiVersion: "v1", kind: "Secret", plural: "secrets" };

export interface TrafficOptions {
  readonly namespace?: string;
  /** What the clients write and read, each as many as there are Secrets. @default Secrets */
  readonly kinds?: readonly TrafficKind[];
  /** Secrets that each client keeps writing. @default 5 */
  readonly secrets?: number;
  /** Pause between two steps of a client, in milliseconds. @default 50 */
  readonly pause?: number;
  /** Whether a request that finds no server counts as a failure: false while a test kills servers. @default true */
  readonly countUnreachable?: boolean;
}

const requestTimeout = 20_000;
/** So often a comparison asks a server that does not answer, half a second apart: a connection from before its restart is one. */
const comparisonTries = 20;

/** Starts one client a server. Each writes its own objects through its server and reads them through another one. */
export function startTraffic(controlPlane: LocalControlPlane, options: TrafficOptions = {}): Traffic {
  const { namespace = "default", secrets = 5, pause = 50, countUnreachable = true, kinds = [secretKind] } = options;
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
  /** What each object may hold: one value, or several after a write that got no answer. */
  const written = new Map<string, readonly string[]>();
  /** Objects that a server has confirmed once: from then on each of them must be there. */
  const confirmed = new Set<string>();
  /** For each client, who waits for it to compare what it has written. */
  const comparisons = pools.map((): (() => void)[] => []);
  const failures: string[] = [];
  let requests = 0;
  let slowest = 0;
  let stopping = false;

  const kindOf = (id: string) => kinds.find(({ plural }) => id.startsWith(`${plural}/`)) ?? secretKind;

  /** `id` is `<plural>/<name>`. */
  async function request(server: number, method: "GET" | "POST" | "PUT" | "PATCH", id: string, body?: object) {
    const pool = pools[server] as Pool;
    const [plural = "", name = ""] = id.split("/");
    const { apiVersion } = kindOf(id);
    const collection = `/${apiVersion === "v1" ? "api" : "apis"}/${apiVersion}/namespaces/${namespace}/${plural}`;
    const contentType = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    const startedAt = performance.now();
    requests += 1;
    const answer = await pool.request({
      method,
      path: method === "POST" ? collection : `${collection}/${name}`,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": contentType } }),
    });
    const text = await answer.body.text();
    slowest = Math.max(slowest, performance.now() - startedAt);
    return { status: answer.statusCode, body: text };
  }

  async function write(server: number, id: string): Promise<void> {
    const value = randomBytes(24).toString("base64");
    const { apiVersion, kind } = kindOf(id);
    const object = { apiVersion, kind, metadata: { name: id.split("/")[1], namespace }, data: { value } };
    // Custom resources cannot be put without the resourceVersion that they have.
    const replace = apiVersion === "v1" ? ("PUT" as const) : ("PATCH" as const);
    const before = written.get(id) ?? [];
    // Until it is answered, it may be stored or not.
    written.set(id, [...before, value]);
    const method = confirmed.has(id) ? replace : ("POST" as const);
    let answer = await request(server, method, id, object);
    // Left by an earlier run, or by a request that got no answer: from now on it is ours.
    if (answer.status === 409 && method === "POST") answer = await request(server, replace, id, object);
    if (answer.status === 200 || answer.status === 201) {
      written.set(id, [value]);
      confirmed.add(id);
      return;
    }
    if (answer.status < 500) written.set(id, before);
    fail(server, `${method} ${id}: ${answer.status} ${answer.body.slice(0, 200)}`);
  }

  /** True: it has the content that it should have, as far as it must be there. */
  async function read(server: number, id: string): Promise<boolean> {
    if (!confirmed.has(id)) return true;
    const expected = written.get(id) ?? [];
    const answer = await request(server, "GET", id);
    if (answer.status !== 200) {
      fail(server, `GET ${id}: ${answer.status} ${answer.body.slice(0, 200)}`);
      return false;
    }
    const { data } = JSON.parse(answer.body) as { data?: { value?: string } };
    const same = expected.includes(data?.value ?? "");
    if (!same) fail(server, `GET ${id}: another content than was written`);
    return same;
  }

  /** By the client that writes them, so that nobody writes meanwhile. */
  async function compare(ids: readonly string[]): Promise<void> {
    for (const server of pools.keys()) {
      for (const id of ids) {
        let compared = false;
        for (let attempt = 1; !compared && attempt <= comparisonTries; attempt += 1) {
          if (attempt > 1) await delay(500);
          compared = await read(server, id).catch(() => false);
        }
        if (!compared) fail(server, `GET ${id}: its content was not seen`);
      }
    }
  }

  function fail(server: number, what: string): void {
    failures.push(`${new Date().toISOString()} ${controlPlane.hosts[server]?.name ?? ""}: ${what}`);
  }

  async function step(server: number, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      if (countUnreachable)
        fail(server, thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown));
    }
  }

  const idsOf = (client: number) =>
    Array.from({ length: secrets }, (_, index) => index).flatMap((index) =>
      kinds.map(({ plural }) => `${plural}/traffic-${client}-${index}`),
    );

  async function client(own: number): Promise<void> {
    const ids = idsOf(own);
    for (let round = 0; !stopping; round += 1) {
      const id = ids[round % ids.length] as string;
      await step(own, () => write(own, id));
      const other = (own + 1 + (round % Math.max(1, pools.length - 1))) % pools.length;
      await step(other, () => read(other, id));
      for (const compared of comparisons[own]?.splice(0) ?? []) {
        await compare(ids);
        compared();
      }
      await delay(pause);
    }
  }

  const clients = pools.map((_, own) => client(own));
  const report = (): TrafficReport => ({ requests, failures: [...failures], slowest: Math.round(slowest) });

  return {
    report,
    compareAll: async () => {
      if (stopping) throw new Error("compareAll() was called after stop(), which compares by itself");
      await Promise.all(comparisons.map((waiting) => new Promise<void>((resolve) => waiting.push(resolve))));
    },
    async stop() {
      stopping = true;
      await Promise.all(clients);
      for (const server of pools.keys()) {
        for (const id of written.keys()) await step(server, () => read(server, id));
      }
      await Promise.all(pools.map((pool) => pool.close()));
      return report();
    },
  };
}
