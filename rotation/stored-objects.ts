/** Port: the objects of one cluster, as they are stored. */
import type { RewriteMethod } from "../core/rewrite-method";
import type { WriteKey } from "../core/write-key";
import type { RewriteTarget } from "./decision";
import type {
  Compaction,
  EtcdMember,
  EtcdPosition,
  ObjectFailure,
  ReadThroughProof,
  ServerState,
  StoredProof,
  StoredResource,
  TakenSnapshot,
} from "./observation";
import type { RewriteScope } from "./rewrite-scope";

export interface Progress {
  readonly done: number;
  /** Undefined until known. */
  readonly total: number | undefined;
}

export interface RewriteResult {
  /** Objects offered for a no-op write. */
  readonly offered: number;
  /** Objects whose resourceVersion changed by it; undefined where someone else did the work and does not say. */
  readonly rewritten: number | undefined;
  /** Which these were, as namespace/name, where they are few. For comparing passes: it gets into no state and no log. */
  readonly rewrittenNames?: readonly string[];
  readonly failures: readonly ObjectFailure[];
}

/** What a rewrite would meet. Nothing was changed to find out. */
export interface RewriteOutlook {
  readonly admission: readonly ResourceAdmission[];
  readonly reads: ReadSample;
}

/** What of the cluster's admission every write of a resource passes; selectors and conditions may let some objects pass by. */
export interface ResourceAdmission {
  readonly resource: string;
  /** Names of webhooks, `ignore` for those that an outage does not make refuse. */
  readonly mutatingWebhooks: readonly string[];
  readonly validatingWebhooks: readonly string[];
  /** Names of admission policies with a binding. */
  readonly policies: readonly string[];
}

/** Objects read from etcd through the API servers, as many as a few seconds allow. */
export interface ReadSample {
  readonly objects: number;
  readonly milliseconds: number;
  /** Whether that was every object. */
  readonly all: boolean;
  readonly failures: readonly ObjectFailure[];
}

export interface SnapshotRequest {
  readonly directory: string;
  /** What API servers write with while it is taken. */
  readonly writers: readonly WriteKey[];
}

/** All methods page, never list unpaged, keep memory bounded by the page, and stop at a safe point on `signal`. */
export interface StoredObjects {
  /** `measure` writes what is stale: there is no way to etcd, and through API servers nothing else can be proven. */
  readonly measuresByWriting?: true;
  /** Reads every stored value's prefix and key_id (etcd), or offers every object to every server (API). Changes no content. */
  measure(
    targets: readonly RewriteTarget[],
    servers: readonly ServerState[],
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<StoredProof>;
  /**
   * What `measure` can tell without writing anything, for a plan: the same with etcd; through the API how many objects there
   * are, as `counted`, which proves nothing.
   */
  count(
    targets: readonly RewriteTarget[],
    servers: readonly ServerState[],
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<StoredProof>;
  /** Where etcd stands; undefined where there is no way to it, or it does not answer in time. Does not throw. */
  position?(signal: AbortSignal): Promise<EtcdPosition | undefined>;
  /** Etcd's members, seen a few seconds ago at most; undefined where none of them answers. Does not throw. */
  members?(signal: AbortSignal): Promise<readonly EtcdMember[] | undefined>;
  /**
   * Has etcd forget what was overwritten before `revision`, then gives the space back, one member after the other, each while
   * all are well. Throws where one is not. Absent where there is no way to etcd.
   */
  compact?(revision: number, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<Compaction>;
  /** Every value that etcd holds, of whatever kind, by its key. Absent where there is no way to etcd. */
  countEverything?(
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<Pick<StoredResource, "keys" | "unknown">>;
  /**
   * Keeps a snapshot of etcd in a directory of the engine's machine, with the record of the keys that it needs. Absent where
   * there is no way to etcd.
   */
  snapshot?(
    request: SnapshotRequest,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<TakenSnapshot>;
  /**
   * Writes every object again through the servers, by a no-op PATCH of its metadata form, or has the cluster's own controller
   * do it; what `scope` knows to have the right key may be left out. Safe to repeat. Throws `unsupported`, saying what is
   * missing, where that controller is not there.
   */
  rewrite(
    targets: readonly RewriteTarget[],
    servers: readonly string[],
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
    by?: RewriteMethod,
    scope?: RewriteScope,
  ): Promise<RewriteResult>;
  /** For a plan: who has a say in each write, and how fast objects can be read. */
  outlook(targets: readonly RewriteTarget[], servers: readonly string[], signal: AbortSignal): Promise<RewriteOutlook>;
  /** GETs every object without resourceVersion, so from etcd, through one server, as metadata only. */
  readThrough(
    state: ServerState,
    resources: readonly string[],
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<ReadThroughProof>;
  close(): Promise<void>;
}
