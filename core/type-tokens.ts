/** Pulumi names that stand in users' state: never change one without an alias. */
export const packageName = "kms-etcd";

export const typeTokens = {
  kmsEtcdEncryption: "kms-etcd:index:KmsEtcdEncryption",
  encryptionRollout: "kms-etcd:index:EncryptionRollout",
  localKey: "kms-etcd:index:LocalKey",
  /** A view, published while a rollout runs: one row a stage. */
  rotationPhase: "kms-etcd:index:RotationPhase",
} as const;
