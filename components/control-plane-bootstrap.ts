/** Encryption from the first boot, for machines whose first boot a Pulumi program describes. */
import * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import { type KubeadmApiVersion, renderBootstrap } from "../core/bootstrap";
import { bootstrapViolations, firstBoot } from "../core/bootstrap-inputs";
import { encryptionConfigurationDocument } from "../core/encryption-configuration";
import { typeTokens } from "../core/type-tokens";
import { inputError } from "./input-error";
import type { SelfManagedLayoutArgs, SelfManagedPluginArgs } from "./self-managed-platform";

/** The inputs of a ControlPlaneBootstrap: a key, exactly one of `azureKeyId` and `awsKeyArn`, and the plugin. */
export interface ControlPlaneBootstrapArgs {
  /** One version of a key in Azure Key Vault or a managed HSM: `https://VAULT.vault.azure.net/keys/NAME/VERSION`. */
  readonly azureKeyId?: pulumi.Input<string>;
  /** ARN of a key in AWS KMS. */
  readonly awsKeyArn?: pulumi.Input<string>;
  /** With awsKeyArn: bound to every ciphertext. */
  readonly encryptionContext?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /** The program and how it finds its cloud; the same as in the block `selfManaged` later. */
  readonly plugin: pulumi.Input<SelfManagedPluginArgs>;
  /**
   * Resources to encrypt, as EncryptionConfiguration names them.
   * @default ["secrets"]
   */
  readonly resources?: pulumi.Input<pulumi.Input<string>[]>;
  /** Where things lie on the hosts. */
  readonly layout?: pulumi.Input<SelfManagedLayoutArgs>;
  /**
   * The version of kubeadm's configuration.
   * @default "v1beta4"
   */
  readonly kubeadmApiVersion?: pulumi.Input<KubeadmApiVersion>;
}

/**
 * What the first control-plane hosts of a new cluster need so that their API servers encrypt from the first write. It puts nothing anywhere. For
 * hosts that join a cluster later, `kms-etcd bootstrap` prints the same with the configuration that is in force then.
 */
export class ControlPlaneBootstrap extends pulumi.ComponentResource {
  /** A cloud-config that puts the encryption configuration and the plugin's static pod on a host. It holds nothing secret. */
  readonly cloudInit: pulumi.Output<string>;
  /** InitConfiguration and ClusterConfiguration, to be merged into yours, for `kubeadm init --config`. */
  readonly kubeadmInit: pulumi.Output<string>;
  /** JoinConfiguration, to be merged into yours, for `kubeadm join --config`. */
  readonly kubeadmJoin: pulumi.Output<string>;

  constructor(name: string, args: ControlPlaneBootstrapArgs, opts?: pulumi.ComponentResourceOptions) {
    super(typeTokens.controlPlaneBootstrap, name, args, opts);
    const rendered = pulumi.output(args).apply((given) => {
      const inputs = { ...given };
      const violations = bootstrapViolations(inputs);
      if (violations.length > 0) throw inputError("ControlPlaneBootstrap", violations);
      const { config, podName, pod, layout, kubeadmApiVersion } = firstBoot(inputs);
      return renderBootstrap(
        {
          encryptionConfig: yaml(encryptionConfigurationDocument(config)),
          manifests: [{ fileName: `${podName}.yaml`, text: yaml(pod) }],
          layout,
          kubeadmApiVersion,
        },
        yaml,
      );
    });
    this.cloudInit = rendered.cloudInit;
    this.kubeadmInit = rendered.kubeadmInit;
    this.kubeadmJoin = rendered.kubeadmJoin;
    this.registerOutputs({
      cloudInit: this.cloudInit,
      kubeadmInit: this.kubeadmInit,
      kubeadmJoin: this.kubeadmJoin,
    });
  }
}

function yaml(document: unknown): string {
  return stringify(document, { lineWidth: 0 });
}
