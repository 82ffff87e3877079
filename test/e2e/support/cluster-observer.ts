/**
 * Looks at a real cluster from outside while an engine and faults are at work, and shares no code with the engine: what etcd
 * holds, by its own bytes, against the configuration that each server says it has loaded. "Every server can read everything
 * that is stored" (invariants 1 and 2) must hold at every look.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { parse } from "yaml";
import type { LocalControlPlane, LocalControlPlaneHost, TlsClientFiles } from "../../../core/local-control-plane";

export interface ClusterObserver {
  /** What must never be, as it was seen. */
  readonly violations: readonly string[];
  /** Looks in which at least one server could be judged. */
  readonly looks: () => number;
  /** Looks once more, then ends. */
  stop(): Promise<void>;
}

export interface ObserverOptions {
  /** Pause between two looks, in milliseconds. A look costs each server its metrics. @default 500 */
  readonly pause?: number;
  /** Servers that are not to be judged, by name: those that nobody has given to the engine yet. */
  readonly except?: readonly string[];
  /** What is looked at, as EncryptionConfiguration names it. @default Secrets */
  readonly resources?: readonly string[];
}

interface Document {
  readonly resources: readonly {
    readonly resources: readonly string[];
    readonly providers: readonly Readonly<
      Record<string, { apiVersion?: string; name?: string; keys?: { name: string }[] }>
    >[];
  }[];
}

