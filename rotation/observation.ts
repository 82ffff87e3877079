/**
 * What is seen of a cluster, and nothing that is remembered about it. Times are milliseconds since the epoch.
 * `decide` works on this alone, so a run that was killed goes on where the cluster is, not where a file says it was.
 */
import type { EncryptionConfiguration } from "../core/encryption-configuration";
import type { WriteKey } from "../core/write-key";

export interface Observation {
  /** When it was taken. */
  readonly now: number;
  /** When this run began: a limit that counts from something older than the run still gives the run its full time. */
  readonly runStartedAt: number;
  readonly servers: readonly ServerObservation[];
  /** Live API servers that `Goal.servers` does not list, by host name as their identity Lease has it. */
  readonly unlistedServers: readonly string[];
  /** Why live servers cannot be discovered; undefined when they were. Then the list alone proves nothing (invariant 10). */
  readonly discoveryProblem: string | undefined;
  /** How the server set was found, in words, with what could not be seen. Goes into the evidence. */
  readonly discovery: string;
  /** Proofs measured in this run, if any; each counts only while what it was measured on is unchanged. */
  readonly crosswise: readonly CrosswiseProof[];
  readonly stored: StoredProof | undefined;
  readonly readThrough: readonly ReadThroughProof[];
  /** What went wrong in this run and must not be tried again in it. */
  readonly setbacks: readonly Setback[];
  /** Servers whose configuration this run has written. */
  readonly written: readonly string[];
  /** Rewrites done in this run, and what the last one could not rewrite. */
  readonly rewrites: { readonly count: number; readonly failures: readonly ObjectFailure[] };
  /**
   * From when on, as far as this run knows, every server has been encrypting with the goal's key and no request that began
   * before can still be under way. Undefined while some server encrypts with another key.
   */
  readonly settledAt: number | undefined;
}

export interface ServerObservation {
  readonly name: string;
  /** Why nothing is known about it, or undefined when it answered. A server that cannot be seen has proven nothing. */
  readonly unreachable: string | undefined;
  /** Why /readyz says no, or undefined when it is ready. */
  readonly notReady: string | undefined;
  /** Since when, in this run, the server has been unreachable or not ready. */
  readonly troubleSince: number | undefined;
  readonly version: string;
  /** `hot`: started with automatic reload. `restart`: reads its configuration at start only. */
  readonly reload: "hot" | "restart";
  readonly processStartedAt: number;
  /** When a restart was asked for that the process has not made yet; undefined when none is pending. */
  readonly restartRequestedAt: number | undefined;
  /** The hash it had loaded when it was last seen ready in this run: what a failed gate goes back to. */
  readonly lastReadyHash: string | undefined;
  /** Longest time a request may run on it (--request-timeout; Kubernetes' default is one minute). */
  readonly requestTimeout: number;
  /** The file on the host; undefined where there is none yet. */
  readonly file: ConfigFile | undefined;
  readonly loaded: LoadedConfig;
  readonly plugins: readonly PluginObservation[];
}

export interface ConfigFile {
  /** `sha256:<hex>` of the bytes, in the form of the API server's own metric. */
  readonly hash: string;
  readonly config: EncryptionConfiguration;
  /** When the file came to be there: limits count from it, so they hold across runs. */
  readonly writtenAt: number;
}

/** What the API server process itself uses, by the best evidence its version offers. */
export interface LoadedConfig {
  /** Undefined: not known, which proves nothing. */
  readonly hash: string | undefined;
  /** The configuration behind the hash: the file's, or a kept backup's. Undefined where neither has that hash. */
  readonly config: EncryptionConfiguration | undefined;
  /** When it was loaded. */
  readonly since: number;
  /** Which evidence it is, for the report: the metric's name, or "process start after the write". */
  readonly basis: string;
  /** The reload failures the server itself counts since its start, where it says so. */
  readonly failures: number;
}

export interface PluginObservation {
  /** As `PluginInstance.name`, or the manifest's name for a plugin that is not ours. */
  readonly name: string;
  /** When its manifest was written, the limit for its first answer counts from it. */
  readonly startedAt: number;
  /** Status answered "ok": the key_id it reports. */
  readonly keyId: string | undefined;
  /** Why it is not usable, or undefined when it is. */
  readonly problem: string | undefined;
}

/** Invariant 1: what each host's plugin encrypted, every other host's plugin decrypted, and key_id is the same on all. */
export interface CrosswiseProof {
  readonly plugin: string;
  readonly servers: readonly string[];
  readonly keyId: string;
  readonly failure: string | undefined;
}

/** The servers a proof holds for: when any of it changes, it is void (invariant 10). */
export interface ServerState {
  readonly server: string;
  readonly loadedHash: string;
  readonly processStartedAt: number;
}

/** What is stored, per resource and key. */
export interface StoredProof {
  /** `etcd`: every stored value's prefix was read. `api`: every object was offered for a no-op write through every server. */
  readonly method: "etcd" | "api";
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly servers: readonly ServerState[];
  readonly resources: readonly StoredResource[];
  /** What this method could not look at, in words, for the evidence; absent where it saw everything. */
  readonly notSeen?: readonly string[];
}

export interface StoredResource {
  readonly resource: string;
  readonly objects: number;
  readonly bytes: number;
  readonly keys: readonly { readonly key: WriteKey; readonly objects: number }[];
  /** Values whose prefix or encoding is not known: they may need anything, so nothing is removed while there are any. */
  readonly unknown: number;
}

/** Every object was read from etcd through this one server. */
export interface ReadThroughProof {
  readonly state: ServerState;
  readonly objects: number;
  /** Objects that could not be read, with the reason; names stay out of state and stacks. */
  readonly failures: readonly ObjectFailure[];
}

export interface ObjectFailure {
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly reason: string;
}

export interface Setback {
  readonly server: string;
  /**
   * `notLoaded`: a server did not take a file, and must not be given the like again in this run. `unreadable`: a pruned
   * server could not read everything, so it gets its readers back. `failed`: an action or a measurement gave an error.
   */
  readonly kind: "notLoaded" | "unreadable" | "failed";
  /** The configuration hash that the server did not load, or the plugin that did not come up. */
  readonly what: string;
  readonly reason: string;
}
