/**
 * A cluster that was encrypted as the upstream plugins' guides say: their configuration, their provider and their pod on every host, with our
 * plugin in the place of their image, which keeps their program's flags. Real API servers behind real SSH servers; they restart.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { AwsKeyReference, AzureKeyReference } from "../../../core/key-reference";
import { PluginFlavour } from "../../../core/plugin-flavour";
import { firstPluginPorts, type PluginPodSettings, pluginStaticPod } from "../../../core/plugin-static-pod";
import { eventually } from "../../e2e/support/eventually";
import { type RealCluster, realCluster } from "../../e2e/support/real-cluster";
import { type SshCluster, sshCluster } from "../../e2e/support/ssh-cluster";
import { socketAnswers } from "../../support/socket-answers";
import { type CloudKeys, cloudKeys } from "./cloud-keys";

export interface UpstreamGuide {
  /** Of the guide's pod, provider and socket. */
  readonly pod: string;
  readonly provider: string;
  readonly socket: string;
  readonly image: string;
  readonly flavour: PluginFlavour;
  readonly noPorts: readonly string[];
  readonly key: (clouds: CloudKeys, version: number) => AzureKeyReference | AwsKeyReference;
  readonly settings: (clouds: CloudKeys) => Promise<Partial<PluginPodSettings>>;
}

export const upstreamGuides: Readonly<Record<string, UpstreamGuide>> = {
  "Azure/kubernetes-kms": {
    pod: "azure-kms-provider",
    provider: "azurekmsprovider",
    socket: "azurekms.socket",
    image: "mcr.microsoft.com/oss/azure/kms/keyvault:v0.5.0",
    flavour: PluginFlavour.AzureKubernetesKms,
    noPorts: ["--healthz-port=0", "--metrics-addr=0"],
    key: (clouds, version) => clouds.azureKey("k8skv", `k8s-${version}`),
    settings: (clouds) => clouds.azureHosts(),
  },
  "aws-encryption-provider": {
    pod: "aws-encryption-provider",
    provider: "aws-encryption-provider",
    socket: "socket.sock",
    image: "111122223333.dkr.ecr.us-west-2.amazonaws.com/aws-encryption-provider:v0.0.1",
    flavour: PluginFlavour.AwsEncryptionProvider,
    noPorts: ["--health-port=:0"],
    key: (clouds) => {
      const { region, keyArn } = clouds.awsKey().reference;
      return { kind: "aws", keyArn, region, encryptionContext: {} };
    },
    settings: async (clouds) => {
      const { aws } = await clouds.pluginSettings();
      const [endpoint = ""] = aws?.arguments ?? [];
      return { awsEndpoint: endpoint.replace("--kms-endpoint=", ""), environment: aws?.environment ?? {} };
    },
  },
};

export interface GuidedCluster {
  readonly cluster: RealCluster;
  readonly clouds: CloudKeys;
  readonly ssh: SshCluster;
  /** The guide's own key. */
  readonly key: AzureKeyReference | AwsKeyReference;
  /** What their pod's manifest has on each host. */
  readonly pods: readonly string[];
  /** Of their plugin on a host. */
  socketOf(host: number): string;
  close(): Promise<void>;
}

/** Every Secret is stored under the guide's provider when it is there. */
export async function guidedCluster(guide: UpstreamGuide, secrets: number): Promise<GuidedCluster> {
  const closing: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const each of closing.splice(0).reverse()) await each();
  };
  try {
    const clouds = await cloudKeys();
    closing.push(() => clouds.close());
    const settings = { image: guide.image, flavour: guide.flavour, ...(await guide.settings(clouds)) };
    const cluster = await realCluster({ automaticReload: false, hosts: 2 });
    closing.push(() => cluster.close());
    const ssh = await sshCluster(cluster, { plugin: settings, noPorts: guide.noPorts });
    closing.push(() => ssh.close());
    const key = guide.key(clouds, 1);
    const socketOf = (index: number) => join(cluster.directory, `o${index}`, guide.socket);
    const pods: string[] = [];
    for (const [index, host] of cluster.controlPlane.hosts.entries()) {
      mkdirSync(join(cluster.directory, `o${index}`), { mode: 0o700 });
      const pod = pluginStaticPod(
        { name: guide.pod, key, socketPath: socketOf(index), ports: firstPluginPorts(key) },
        { ...settings, command: cluster.controlPlane.pluginCommand, arguments: guide.noPorts },
      );
      const { annotations: _, ...metadata } = pod["metadata"] as Record<string, unknown>;
      pods.push(stringify({ ...pod, metadata }));
      writeFileSync(join(host.manifestDirectory, `${guide.pod}.yaml`), pods[index] ?? "");
      await eventually("the guide's plugin answers", 60, () => socketAnswers(socketOf(index)));
      // The guides' first configuration is KMS v1, for want of an apiVersion; API servers of today need the gate for it.
      writeFileSync(host.encryptionConfigFile, guidedConfiguration(guide, socketOf(index)));
      const file = ssh.manifestFile(index);
      const before = cluster.pid(host.name, "kube-apiserver");
      const gate = "        - --feature-gates=KMSv1=true\n        - --authorization-mode";
      writeFileSync(file, readFileSync(file, "utf8").replace("        - --authorization-mode", gate));
      await eventually(`${host.name} is another process`, 120, () => {
        const pid = cluster.pid(host.name, "kube-apiserver");
        return pid !== undefined && pid !== before;
      });
      await eventually(`${host.name} is ready`, 120, async () => {
        return (await cluster.request(index, "GET", "/readyz").catch(() => undefined))?.status === 200;
      });
    }
    await cluster.createSecrets(secrets);
    return { cluster, clouds, ssh, key, pods, socketOf, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

export function guidedConfiguration(guide: UpstreamGuide, socket: string): string {
  return `kind: EncryptionConfiguration
apiVersion: apiserver.config.k8s.io/v1
resources:
  - resources:
      - secrets
    providers:
      - kms:
          name: ${guide.provider}
          endpoint: unix://${socket}
          cachesize: 1000
          timeout: 3s
      - identity: {}
`;
}
