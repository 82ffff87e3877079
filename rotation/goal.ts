/** What the user wants: the write key that the cluster should have. Everything else is measured. */
import type { PluginInstance } from "../core/plugin-instance";
import type { RewriteMethod } from "../core/rewrite-method";
import type { RotationStage } from "../core/rotation-stage";

export interface Goal {
  /** Resources to encrypt, as EncryptionConfiguration names them ("secrets", "configmaps", "pandas.example.com"). */
  readonly resources: readonly string[];
  /** The plugin whose key encrypts, or `identity` to decrypt everything. */
  readonly writer: PluginInstance | "identity";
  /** Every declared key version's plugin, the writer's included: what a reader may be rebuilt from. */
  readonly declared: readonly PluginInstance[];
  /** Keep `identity` as the last reader after PRUNE, so that objects written in plaintext by other means stay readable. */
  readonly allowPlaintextReads: boolean;
  /** Who writes the stored objects again. Default: the engine, by PATCH. */
  readonly rewriteBy?: RewriteMethod;
  /** Keep a snapshot of etcd in this directory before anything leaves a configuration. Default: none. */
  readonly etcdSnapshot?: { readonly directory: string };
  /**
   * Remove from etcd what was overwritten, ciphertext of earlier keys among it, and give the space back: `afterPrune` in a run
   * that has changed a configuration, `now` in any. Default: etcd's and the API servers' own ways.
   */
  readonly compact?: "afterPrune" | "now";
  /** Names of declared plugins whose key has been retired: nothing may be made to need them. */
  readonly retired?: readonly string[];
  /** The last stage to carry out. */
  readonly advanceTo: RotationStage;
  /** The names of the servers that the user or platform lists; a live server that is not among them blocks. */
  readonly servers: readonly string[];
  readonly limits: Limits;
}

/** How long the engine waits, in milliseconds, before it gives up, puts the loaded file back, and says why. */
export interface Limits {
  /** A server with automatic reload has loaded a changed file. Default 150 s: two and a half of its one-minute polls. */
  readonly reload: number;
  /** A restarted server is ready again. Default 120 s. */
  readonly restart: number;
  /** A started plugin answers on its socket and reports itself healthy. Default 60 s. */
  readonly plugin: number;
  /** An unready or unreachable server comes back by itself. Default 120 s. */
  readonly ready: number;
  /** A backup or a defragmentation of etcd ends. Default 30 min, as long as our own snapshot may take; no input sets it. */
  readonly backup: number;
}

export const defaultLimits: Limits = {
  reload: 150_000,
  restart: 120_000,
  plugin: 60_000,
  ready: 120_000,
  backup: 30 * 60_000,
};
