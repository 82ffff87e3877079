/** The static pod of one KMS plugin by itself, for people who put files on their hosts in their own way. */
import * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import { pluginPodInstance, pluginPodViolations } from "../core/plugin-pod-inputs";
import { type PluginPodSettings, pluginStaticPod } from "../core/plugin-static-pod";
import { sealedPod } from "../core/pod-seal";
import { providerName } from "../core/provider-name";
import { typeTokens } from "../core/type-tokens";
import { inputError } from "./input-error";
import type { SelfManagedPluginArgs } from "./self-managed-platform";

/** The inputs of a KmsPluginStaticPod: a key, exactly one of `azureKeyId` and `awsKeyArn`, and the plugin. */
export interface KmsPluginStaticPodArgs {
  /** One version of a key in Azure Key Vault or a managed HSM: `https://VAULT.vault.azure.net/keys/NAME/VERSION`. */
  readonly azureKeyId?: pulumi.Input<string>;
  /** ARN of a key in AWS KMS. */
  readonly awsKeyArn?: pulumi.Input<string>;
  /** With awsKeyArn: bound to every ciphertext. */
  readonly encryptionContext?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /** The program and how it finds its cloud. */
  readonly plugin: pulumi.Input<SelfManagedPluginArgs>;
  /**
   * Name of the pod.
   * @default the name that an EncryptionRollout gives to the key's plugin
   */
  readonly podName?: pulumi.Input<string>;
  /**
   * The unix socket on the host. Its directory is mounted, so the API server must see that directory too. Two instances need two sockets.
   * @default /run/kms-etcd/ with the name that an EncryptionRollout gives to it
   */
  readonly socketPath?: pulumi.Input<string>;
  /**
   * Port of the health check. Two instances on a host need two.
   * @default 8787 for Azure and 8083 for AWS, as the upstream plugins' manifests have them
   * @integer
   */
  readonly healthPort?: pulumi.Input<number>;
  /**
   * Port of the metrics. Two instances on a host need two.
   * @default 8095
   * @integer
   */
  readonly metricsPort?: pulumi.Input<number>;
}

/**
 * Renders the static pod of one KMS plugin. It puts nothing anywhere: write `manifest` to `fileName` in the kubelet's folder of every
 * control-plane host, by cloud-init for example. An EncryptionRollout with the same plugin settings takes it for its own.
 */
export class KmsPluginStaticPod extends pulumi.ComponentResource {
  /** The manifest, as YAML. It holds nothing secret. */
  readonly manifest: pulumi.Output<string>;
  /** Name of the manifest's file. */
  readonly fileName: pulumi.Output<string>;
  /** What an EncryptionConfiguration names as the provider's endpoint. */
  readonly endpoint: pulumi.Output<string>;
  /** The provider's name for Secrets in an EncryptionConfiguration. It is bound to the key: never use it for another one. */
  readonly providerName: pulumi.Output<string>;

  constructor(name: string, args: KmsPluginStaticPodArgs, opts?: pulumi.ComponentResourceOptions) {
    super(typeTokens.kmsPluginStaticPod, name, args, opts);
    const pod = pulumi.output(args).apply((given) => {
      const inputs = { ...given };
      const violations = pluginPodViolations(inputs);
      if (violations.length > 0) throw inputError("KmsPluginStaticPod", violations);
      const instance = pluginPodInstance(inputs);
      const document = sealedPod(pluginStaticPod(instance, given.plugin as PluginPodSettings));
      return {
        manifest: stringify(document, { lineWidth: 0 }),
        fileName: `${instance.name}.yaml`,
        endpoint: `unix://${instance.socketPath}`,
        providerName: providerName("v2", instance.key, "secrets"),
      };
    });
    this.manifest = pod.manifest;
    this.fileName = pod.fileName;
    this.endpoint = pod.endpoint;
    this.providerName = pod.providerName;
    this.registerOutputs({
      manifest: this.manifest,
      fileName: this.fileName,
      endpoint: this.endpoint,
      providerName: this.providerName,
    });
  }
}
