/** How long a rollout waits for the cluster before it stops and says what it waited for. */
import type * as pulumi from "@pulumi/pulumi";

/** Limits of a rollout, in seconds. Changing one restarts nothing; it holds from the next rollout on. */
export interface RotationLimitsArgs {
  /**
   * How long an API server with automatic reload may take to load a changed configuration. It looks once a minute.
   * @default 150
   */
  readonly reloadSeconds?: pulumi.Input<number>;
  /**
   * How long a restarted API server may take until it is ready.
   * @default 120
   */
  readonly restartSeconds?: pulumi.Input<number>;
  /**
   * How long a started KMS plugin may take until it answers on its socket and reports itself healthy.
   * @default 60
   */
  readonly pluginSeconds?: pulumi.Input<number>;
  /**
   * How long an API server that is not ready, or can't be reached, may take to come back by itself.
   * @default 120
   */
  readonly readySeconds?: pulumi.Input<number>;
}
