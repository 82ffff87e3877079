/** Keys in AWS KMS, and a cluster whose control-plane hosts are reached over SSH. What differs from cluster to cluster is configuration. */
import * as pulumi from "@pulumi/pulumi";
import {
  KmsEtcdEncryption,
  type SelfManagedHostArgs,
  type SelfManagedKubernetesArgs,
  type SelfManagedPluginArgs,
} from "../../components";

const config = new pulumi.Config();
const newestKeyVersion = config.getNumber("newestKeyVersion");

const encryption = new KmsEtcdEncryption("etcd", {
  keyVersion: config.requireNumber("keyVersion"), // the version that encrypts: raise it to rotate
  ...(newestKeyVersion === undefined ? {} : { newestKeyVersion }), // names the newer key while rolling back
  enabled: config.getBoolean("enabled") ?? true,
  protectKeys: config.getBoolean("protectKeys") ?? true,
  awsKms: {
    // The role in the control-plane hosts' instance profile: it may use exactly these keys, and no other role may.
    keyUserArns: [config.require("controlPlaneRoleArn")],
    instanceRoles: { controlPlane: config.require("controlPlaneRoleName") },
    encryptionContext: { cluster: config.require("clusterName") },
  },
  selfManaged: {
    hosts: config.requireObject<SelfManagedHostArgs[]>("hosts"),
    ssh: {
      user: config.get("sshUser") ?? "root",
      privateKey: config.requireSecret("sshKey"),
      knownHosts: config.require("knownHosts"),
      sudo: config.getBoolean("sudo") ?? false,
    },
    plugin: config.requireObject<SelfManagedPluginArgs>("plugin"),
    kubernetes: config.getObject<SelfManagedKubernetesArgs>("kubernetes") ?? {},
  },
});

export const activeKeyVersion = encryption.activeKeyVersion;
export const evidence = encryption.evidence;