export function observeCluster(controlPlane: LocalControlPlane, options: ObserverOptions = {}): ClusterObserver {
  const { pause = 500, except = [], resources = ["secrets"] } = options;
  const hosts = controlPlane.hosts.filter(({ name }) => !except.includes(name));
  const pools = new Map(hosts.map((host) => [host.name, new Pool(host.apiServerUrl, { connect: tls(host.client) })]));
  const etcd = new Pool(controlPlane.etcd.endpoints[0] ?? "", { connect: tls(controlPlane.etcd.client) });
  const known = new Map<string, Document>();
  const violations: string[] = [];
  const ending = new AbortController();
  let looks = 0;

  /** Every text that was ever a host's configuration, by its SHA-256: the engine keeps what it replaces, and what it writes. */
  function learn(host: LocalControlPlaneHost): void {
    const kept = names(host.backupDirectory).map((name) => join(host.backupDirectory, name));
    for (const file of [host.encryptionConfigFile, ...kept]) {
      const bytes = readIfThere(file);
      const hash = bytes && `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
      if (hash !== undefined && !known.has(hash)) {
        const document = configuration(bytes?.toString("utf8") ?? "");
        if (document !== undefined) known.set(hash, document);
      }
    }
  }

  /** What the server's process says that it uses, with the process it is; undefined while it says nothing. No hash before 1.34. */
  async function loaded(host: LocalControlPlaneHost): Promise<{ hash?: string; process: string } | undefined> {
    try {
      const answer = await pools
        .get(host.name)
        ?.request({ method: "GET", path: "/metrics", headersTimeout: 3_000, bodyTimeout: 3_000 });
      const text = (await answer?.body.text()) ?? "";
      const hash =
        /^apiserver_encryption_config_controller_last_config_info\{[^}]*hash="(sha256:[0-9a-f]+)"[^}]*\} 1$/m.exec(
          text,
        );
      const started = /^process_start_time_seconds (\S+)$/m.exec(text);
      if (started?.[1] === undefined) return undefined;
      return hash?.[1] === undefined ? { process: started[1] } : { hash: hash[1], process: started[1] };
    } catch {
      return undefined;
    }
  }

  const saw = (what: string) => violations.push(`${new Date().toISOString()} ${what}`);

  /** A server that does not name what it has loaded is asked for one object of each kind of value. True: it has answered. */
  async function reads(host: LocalControlPlaneHost, resource: string, stored: Stored): Promise<boolean> {
    let answered = false;
    for (const [prefix, example] of stored) {
      const [plural = "", group] = parts(resource);
      const [namespace = "", name = ""] = example.split("/").slice(-2);
      const root = group === undefined ? "/api/v1" : `/apis/${group}/v1`;
      const path = `${root}/namespaces/${namespace}/${plural}/${name}`;
      const asked = { method: "GET" as const, path, headersTimeout: 10_000, bodyTimeout: 10_000 };
      const answer = await pools
        .get(host.name)
        ?.request(asked)
        .catch(() => undefined);
      const text = (await answer?.body.text().catch(() => "")) ?? "";
      answered ||= answer?.statusCode === 200;
      if (/no matching prefix|identity transformer tried to read/.test(text))
        saw(`${host.name} cannot read ${example}, stored as ${prefix}: ${text.slice(0, 200)}`);
    }
    return answered;
  }

  async function look(): Promise<void> {
    let judged = false;
    for (const resource of resources) judged = (await lookAt(resource)) || judged;
    if (judged) looks += 1;
  }

  /** True: at least one server was judged. */
  async function lookAt(resource: string): Promise<boolean> {
    const before = new Map(await Promise.all(hosts.map(async (host) => [host.name, await loaded(host)] as const)));
    const stored = await storedPrefixes(etcd, controlPlane.etcd.prefix, resource).catch(() => undefined);
    const after = new Map(await Promise.all(hosts.map(async (host) => [host.name, await loaded(host)] as const)));
    if (stored === undefined) return false;
    let judged = false;
    for (const host of hosts) {
      learn(host);
      const [one, other] = [before.get(host.name), after.get(host.name)];
      if (one !== undefined && one.hash === undefined) judged = (await reads(host, resource, stored)) || judged;
      // Only what held for the whole time of the look at etcd.
      if (one?.hash === undefined || one.hash !== other?.hash || one.process !== other.process) continue;
      const document = known.get(one.hash);
      if (document === undefined) continue;
      const readers = readersIn(document, resource);
      judged = true;
      for (const [prefix, example] of stored) {
        // A local key's name may have ":" in it, and nothing in a value says where it ends.
        if ([...readers].some((reader) => reader.startsWith(prefix))) continue;
        saw(`${host.name} has loaded [${[...readers].join(", ")}] and cannot read ${example}, stored as ${prefix}`);
      }
    }
    return judged;
  }

  async function watch(): Promise<void> {
    while (!ending.signal.aborted) {
      await look();
      await delay(pause, undefined, { signal: ending.signal }).catch(() => undefined);
    }
    await look();
  }

  for (const host of hosts) learn(host);
  const watching = watch();
  return {
    violations,
    looks: () => looks,
    stop: async () => {
      ending.abort();
      await watching;
      await Promise.all([...pools.values(), etcd].map((pool) => pool.destroy()));
    },
  };
}

/** How stored values begin, each with the key of one that does: `k8s:enc:kms:v2:<name>:`, or `plaintext`. */
type Stored = ReadonlyMap<string, string>;

async function storedPrefixes(etcd: Pool, prefix: string, resource: string): Promise<Stored> {
  const encode = (text: string) => Buffer.from(text).toString("base64");
  const directory = `${prefix}/${parts(resource).reverse().join("/")}`;
  const body = { key: encode(`${directory}/`), range_end: encode(`${directory}0`) };
  const answer = await etcd.request({
    method: "POST",
    path: "/v3/kv/range",
    body: JSON.stringify(body),
    headersTimeout: 5_000,
  });
  const { kvs = [] } = (await answer.body.json()) as { kvs?: { key: string; value: string }[] };
  const found = new Map<string, string>();
  for (const { key, value } of kvs) {
    const head = Buffer.from(value, "base64").subarray(0, 300).toString("latin1");
    const start = /^k8s:enc:[a-z]+:v\d:[^:]+:/.exec(head)?.[0] ?? "plaintext";
    if (!found.has(start)) found.set(start, Buffer.from(key, "base64").toString());
  }
  return found;
}

/** `pandas.example.com`: its plural and its group. */
function parts(resource: string): string[] {
  const dot = resource.indexOf(".");
  return dot < 0 ? [resource] : [resource.slice(0, dot), resource.slice(dot + 1)];
}

/** Undefined for what is no configuration. */
function configuration(text: string): Document | undefined {
  try {
    const document = parse(text) as Partial<Document> | null;
    return Array.isArray(document?.resources) ? (document as Document) : undefined;
  } catch {
    return undefined;
  }
}

/** What a configuration can read of a resource, as values begin: its first block that covers it counts. */
function readersIn({ resources: blocks }: Document, resource: string): ReadonlySet<string> {
  const names = [resource, `*.${parts(resource)[1] ?? ""}`, "*.*"];
  const block = blocks.find(({ resources }) => resources.some((name) => names.includes(name)));
  const readers = (block?.providers ?? [{ identity: {} }]).flatMap((provider) =>
    Object.entries(provider).flatMap(([kind, { apiVersion = "v1", name = "", keys = [] }]) => {
      if (kind === "identity") return ["plaintext"];
      if (kind === "kms") return [`k8s:enc:kms:${apiVersion}:${name}:`];
      return keys.map((key) => `k8s:enc:${kind}:v1:${key.name}:`);
    }),
  );
  return new Set(readers);
}

function names(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}

function tls({ caFile, certFile, keyFile }: TlsClientFiles) {
  return { ca: readFileSync(caFile), cert: readFileSync(certFile), key: readFileSync(keyFile) };
}
