/** The rotation of kOps' own keypairs, as desired state. The provider does the work, by the user's own kops. */
import * as pulumi from "@pulumi/pulumi";
import type { KeypairStage } from "../../core/keypair-stage";
import { typeTokens } from "../../core/type-tokens";
import type { KopsCredentialClusterArgs } from "./kops-credential-cluster";

/** The inputs of a KopsKeypairRotation. */
export interface KopsKeypairRotationArgs {
  /** Which cluster of kOps, and how it is reached. Another cluster later is another rotation. */
  readonly kops: pulumi.Input<KopsCredentialClusterArgs>;
  /**
   * Keypairs made before this moment are replaced: a date, or a time with its zone, `2026-11-21T12:00:00Z`. A later moment, which has passed, is
   * the next rotation. It also tells the previous keypairs from the new ones, so it stays as it is while a rotation goes on or back.
   */
  readonly replaceMadeBefore: pulumi.Input<string>;
  /**
   * Keysets, as `kops get keypairs` names them; `all`: every certificate authority, and the keys of service accounts.
   * @default ["all"]
   */
  readonly keysets?: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * How far to go. An earlier stage goes back: from Distrust to Promote the previous keypairs are trusted again and every machine is replaced by
   * force, from Promote to Stage they issue again, from Stage to None the new ones are distrusted.
   * @default "Distrust"
   */
  readonly advanceTo?: pulumi.Input<KeypairStage>;
  /**
   * The keypair of kubernetes-ca whose CA every client of the Kubernetes API trusts. Promote waits until this is `newKeypairId`: give clients
   * `kubeconfig` or `certificateAuthority` of the outputs first.
   */
  readonly clientsTrustKeypair?: pulumi.Input<string>;
  /**
   * The keypair of kubernetes-ca that has issued the credentials of every client of the Kubernetes API. Distrust waits until this is
   * `newKeypairId`: give clients new credentials first, for example `adminKubeconfig` of the outputs.
   */
  readonly clientsUseKeypair?: pulumi.Input<string>;
  /**
   * Lifetime of the credentials in `adminKubeconfig`, as Go writes durations: `18h`. They are made again when kubernetes-ca has another primary
   * keypair, or when this changes.
   * @default no admin credentials are made
   */
  readonly adminCredentialLifetime?: pulumi.Input<string>;
}

/** The keypairs of one keyset, by their numbers. */
export interface KopsKeyset {
  /** Name of the keyset. */
  readonly keyset: string;
  /** The keypair that issues. */
  readonly primaryId: string;
  /** Others that are trusted. */
  readonly trustedIds: string[];
  /** Those that are trusted no longer. */
  readonly distrustedIds: string[];
}

/**
 * Rotates the certificate authorities and service-account keys that kOps itself keeps: new ones are made and trusted, then issue, then
 * the previous ones are distrusted. After each of these the groups are updated, every machine of every instance group is replaced and the
 * cluster is validated. Nothing is ever deleted. Where clients have to be given something first, `pulumi up` ends well and says in
 * `waitingFor` which input it waits for. After a kill or a failure the next `pulumi up` goes on from where the cluster is. Deleting the resource
 * leaves the keypairs as they are.
 */
export class KopsKeypairRotation extends pulumi.CustomResource {
  /** How far the rotation is. */
  declare readonly stage: pulumi.Output<KeypairStage>;
  /** Whether everything is done that could be: true also while it waits for clients; false after a failure. */
  declare readonly atGoal: pulumi.Output<boolean>;
  /** The input that the rotation waits for: `clientsTrustKeypair` or `clientsUseKeypair`. Absent when it waits for none. */
  declare readonly waitingFor: pulumi.Output<string | undefined>;
  /** The new keypair of kubernetes-ca: what `clientsTrustKeypair` and `clientsUseKeypair` are to be. Absent before it is made. */
  declare readonly newKeypairId: pulumi.Output<string | undefined>;
  /** Every rotatable keyset. */
  declare readonly keypairs: pulumi.Output<KopsKeyset[]>;
  /** The steps of the last run that had something to do, one line each. */
  declare readonly plan: pulumi.Output<string[]>;
  /**
   * The certificates, in PEM, that clients have to trust now.
   * @secret
   */
  declare readonly certificateAuthority: pulumi.Output<string>;
  /**
   * A kubeconfig with these certificates and without credentials, as `kops export kubeconfig` makes it.
   * @secret
   */
  declare readonly kubeconfig: pulumi.Output<string>;
  /**
   * A kubeconfig with credentials of an administrator; absent without `adminCredentialLifetime`.
   * @secret
   */
  declare readonly adminKubeconfig: pulumi.Output<string | undefined>;

  constructor(name: string, args: KopsKeypairRotationArgs, opts?: pulumi.CustomResourceOptions) {
    const outputs = { stage: undefined, atGoal: undefined, waitingFor: undefined, newKeypairId: undefined };
    const others = { keypairs: undefined, plan: undefined, certificateAuthority: undefined };
    const configs = { kubeconfig: undefined, adminKubeconfig: undefined };
    super(typeTokens.kopsKeypairRotation, name, { ...outputs, ...others, ...configs, ...args }, opts);
  }
}
