/** The block that names a control plane on this machine. */
import type * as pulumi from "@pulumi/pulumi";

/** A control plane on this machine, as `control-plane start` makes it: for development and for trying things out. */
export interface LocalPlatformArgs {
  /**
   * Absolute path of the `control-plane.json` in its state directory.
   * Another path later means another cluster; the earlier one keeps its settings as they are.
   */
  readonly controlPlaneFile: pulumi.Input<string>;
}
