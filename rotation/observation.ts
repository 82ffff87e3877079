/**
 * What is seen of a cluster, and nothing that is remembered about it. Times are milliseconds since the epoch.
 * `decide` works on this alone, so a run that was killed goes on where the cluster is, not where a file says it was.
 */
import type { EncryptionConfiguration } from "../core/encryption-configuration";
import type { WriteKey } from "../core/write-key";
import type { SnapshotRecord } from "./snapshot-record";

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
  /** Since when, in this run, every look has met such a problem; absent without one. */
  readonly discoveryProblemSince?: number;
  /** How the server set was found, in words, with what could not be seen. Goes into the evidence. */
  readonly discovery: string;
  /** Where etcd stands; absent where there is no way to it, or it did not answer. */
  readonly etcd?: EtcdPosition;
  /** What is stored is seen by writing it again alone (`StoredObjects.measuresByWriting`); absent where etcd can be read. */
  readonly measuresByWriting?: true;
  /** Etcd's members, as far as they answer; absent where there is no way to etcd. */
  readonly etcdMembers?: readonly EtcdMember[];
  /** Since when, in this run, every look has met a member at work for somebody; absent while none is. */
  readonly etcdBusySince?: number;
  /** Since when, in this run, servers or members of etcd have been of more than one version; absent while they are of one. */
  readonly versionsDifferSince?: number;
  /** Since when, in this run, a server has used another key_id than its plugin reports; absent while none does. */
  readonly keyIdBehindSince?: number;
  /** Proofs measured in this run, if any; each counts only while what it was measured on is unchanged. */
  readonly crosswise: readonly CrosswiseProof[];
  readonly stored: StoredProof | undefined;
  readonly readThrough: readonly ReadThroughProof[];
  /** What this run has had etcd forget. */
  readonly compacted?: Compaction;
  /** The snapshot of etcd that this run has taken. */
  readonly snapshot?: TakenSnapshot;
  /** What went wrong in this run and must not be tried again in it. */
  readonly setbacks: readonly Setback[];
  /** Servers whose configuration this run has written. */
  readonly written: readonly string[];
  /** Rewrites done in this run. */
  readonly rewrites: Rewrites;
  /**
   * From when on, as far as this run knows, every server has been encrypting with the goal's key and no request that began
   * before can still be under way. Undefined while some server encrypts with another key.
   */
  readonly settledAt: number | undefined;
}

/** The rewrites of a run. */
export interface Rewrites {
  readonly count: number;
  /** What the last one could not rewrite. */
  readonly failures: readonly ObjectFailure[];
  /** When the last one began; absent without any. */
  readonly startedAt?: number;
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
  /** The file on the host; undefined where there is none yet, and where it cannot be used. */
  readonly file: ConfigFile | undefined;
  /** Why the file that is on the host cannot be used. What the server has loaded is another thing, and may still be known. */
  readonly fileProblem?: FileProblem;
  /**
   * What the host's own record says the server can go back to when it does not start with its file: what it had loaded when
   * the engine wrote that file, or what the engine wrote last where somebody else has written since. Absent once the server
   * has been seen to load its file: then there is nothing to go back from.
   */
  readonly fallback?: KeptConfig;
  /** What its API server lacks before the engine can work with it, where the engine may add it. */
  readonly setUp?: SetUpNeed;
  /** It was set up, in this run or an earlier one, and that it has been seen well since is not confirmed yet. */
  readonly setUpUnproven?: true;
  readonly loaded: LoadedConfig;
  readonly plugins: readonly PluginObservation[];
  /**
   * Plugins of ours that are written down on the host, and that nothing runs or starts: an engine was cut off while it started or
   * stopped them. To all rules but the one that cleans up they are not there. Absent without any.
   */
  readonly idlePlugins?: readonly string[];
  /** What the server itself has last heard of its KMS v2 plugins, provider by provider; absent where it does not say. */
  readonly heardKeyIds?: readonly HeardKeyId[];
}

/** The key_id that an API server encrypts with for a KMS v2 provider: it asks the plugin about once a minute. */
export interface HeardKeyId {
  /** The item's name in the configuration. */
  readonly provider: string;
  /** `sha256:<hex>` of the key_id: the server does not say more. */
  readonly keyIdHash: string;
  /** From when on at the latest it has been this one; 0 where the process has heard of no other. */
  readonly since: number;
}

