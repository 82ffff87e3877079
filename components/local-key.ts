/** A key in a file on this machine, as a Pulumi resource. The provider makes the file; the program never sees the key. */
import * as pulumi from "@pulumi/pulumi";
import { typeTokens } from "../core/type-tokens";

/** The inputs of a LocalKey. */
export interface LocalKeyArgs {
  /**
   * Absolute path of the key file. Its directory is made if it is missing. A file that is already there is used as it is
   * and never overwritten; it must hold an AES-256 key in this package's format and be readable by its owner alone.
   * Changing the path later is possible only after the file itself has been moved: another key needs another version.
   */
  readonly file: pulumi.Input<string>;
}

/**
 * An AES-256 key in a file with mode 0600: for development only, because who can read the file can decrypt everything.
 * Deleting the resource leaves the file where it is: stored Secrets, and backups of them, may still need it.
 */
export class LocalKey extends pulumi.CustomResource {
  /** Path of the key file. */
  declare readonly file: pulumi.Output<string>;
  /** What the KMS plugin reports as key_id: `local-` and the start of a hash of the key. Public. */
  declare readonly keyId: pulumi.Output<string>;

  /** When the key was made (ISO 8601). */
  declare readonly createdAt: pulumi.Output<string>;

  constructor(name: string, args: LocalKeyArgs, opts?: pulumi.CustomResourceOptions) {
    super(typeTokens.localKey, name, { keyId: undefined, createdAt: undefined, ...args }, opts);
  }
}
