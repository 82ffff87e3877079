/** A cluster set up by hand after seed 000: KMS v1, because the configuration names no version, and the upstream plugin's own pod. */
import { stringify } from "yaml";
import type { KeyReference } from "../../../../core/key-reference";
import { PluginFlavour } from "../../../../core/plugin-flavour";
import { type PluginPodSettings, pluginStaticPod } from "../../../../core/plugin-static-pod";

const seedSocket = "/opt/azurekms.socket";
export const seedComment = "what is encrypted with the KMS plugin";

export function seedConfiguration(socketPath = seedSocket): string {
  return `kind: EncryptionConfiguration
apiVersion: apiserver.config.k8s.io/v1
resources:
  - resources:                                        # ${seedComment}
      - secrets
    providers:
      - kms:
          name: azurekmsprovider
          endpoint: unix://${socketPath}
          cachesize: 1000
      - identity: {}
`;
}

/** `settings`: what runs in the upstream image's place, and how it finds the cloud that the test plays. */
export function seedPod(key: KeyReference, settings: PluginPodSettings, socketPath = seedSocket): string {
  const ports = { health: 8787, metrics: 8095 };
  const pod = pluginStaticPod(
    { name: "azure-kms-provider", key, socketPath, ports },
    { ...settings, flavour: PluginFlavour.AzureKubernetesKms },
  );
  const { annotations: _, ...metadata } = pod["metadata"] as Record<string, unknown>;
  return stringify({ ...pod, metadata });
}
