/** What a simulated cluster is made of: hosts with a file, a server and plugins, and stored objects. */
import { createHash } from "node:crypto";
import { type EncryptionConfiguration, encryptionConfigurationDocument } from "../../core/encryption-configuration";

export interface SimulatedHost {
  name: string;
  reload: "hot" | "restart";
  config: EncryptionConfiguration;
  /** What stands in the file instead of `config`, where somebody has spoilt it. */
  garbage: string | undefined;
  writtenAt: number;
  loaded: EncryptionConfiguration;
  loadedSince: number;
  processStartedAt: number;
  restartRequestedAt: number | undefined;
  /** Until when the process is away; Infinity: for good. */
  downUntil: number;
  nextPoll: number;
  version: string;
  /** The key_id that the server has last heard from the plugin of each provider, and since when. */
  heard: Map<string, { keyId: string; since: number }>;
  nextStatus: number;
  backups: Map<string, EncryptionConfiguration>;
  /** What the engine wrote last on the host, in whose place, and what the server had loaded then. */
  record: { written: string; replaced: string; loaded: string | undefined } | undefined;
  plugins: Map<string, SimulatedPlugin>;
  /** Faults. */
  refusesToLoad: boolean;
  /** While it is down, its files and plugins cannot be seen either. */
  unseen: boolean;
  failures: number;
}

export interface SimulatedPlugin {
  /** When its manifest was written, and what with: its image, in a word. */
  startedAt: number;
  image: string;
  /** Its process, which is another image's until a kubelet has seen the manifest. */
  runs: { image: string; since: number } | undefined;
  /** Whether it answered when the engine last looked. */
  answered: boolean;
  /** Its key_id. */
  material: string;
  /** Key_ids of before, where its KMS has changed the key behind it: it still decrypts with them. */
  former?: readonly string[];
  broken: boolean;
  socketMissing: boolean;
}

export interface StoredObject {
  resource: string;
  provider: string;
  keyId: string | undefined;
  version: number;
}

const hashes = new WeakMap<EncryptionConfiguration, string>();

export function configHash(config: EncryptionConfiguration): string {
  const known = hashes.get(config);
  if (known !== undefined) return known;
  const bytes = JSON.stringify(encryptionConfigurationDocument(config));
  const hash = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  hashes.set(config, hash);
  return hash;
}

/** A host that has run with `config` for a while, and looks at its file next at `nextPoll`. */
export function wellHost(
  name: string,
  reload: SimulatedHost["reload"],
  config: EncryptionConfiguration,
  now: number,
  nextPoll: number,
): SimulatedHost {
  return {
    name,
    reload,
    config,
    garbage: undefined,
    writtenAt: now - 600_000,
    loaded: config,
    loadedSince: now - 500_000,
    processStartedAt: now - 500_000,
    restartRequestedAt: undefined,
    downUntil: 0,
    nextPoll,
    version: "v1.36.3",
    heard: new Map(),
    nextStatus: nextPoll,
    backups: new Map(),
    record: undefined,
    plugins: new Map(),
    refusesToLoad: false,
    unseen: false,
    failures: 0,
  };
}

/** One that has just started, with the files and plugins of `like`, and no record of the engine's. */
export function joinedHost(like: SimulatedHost, name: string, now: number): SimulatedHost {
  return {
    ...like,
    name,
    plugins: new Map([...like.plugins].map(([plugin, state]) => [plugin, { ...state }])),
    heard: new Map(like.heard),
    backups: new Map(),
    record: undefined,
    garbage: undefined,
    loaded: like.config,
    loadedSince: now,
    processStartedAt: now,
    restartRequestedAt: undefined,
    downUntil: 0,
    refusesToLoad: false,
    unseen: false,
  };
}

/** Of what is in the file's place now. */
export function presentHash(target: SimulatedHost): string {
  return target.garbage ?? configHash(target.config);
}

function lastLoaded({ record }: SimulatedHost, present: string): string | undefined {
  if (record === undefined) return undefined;
  return [record.written, record.replaced].includes(present) ? record.loaded : record.written;
}

/** What the host's record says that the server can go back to. */
export function fallbackOf(target: SimulatedHost): {
  readonly fallback?: { readonly hash: string; readonly config: EncryptionConfiguration };
} {
  const hash = lastLoaded(target, presentHash(target));
  const config = hash === undefined ? undefined : target.backups.get(hash);
  if (hash === undefined || config === undefined || hash === presentHash(target)) return {};
  return { fallback: { hash, config } };
}

export function keepRecord(target: SimulatedHost, written: string, loaded: string | undefined): void {
  const replaced = presentHash(target);
  target.record = { written, replaced, loaded: loaded ?? lastLoaded(target, replaced) };
}
