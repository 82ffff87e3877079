/** The block that keeps keys in files on this machine. */
import type * as pulumi from "@pulumi/pulumi";

/** Keys in files, one file a version: development only, because who can read a file can decrypt everything. */
export interface LocalKeySourceArgs {
  /**
   * Absolute path of the directory for the key files, `key-v1`, `key-v2` and so on. It is made if it is missing.
   * Change it only after moving the files: a key that is not found there would be another key.
   */
  readonly directory: pulumi.Input<string>;
}
