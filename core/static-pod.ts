/** What the engine writes into static pod manifests and finds them again by. Stands on users' hosts: never change a value. */

/** The `component` label of every KMS plugin's manifest that is ours. */
export const pluginComponent = "kms-etcd-plugin";

export const staticPodAnnotations = {
  /** On a plugin's manifest: the key in the form that people know it by. Nothing secret. */
  key: "kms-etcd.io/key",
  /** On a plugin's manifest: the hash of everything else in it, as the engine wrote it. */
  contentHash: "kms-etcd.io/content-hash",
  /** On an API server's manifest: the encryption configuration that the engine has set it up for. */
  setUp: "kms-etcd.io/set-up",
  /** In the drop-in of an API server's unit: the hash of the command line that it was made from. */
  baseHash: "kms-etcd.io/base",
  /** On an API server's manifest: the hash of the encryption configuration that the last restart was asked for. */
  encryptionConfigHash: "kms-etcd.io/encryption-config-hash",
  /** On an API server's manifest: the start of the process that the restart shall end, in milliseconds since the epoch. */
  restartOf: "kms-etcd.io/restart-of",
} as const;

/** A path of a unix socket has at most so many bytes (Linux sun_path without its final zero). */
export const longestSocketPath = 107;
