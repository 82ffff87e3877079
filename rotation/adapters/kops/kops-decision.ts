/** What the engine wants of a kOps cluster, and the things that it can decide to do with one. */
import type { PluginInstance } from "../../../core/plugin-instance";
import type { RewriteMethod } from "../../../core/rewrite-method";
import type { RotationStage } from "../../../core/rotation-stage";
import type { RewriteTarget } from "../../decision";
import type { SecretChange, SpecChange } from "./kops-ports";
import type { PolicyStatement } from "./merge-cluster-spec";
import type { PluginImage } from "./plugin-asset";

export interface KopsGoal {
  readonly resources: readonly string[];
  readonly writer: PluginInstance | "identity";
  readonly declared: readonly PluginInstance[];
  readonly allowPlaintextReads: boolean;
  readonly rewriteBy?: RewriteMethod;
  readonly advanceTo: RotationStage;
  readonly image: PluginImage;
  /** Statements for the machines' role; absent: policies are left alone. */
  readonly statements?: readonly PolicyStatement[];
}

export type KopsDecision =
  | { readonly kind: "act"; readonly stage: RotationStage; readonly action: KopsAction; readonly reason: string }
  | {
      readonly kind: "measure";
      readonly stage: RotationStage;
      readonly measurement: KopsMeasurement;
      readonly reason: string;
    }
  | { readonly kind: "blocked"; readonly stage: RotationStage; readonly reason: string; readonly remedy: string }
  | { readonly kind: "done"; readonly stage: RotationStage };

export type KopsAction =
  /** `kops replace`: nothing happens to any machine, now or when one boots. */
  | ({ readonly kind: "putCluster" } & SpecChange)
  /** `kops create secret encryptionconfig --force`, after what is there was kept. From then on every machine that boots gets it. */
  | ({ readonly kind: "putSecret" } & SecretChange)
  /** `kops update cluster --yes`: groups get new templates, running machines stay as they are. */
  | { readonly kind: "update"; readonly fingerprint: string }
  /** `kops rolling-update cluster --yes` of one group: its machines are replaced, one after the other. */
  | { readonly kind: "roll"; readonly group: string; readonly force: boolean }
  | { readonly kind: "rewrite"; readonly targets: readonly RewriteTarget[] };

export type KopsMeasurement =
  | { readonly kind: "validate" }
  | { readonly kind: "stored"; readonly targets: readonly RewriteTarget[] }
  | { readonly kind: "readThrough"; readonly machine: string; readonly resources: readonly string[] };
