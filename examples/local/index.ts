/** The user's program: one control plane on this machine, one key in a file, and the version of the key that encrypts. */
import * as pulumi from "@pulumi/pulumi";
import { KmsEtcdEncryption } from "../../components";

const config = new pulumi.Config();
const newestKeyVersion = config.getNumber("newestKeyVersion");

const encryption = new KmsEtcdEncryption("etcd", {
  keyVersion: config.requireNumber("keyVersion"), // the version that encrypts: raise it to rotate
  ...(newestKeyVersion === undefined ? {} : { newestKeyVersion }), // names the newer key while rolling back
  enabled: config.getBoolean("enabled") ?? true,
  localKey: { directory: config.require("keyDirectory") },
  local: { controlPlaneFile: config.require("controlPlaneFile") },
});

export const activeKeyVersion = encryption.activeKeyVersion;
export const evidence = encryption.evidence;
