/** Port: the control-plane hosts of one cluster. One implementation a platform, under `adapters/`. */
import type { PluginInstance } from "../core/plugin-instance";
import type { ConfigWrite } from "./decision";
import type { CrosswiseProof, ServerObservation } from "./observation";

/** What `Fleet.observe` sees; the run adds its proofs to make an `Observation`. */
export interface FleetObservation {
  readonly servers: readonly Omit<ServerObservation, "troubleSince" | "lastReadyHash">[];
  readonly unlistedServers: readonly string[];
  readonly discoveryProblem: string | undefined;
  readonly discovery: string;
}

/**
 * Every method is safe to repeat, and to repeat after a kill in its middle: files are replaced as a whole or not at all.
 * Methods throw KmsEtcdError; `observe` does not throw for a server that can't be reached, it reports it.
 */
export interface Fleet {
  /** Of the `declared` plugins it says too whether their settings are those that are wanted; with any, aliases are resolved. */
  observe(signal: AbortSignal, declared?: readonly PluginInstance[]): Promise<FleetObservation>;
  /** `unix://` endpoint that the encryption configuration of every host gives to API servers for this plugin. */
  endpoint(plugin: PluginInstance): string;
  /** Encrypts on each host, decrypts on each, over the plugins' own sockets. A failed proof is returned, not thrown. */
  probeCrosswise(plugin: PluginInstance, servers: readonly string[], signal: AbortSignal): Promise<CrosswiseProof>;
  /** Puts the plugin's manifest on the host. Returns when it is there, not when the plugin answers. */
  startPlugin(server: string, plugin: PluginInstance): Promise<void>;
  /** Takes the manifest away. */
  stopPlugin(server: string, plugin: string): Promise<void>;
  /**
   * Puts ARNs in the place of aliases in the manifest of a plugin that the engine did not start. Only for fleets that observe `aliases`.
   * Returns when it is written, not when the plugin answers; `confirmLoaded` confirms it too.
   */
  nameKeysByArn?(server: string, plugin: string, arns: Readonly<Record<string, string>>): Promise<void>;
  /** Takes back what `nameKeysByArn` changed, also of an engine that was killed, where it is not confirmed yet. */
  restorePlugin?(server: string, plugin: string): Promise<void>;
  /** Keeps the present file as a backup by its hash, then replaces it. Throws `conflict` when the hash is another. */
  writeConfig(write: ConfigWrite): Promise<void>;
  /** Puts the backup with `loadedHash` in the place of the file with `expectedHash`. Throws `not-found` without one. */
  restoreConfig(server: string, expectedHash: string | undefined, loadedHash: string): Promise<void>;
  /**
   * The server is ready with the file that has this hash, so it has nothing to go back to any more. Only for fleets that
   * observe a `fallback`; a run asks for it while one is there. A set-up that was seen to work is confirmed by it too.
   */
  confirmLoaded?(server: string, hash: string): Promise<void>;
  /** Asks for a restart of the API server with the configuration that is on disk. Returns when asked, not when ready. */
  restart(server: string): Promise<void>;
  /** Gives the API server what it lacks by its `setUp`. Only for fleets that observe one. Returns when asked, not when ready. */
  setUp?(server: string): Promise<void>;
  /** Takes back what `setUp` changed, also of an engine that was killed, where the server has not been seen well since. */
  undoSetUp?(server: string): Promise<void>;
  /** Closes connections. */
  close(): Promise<void>;
}
