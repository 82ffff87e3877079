/** Keys in a Key Vault, and a cluster whose control-plane hosts are reached over SSH. What differs from cluster to cluster is configuration. */
import * as pulumi from "@pulumi/pulumi";
import {
  type AzureKeyUserArgs,
  KmsEtcdEncryption,
  type SelfManagedHostArgs,
  type SelfManagedKubernetesArgs,
  type SelfManagedPluginArgs,
  type VaultAuthorization,
} from "../../components";

const config = new pulumi.Config();
const newestKeyVersion = config.getNumber("newestKeyVersion");
const vaultName = config.get("vaultName");

const encryption = new KmsEtcdEncryption("etcd", {
  keyVersion: config.requireNumber("keyVersion"), // the version that encrypts: raise it to rotate
  ...(newestKeyVersion === undefined ? {} : { newestKeyVersion }), // names the newer key while rolling back
  enabled: config.getBoolean("enabled") ?? true,
  protectKeys: config.getBoolean("protectKeys") ?? true,
  azureKeyVault: {
    resourceGroupName: config.require("resourceGroupName"),
    location: config.require("location"),
    ...(vaultName === undefined ? {} : { vaultName }),
    authorization: config.get<VaultAuthorization>("authorization") ?? "Rbac",
    keyName: "k8s", // version 1 is the key k8s-v1
    // Who azure.json on the hosts says they are: a user-assigned identity, each machine's own, or a service principal.
    keyUsers: config.requireObject<Record<string, AzureKeyUserArgs>>("keyUsers"),
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