export interface SetUpNeed {
  /** What is lacking, in words. */
  readonly reason: string;
  /** What a person has to do first; absent where the engine may go on. */
  readonly refused?: string;
  /** How the server will take a changed configuration once it is set up. */
  readonly reloadAfter: "hot" | "restart";
  /**
   * What starts it names no configuration at all: its `file` then is plaintext's. Or what was set up has not been started yet.
   * Its process may still have another one.
   */
  readonly namesNoConfig?: true;
}

export interface ConfigFile {
  /** `sha256:<hex>` of the bytes, in the form of the API server's own metric. */
  readonly hash: string;
  readonly config: EncryptionConfiguration;
  /** When the file came to be there: limits count from it, so they hold across runs. */
  readonly writtenAt: number;
}

/** A file that is there and is no encryption configuration, or cannot be read. */
export interface FileProblem {
  /** In words, without any of the file's text, which may be key material. */
  readonly reason: string;
  /** Of its bytes; undefined where they cannot be read. */
  readonly hash: string | undefined;
}

/** A configuration of which the host keeps a backup. */
export interface KeptConfig {
  readonly hash: string;
  readonly config: EncryptionConfiguration;
}

/** What the API server process itself uses, by the best evidence its version offers. */
export interface LoadedConfig {
  /** Undefined: not known, which proves nothing. */
  readonly hash: string | undefined;
  /** The configuration behind the hash: the file's, or a kept backup's. Undefined where neither has that hash. */
  readonly config: EncryptionConfiguration | undefined;
  /** When it was loaded. */
  readonly since: number;
  /** Which evidence it is, for the report: the metric's name, or "process start after the write"; and where it is weaker. */
  readonly basis: string;
  /** The reload failures the server itself counts since its start, where it says so. */
  readonly failures: number;
}

export interface PluginObservation {
  /** As `PluginInstance.name`, or the manifest's name for a plugin that is not ours. */
  readonly name: string;
  /** `unix://` and its socket, as configurations name it. Where its manifest has none: where the engine would have put it. */
  readonly endpoint: string;
  /** When its manifest was written, the limit for its first answer counts from it. */
  readonly startedAt: number;
  /** When its process began to listen; absent where that cannot be told. */
  readonly listeningSince?: number;
  /** Status answered "ok": the key_id it reports. */
  readonly keyId: string | undefined;
  /** Why it is not usable, or undefined when it is. */
  readonly problem: string | undefined;
  /** Its settings are not those that are wanted: another image, other flags. Absent where they are, and for one that is not ours. */
  readonly outdated?: Outdated;
  /** Names that others can point at another key, in the place of its keys. Absent without any, and for one that is ours. */
  readonly aliases?: readonly KeyAlias[];
  /**
   * The engine has put ARNs in the place of its aliases, and that is not confirmed yet. `proven`: a process that began since has encrypted
   * with its key and decrypted that.
   */
  readonly namedByArn?: "proven" | "unproven";
}

/** An alias of a key in AWS KMS that a plugin made by hand names its key by, and what KMS says is behind it now. */
export interface KeyAlias {
  /** As its `--key` has it: a name, or an ARN. */
  readonly alias: string;
  /** Where the plugin looks for it; absent where nothing says so. */
  readonly region?: string;
  /** Undefined where KMS was not asked, and where there is a `problem`. */
  readonly arn: string | undefined;
  /** Why it is not known which key it is. */
  readonly problem?: { readonly reason: string; readonly remedy: string };
  /** Why the engine can't put the ARN there, and what a person has to do. */
  readonly byHand?: { readonly reason: string; readonly remedy: string };
}

/** How a plugin's manifest differs from what the engine would write. */
export interface Outdated {
  /** Places in it; their values may be secret. */
  readonly differences: readonly string[];
  /** Somebody has edited it since the engine wrote it: then it is theirs, and stays. */
  readonly isEdited: boolean;
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
  /**
   * `etcd`: every stored value's prefix was read. `api`: every object was offered for a no-op write through every server.
   * `counted`: objects were counted for a plan, and nothing is proven; a run never has it.
   */
  readonly method: "etcd" | "api" | "counted";
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly servers: readonly ServerState[];
  readonly resources: readonly StoredResource[];
  /** What this method could not look at, in words, for the evidence; absent where it saw everything. */
  readonly notSeen?: readonly string[];
  /** What could not be compared, so that it is not certain that this was the API servers' etcd: nothing is removed then. */
  readonly doubts?: readonly string[];
  /** Where etcd stood when the look began. The proof is void once etcd stands before that: then a backup was restored. */
  readonly etcd?: EtcdPosition;
  /** Kinds whose objects may be stored with any key, because nobody serves them: nothing is removed while there are any. */
  readonly unproven?: readonly string[];
}

