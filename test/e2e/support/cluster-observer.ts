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
  const { pause = 500, except = [] } = options;
  const hosts = controlPlane.hosts.filter(({ name }) => !except.includes(name));
  const pools = new Map(hosts.map((host) => [host.name, new Pool(host.apiServerUrl, { connect: tls(host.client) })]));
  const etcd = new Pool(controlPlane.etcd.endpoints[0] ?? "", { connect: tls(controlPlane.etcd.client) });
  const known = new Map<string, ReadonlySet<string>>();
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
        const readers = secretReaders(bytes?.toString("utf8") ?? "");
        if (readers !== undefined) known.set(hash, readers);
      }
    }
  }

  /** What the server's process says that it uses, with the process it is; undefined while it says nothing. */
  async function loaded(host: LocalControlPlaneHost): Promise<{ hash: string; process: string } | undefined> {
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
      return hash?.[1] === undefined || started?.[1] === undefined ? undefined : { hash: hash[1], process: started[1] };
    } catch {
      return undefined;
    }
  }

  async function look(): Promise<void> {
    const before = new Map(await Promise.all(hosts.map(async (host) => [host.name, await loaded(host)] as const)));
    const stored = await storedPrefixes(etcd, controlPlane.etcd.prefix).catch(() => undefined);
    const after = new Map(await Promise.all(hosts.map(async (host) => [host.name, await loaded(host)] as const)));
    if (stored === undefined) return;
    let judged = false;
    for (const host of hosts) {
      learn(host);
      const [one, other] = [before.get(host.name), after.get(host.name)];
      // Only what held for the whole time of the look at etcd.
      if (one === undefined || one.hash !== other?.hash || one.process !== other.process) continue;
      const readers = known.get(one.hash);
      if (readers === undefined) continue;
      judged = true;
      for (const [prefix, example] of stored) {
        if (readers.has(prefix)) continue;
        violations.push(
          `${new Date().toISOString()} ${host.name} has loaded [${[...readers].join(", ")}] and cannot read ${example}, stored as ${prefix}`,
        );
      }
    }
    if (judged) looks += 1;
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

/** The beginnings of stored Secrets, each with one that has it: `k8s:enc:kms:v2:<name>:`, or `plaintext`. */
async function storedPrefixes(etcd: Pool, prefix: string): Promise<ReadonlyMap<string, string>> {
  const encode = (text: string) => Buffer.from(text).toString("base64");
  const body = { key: encode(`${prefix}/secrets/`), range_end: encode(`${prefix}/secrets0`) };
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

/** What a configuration can read of Secrets, as values begin. Undefined for what is no configuration. */
function secretReaders(text: string): ReadonlySet<string> | undefined {
  let document: unknown;
  try {
    document = parse(text);
  } catch {
    return undefined;
  }
  const blocks: unknown = (document as Document | null)?.resources;
  if (!Array.isArray(blocks)) return undefined;
  const block = (blocks as Document["resources"]).find(({ resources }) => resources.includes("secrets"));
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
