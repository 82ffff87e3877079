/** Keys in AWS KMS, and a cluster that kOps has made. What differs from cluster to cluster is configuration. */
import * as pulumi from "@pulumi/pulumi";
import { KmsEtcdEncryption, type KopsPlatformArgs } from "../../components";

const config = new pulumi.Config();
const newestKeyVersion = config.getNumber("newestKeyVersion");
const clusterName = config.require("clusterName");
const kubeconfig = config.getSecret("kubeconfig");

const encryption = new KmsEtcdEncryption("etcd", {
  keyVersion: config.requireNumber("keyVersion"), // the version that encrypts: raise it to rotate
  ...(newestKeyVersion === undefined ? {} : { newestKeyVersion }), // names the newer key while rolling back
  enabled: config.getBoolean("enabled") ?? true,
  protectKeys: config.getBoolean("protectKeys") ?? true,
  awsKms: {
    // kOps' role of the control plane may use every key of the account: the keys' own policies let no other role use these.
    keyUserArns: [config.require("controlPlaneRoleArn")],
    encryptionContext: { cluster: clusterName },
  },
  kops: {
    clusterName,
    stateStore: config.require("stateStore"),
    plugin: { image: config.require("pluginImage") },
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...config.getObject<Partial<KopsPlatformArgs>>("kops"), // program, jumpHost, machineAddress, rolling: docs/kops.md
  },
});

export const activeKeyVersion = encryption.activeKeyVersion;
export const evidence = encryption.evidence;