export interface StoredResource {
  readonly resource: string;
  readonly objects: number;
  readonly bytes: number;
  readonly keys: readonly StoredKey[];
  /** Values whose prefix or encoding is not known: they may need anything, so nothing is removed while there are any. */
  readonly unknown: number;
  /** Proof through the API: how many of the unknown ones an API server could not read, as far as its answers tell. */
  readonly unreadable?: number;
  /** A few of the unknown values and what is wrong with each, for messages to people: names stay out of state. */
  readonly unknownValues?: readonly { readonly object: string; readonly reason: string }[];
  /** Values so long that, encrypted with another key, they may no longer fit into one request to etcd. */
  readonly large?: readonly LargeValue[];
}

/** How much is stored with one key. */
export interface StoredKey {
  readonly key: WriteKey;
  readonly objects: number;
  /** KMS v2: how many data keys these objects were made with; each costs a server one Decrypt. */
  readonly dataKeys?: number;
  /** A few of the objects, as etcd's keys name them below --etcd-prefix, for messages to people. */
  readonly examples?: readonly string[];
  /**
   * The highest revision that any of them was last changed at, which is its resourceVersion: an object with a higher one is
   * not among them. Absent where that is not known, or where they are in etcds that count by themselves.
   */
  readonly newest?: number;
}

/** An object near the longest request that etcd takes. */
export interface LargeValue {
  /** As etcd's key names it below --etcd-prefix. */
  readonly object: string;
  /** Bytes without what encryption adds, and of the etcd key. */
  readonly plainBytes: number;
  readonly keyBytes: number;
}

/**
 * How far an etcd has come. It only ever goes on; another cluster id, or a lower number than before, is another etcd or one
 * that was restored from a backup. The index counts too, because a restore may raise the revision (etcdutl --bump-revision).
 */
export interface EtcdPosition {
  /** In hexadecimal, as etcdctl shows it. */
  readonly clusterId: string;
  readonly revision: number;
  readonly raftIndex: number;
}

/** One member of etcd, by what it says of itself and what the others say of it. */
export interface EtcdMember {
  readonly name: string;
  /** Undefined: it did not answer. */
  readonly version: string | undefined;
  /** `joining`: a learner, or one that was added and has not started yet. */
  readonly state: "voting" | "joining";
  /** In etcd's words: an alarm (NOSPACE, CORRUPT), a downgrade that was begun. */
  readonly problems: readonly string[];
  /** What it is doing for somebody at this moment; empty also where it does not tell. */
  readonly underWay: readonly ("snapshot" | "defragmentation")[];
}

/** A snapshot that this run has taken. */
export interface TakenSnapshot {
  readonly directory: string;
  readonly record: SnapshotRecord;
  readonly etcd: EtcdPosition;
}

/** What etcd no longer holds: whatever was overwritten or deleted before this revision. */
export interface Compaction {
  readonly revision: number;
  /** Members whose database file was written anew since, without what was forgotten. */
  readonly defragmented: readonly string[];
}

/** Every object was read from etcd through this one server. */
export interface ReadThroughProof {
  readonly state: ServerState;
  /** As in a StoredProof. */
  readonly etcd?: EtcdPosition;
  readonly objects: number;
  /** Objects that could not be read, with the reason; names stay out of state and stacks. */
  readonly failures: readonly ObjectFailure[];
}

export interface ObjectFailure {
  readonly resource: string;
  readonly namespace: string;
  /** Empty where it is not one object: then a list failed, or `objects` have the same fate. */
  readonly name: string;
  readonly reason: string;
  /** For how many it stands. @default 1 */
  readonly objects?: number;
}

export interface Setback {
  readonly server: string;
  /**
   * `notLoaded`: a server did not take a file, and must not be given the like again in this run. `unreadable`: a pruned
   * server could not read everything, so it gets its readers back, and PRUNE is tried once more. `pluginFailed`: a plugin did not work
   * with its key's ARN. `failed`: an action or a measurement gave an error.
   */
  readonly kind: "notLoaded" | "unreadable" | "pluginFailed" | "failed";
  /** The configuration hash that the server did not load, or the plugin that did not come up. */
  readonly what: string;
  readonly reason: string;
  /** The server's way back has been asked for, and nothing has said yet that it was done: whoever looks may ask for it again. */
  readonly unfinished?: true;
}
