/** A secret of kOps' store that is replaced by another text, as desired state. The provider does the work, by the user's own kops. */
import * as pulumi from "@pulumi/pulumi";
import type { ReplaceableSecret } from "../../core/replaceable-secret";
import { typeTokens } from "../../core/type-tokens";
import type { KopsCredentialClusterArgs } from "./kops-credential-cluster";

/** The inputs of a KopsSecretRotation. */
export interface KopsSecretRotationArgs {
  /** Which cluster of kOps, and how it is reached. Another cluster later is another rotation. */
  readonly kops: pulumi.Input<KopsCredentialClusterArgs>;
  /** Which secret. The encryptionconfig secret is none of these: KopsKmsSettings manages it. */
  readonly secret: pulumi.Input<ReplaceableSecret>;
  /**
   * Its whole text. To rotate, change it; to go back, write the earlier one. It is kept as a secret in the state.
   * @secret
   */
  readonly content: pulumi.Input<string>;
}

/**
 * Keeps a secret of kOps' at a text: the present one is kept in a folder of the machine that runs Pulumi, the secret is replaced, the groups are
 * updated and machines replaced. For the Docker configuration every machine is replaced by force, because machines read it when they boot and
 * kOps takes none of them for old; Cilium's keys reach the cluster by the update alone. Deleting the resource leaves the secret as it is.
 */
export class KopsSecretRotation extends pulumi.CustomResource {
  /** Whether the cluster is where the inputs want it: false after a failure. */
  declare readonly atGoal: pulumi.Output<boolean>;
  /** The steps of the last run that had something to do, one line each. */
  declare readonly plan: pulumi.Output<string[]>;

  constructor(name: string, args: KopsSecretRotationArgs, opts?: pulumi.CustomResourceOptions) {
    const { content } = args as Partial<KopsSecretRotationArgs>;
    const marked = content === undefined ? {} : { content: pulumi.secret(content) };
    super(typeTokens.kopsSecretRotation, name, { atGoal: undefined, plan: undefined, ...args, ...marked }, opts);
  }
}
