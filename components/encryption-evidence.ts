/** What is known about a cluster's encryption at rest, by looking at what is stored. Counts and hashes, never object names. */

/** Objects of one resource that are stored under one key. */
export interface KeyEvidence {
  /** The provider in the stored values' prefix: `kms/v2/<name>`, `aescbc/<key name>`, `identity` for plaintext. */
  readonly provider: string;
  /** The key_id in the stored values; absent where stored bytes name none (everything but KMS v2). */
  readonly keyId?: string;
  /**
   * How many objects.
   * @integer
   */
  readonly objects: number;
}

/** What is stored of one resource. */
export interface ResourceEvidence {
  /** As EncryptionConfiguration names it: `secrets`, `pandas.example.com`. */
  readonly resource: string;
  /**
   * How many objects there were.
   * @integer
   */
  readonly objects: number;
  /** The keys they are stored under. Proven means: one entry, the active key. */
  readonly keys: KeyEvidence[];
  /**
   * Stored values that could not be understood; nothing is removed while there are any.
   * @integer
   */
  readonly unknown: number;
}

/** What one API server has loaded. */
export interface ServerEvidence {
  /** The server's name. */
  readonly name: string;
  /** Hash of the encryption configuration that the server itself has loaded. */
  readonly loadedHash: string;
  /** How that is known: the metric's name, or the process start. */
  readonly basis: string;
  /** Version of the API server. */
  readonly version: string;
}

/** The evidence of a rollout. */
export interface EncryptionEvidence {
  /** What is stored, resource by resource. */
  readonly resources: ResourceEvidence[];
  /** Every API server, with what it has loaded. */
  readonly servers: ServerEvidence[];
  /**
   * `etcd`: every stored value was read. `api`: every object was offered for a no-op write through every server; on AKS through the one
   * address that all servers stand behind. `platform`: AKS writes objects again by itself, and nothing was measured. `none`: nothing
   * could be measured.
   */
  readonly method: string;
  /** By `etcd`: the id of that etcd's cluster, in hexadecimal. */
  readonly etcdClusterId?: string;
  /**
   * By `etcd`: the revision at which the look began. It changes only when the result does.
   * @integer
   */
  readonly etcdRevision?: number;
  /** How the set of servers was found, and what could not be seen. */
  readonly discovery: string;
  /** When this was first seen (ISO 8601). It changes only when the result does. */
  readonly provenAt: string;
  /** Whether every stored object uses the active key. */
  readonly complete: boolean;
  /** SHA-256 over everything but the time, to compare two reports by. */
  readonly digest: string;
}
