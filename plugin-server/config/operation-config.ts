/** What the command line says of how the plugin serves, whatever the key is. */

/** Where an HTTP server listens. */
export interface ListenAddress {
  /** An IP address; "" means all interfaces, which kubelet needs to probe a host-network pod by the node's address. */
  readonly host: string;
  readonly port: number;
  /** Whether the user named the port. A named port that is taken is an error, a default one is a warning. */
  readonly explicit: boolean;
}

export type LogLevel = "error" | "warn" | "info" | "debug" | "trace";

export interface LogConfig {
  readonly format: "json" | "text";
  readonly level: LogLevel;
}

/** How the plugin serves, whatever the key is. */
export interface OperationConfig {
  /** Absolute paths of the unix sockets: one for each key, in the order of the keys. */
  readonly sockets: readonly string[];
  /** Undefined: health is not served. */
  readonly health: ListenAddress | undefined;
  readonly healthzPath: string;
  readonly livezPath: string;
  /** The longest that one request for `healthzPath` may wait for a probe that is under way. */
  readonly healthzTimeoutMs: number;
  /** A server of its own, the health server's `/metrics`, or none. */
  readonly metrics: ListenAddress | "beside-health" | "none";
  readonly log: LogConfig;
  /** Every KMS call ends within this time; below the API server's 3 s. */
  readonly callTimeoutMs: number;
  /** Calls that are under way when SIGTERM arrives may take this long. */
  readonly drainTimeoutMs: number;
  /** How often a healthy key is probed. */
  readonly probeIntervalMs: number;
}
