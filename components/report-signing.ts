/** The key that a rollout's report is signed with. */
import * as pulumi from "@pulumi/pulumi";
import { isKnownLater } from "./known-later";

/** A private key in PEM form, without a passphrase: Ed25519, or ECDSA on P-256, P-384 or P-521. Give one of the two. */
export interface ReportSigningArgs {
  /**
   * The key itself. It is kept as a secret in the state, and is nowhere else.
   * @secret
   */
  readonly privateKey?: pulumi.Input<string>;
  /** Absolute path of a file with mode 0600 on the machine that runs `pulumi up`: the key stays out of the state. */
  readonly privateKeyFile?: pulumi.Input<string>;
}

/** The same with its secret marked: of an output or a promise all, because a component's own inputs no provider marks. */
export function withSigningSecret(signing: pulumi.Input<ReportSigningArgs>): pulumi.Input<ReportSigningArgs> {
  if (isKnownLater(signing)) return pulumi.secret(signing);
  const { privateKey } = signing;
  return privateKey === undefined ? signing : { ...signing, privateKey: pulumi.secret(privateKey) };
}
