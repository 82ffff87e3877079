/** The public door of the package: everything a Pulumi program imports, and nothing else. */
export { RewriteMethod } from "../core/rewrite-method";
export { RotationStage } from "../core/rotation-stage";
export type {
  EncryptionEvidence,
  KeyEvidence,
  ResourceEvidence,
  ServerEvidence,
} from "./encryption-evidence";
export type { DeclaredKeyArgs, EncryptionRolloutArgs, LocalKeyReferenceArgs } from "./encryption-rollout";
export { EncryptionRollout } from "./encryption-rollout";
export type { KmsEtcdEncryptionArgs } from "./kms-etcd-encryption";
export { KmsEtcdEncryption } from "./kms-etcd-encryption";
export type { LocalKeyArgs } from "./local-key";
export { LocalKey } from "./local-key";
export type { LocalKeySourceArgs } from "./local-key-source";
export type { LocalPlatformArgs } from "./local-platform";
export type { PluginImageArgs, PluginImageBuildArgs, RegistryLoginArgs } from "./plugin-image";
export { ImagePlatform, PluginImage } from "./plugin-image";
export type { RotationLimitsArgs } from "./rotation-limits";
