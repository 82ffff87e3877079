/** What the engine can decide. `decide` returns one of these; `apply` and `measure` carry them out. */
import type { EncryptionConfiguration } from "../core/encryption-configuration";
import type { PluginInstance } from "../core/plugin-instance";
import type { RotationStage } from "../core/rotation-stage";
import type { WriteKey } from "../core/write-key";

export type Decision =
  | { readonly kind: "act"; readonly stage: RotationStage; readonly action: Action; readonly reason: string }
  /** Something that only looks: it changes nothing in the cluster, and its result is part of the next observation. */
  | {
      readonly kind: "measure";
      readonly stage: RotationStage;
      readonly measurement: Measurement;
      readonly reason: string;
    }
  /** Nothing to do but let the cluster get there; `server` and `reason` say who is waited for, and for what evidence. */
  | { readonly kind: "wait"; readonly stage: RotationStage; readonly reason: string }
  | { readonly kind: "blocked"; readonly stage: RotationStage; readonly reason: string; readonly remedy: string }
  /** The goal, or the stage that `advanceTo` names, has been reached. */
  | { readonly kind: "done"; readonly stage: RotationStage };

export interface ConfigWrite {
  readonly server: string;
  /** The hash that was observed: the file is replaced only while it still has it (invariant 11). Undefined: no file. */
  readonly expectedHash: string | undefined;
  readonly config: EncryptionConfiguration;
  /** What the server has loaded now, as far as it is known: kept on the host, so that a later run can go back to it too. */
  readonly loadedHash?: string;
}

export type Action =
  | { readonly kind: "startPlugin"; readonly server: string; readonly plugin: PluginInstance }
  | { readonly kind: "stopPlugin"; readonly server: string; readonly plugin: string }
  /** Put ARNs in the place of the aliases that a plugin made by hand has, and change nothing else of it. It restarts. */
  | {
      readonly kind: "nameKeysByArn";
      readonly server: string;
      readonly plugin: string;
      /** ARNs by aliases. */
      readonly arns: Readonly<Record<string, string>>;
    }
  /** Put back what `nameKeysByArn` changed. `failed` is the gate that failed, which ends the run. */
  | { readonly kind: "restorePlugin"; readonly server: string; readonly plugin: string; readonly failed: string }
  /** One act: with automatic reload it names all servers, otherwise one. */
  | { readonly kind: "writeConfig"; readonly writes: readonly ConfigWrite[] }
  | { readonly kind: "restart"; readonly server: string }
  /** Give the API server what it needs to read the engine's configuration. It restarts. */
  | { readonly kind: "setUp"; readonly server: string }
  /** Put back what `setUp` changed. `failed` is the gate that failed, which ends the run. */
  | { readonly kind: "undoSetUp"; readonly server: string; readonly failed: string }
  /** Put back the file that the server has loaded, or last had, from the backup with that hash. */
  | {
      readonly kind: "restoreLoaded";
      readonly server: string;
      /** Undefined: somebody has removed the file. */
      readonly expectedHash: string | undefined;
      readonly loadedHash: string;
      /** The gate that failed, which ends the run; undefined for a mere repair, after which it goes on. */
      readonly failed: string | undefined;
    }
  /** Etcd forgets what was overwritten before this revision, and each member gives the space back, one after the other. */
  | { readonly kind: "compact"; readonly revision: number }
  | { readonly kind: "rewrite"; readonly targets: readonly RewriteTarget[] };

/** A resource and the key that every stored object of it should have. */
export interface RewriteTarget {
  readonly resource: string;
  readonly key: WriteKey;
}

export type Measurement =
  | { readonly kind: "crosswise"; readonly plugin: PluginInstance; readonly servers: readonly string[] }
  | { readonly kind: "stored"; readonly targets: readonly RewriteTarget[] }
  | { readonly kind: "readThrough"; readonly server: string; readonly resources: readonly string[] }
  /** A file beside the engine; the cluster is only read. `writers`: what API servers write with meanwhile. */
  | { readonly kind: "snapshot"; readonly directory: string; readonly writers: readonly WriteKey[] };
