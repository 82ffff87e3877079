/** Port: the objects of one cluster, as they are stored. */
import type { RewriteTarget } from "./decision";
import type { ObjectFailure, ReadThroughProof, ServerState, StoredProof } from "./observation";

export interface Progress {
  readonly done: number;
  /** Undefined until known. */
  readonly total: number | undefined;
}

export interface RewriteResult {
  /** Objects offered for a no-op write. */
  readonly offered: number;
  /** Objects whose resourceVersion changed by it. */
  readonly rewritten: number;
  readonly failures: readonly ObjectFailure[];
}

/** All methods page, never list unpaged, keep memory bounded by the page, and stop at a safe point on `signal`. */
export interface StoredObjects {
  /** Reads every stored value's prefix and key_id (etcd), or offers every object to every server (API). Changes no content. */
  measure(
    targets: readonly RewriteTarget[],
    servers: readonly ServerState[],
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<StoredProof>;
  /** Writes every object again through the servers, by a no-op PATCH of its metadata form. Safe to repeat. */
  rewrite(
    targets: readonly RewriteTarget[],
    servers: readonly string[],
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<RewriteResult>;
  /** GETs every object without resourceVersion, so from etcd, through one server, as metadata only. */
  readThrough(
    state: ServerState,
    resources: readonly string[],
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<ReadThroughProof>;
  close(): Promise<void>;
}
