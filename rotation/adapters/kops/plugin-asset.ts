/**
 * The file asset by which every control-plane machine of a kOps cluster runs one KMS plugin: a static pod's manifest. A static
 * pod starts before there is a network, so it uses the host's, and with it the machine's own metadata service and role.
 */
import { stringify } from "yaml";
import { describeKey } from "../../../core/key-reference";
import type { KopsPlugin } from "../../../core/kops-cluster";
import { PluginFlavour } from "../../../core/plugin-flavour";
import type { PluginInstance } from "../../../core/plugin-instance";
import { pluginComponent, staticPodAnnotations } from "../../../core/static-pod";
import { pluginArguments } from "../hosts/plugin-arguments";
import { type FileAsset } from "./cluster-spec";

/** Which image runs the plugin, and how. */
export interface PluginImage {
  readonly image: string;
  /** The program inside the image with its first arguments; absent: the image's own entry point. */
  readonly command?: readonly string[];
  /** Whether the program takes our sub-command `aws` before its flags; aws-encryption-provider's own image takes none. */
  readonly upstream?: boolean;
  /** Flags after the key's own: `--kms-endpoint=...`. */
  readonly arguments?: readonly string[];
}

/** What an input of a program makes of it. */
export function pluginImage({
  image,
  flavour,
  command,
  awsEndpoint,
  arguments: more = [],
}: Pick<KopsPlugin, "image"> & Partial<KopsPlugin>): PluginImage {
  const flags = [...(awsEndpoint === undefined ? [] : [`--kms-endpoint=${awsEndpoint}`]), ...more];
  const isUpstream = flavour === PluginFlavour.AwsEncryptionProvider;
  // As its own manifests have it; an image of that program may have another entry point.
  const program = command ?? (isUpstream ? ["/aws-encryption-provider"] : undefined);
  return {
    image,
    ...(program !== undefined && { command: program }),
    ...(isUpstream && { upstream: true }),
    ...(flags.length > 0 && { arguments: flags }),
  };
}

/**
 * Sockets stand here: kOps mounts the folder above it into the API server since 1.22, and a folder of its own keeps the API
 * server's private keys, which stand beside it, out of the plugin's sight.
 */
export const socketDirectory = "/srv/kubernetes/kube-apiserver/kms-etcd";
/** kubelet's manifest folder on every kOps machine (kops pkg/model/components/kubelet.go). */
export const manifestDirectory = "/etc/kubernetes/manifests";
/** The upstream guide moves the health port here, out of the API server's way; one more plugin takes the next that is free. */
const firstHealthPort = 8083;

/** `unix://` endpoint of the plugin, the same on every machine. */
export function kopsEndpoint(plugin: PluginInstance): string {
  return `unix://${socketDirectory}/${plugin.socketFile}`;
}

/** The asset's name, and the file name of the manifest. */
export function assetName(plugin: PluginInstance): string {
  return `${plugin.name}.yaml`;
}

/** The lowest port for a plugin's health server that none of `taken` is. */
export function freeHealthPort(taken: readonly number[]): number {
  let port = firstHealthPort;
  while (taken.includes(port)) port += 1;
  return port;
}

/**
 * The asset for `plugin`. `roles` are those whose machines run an API server. Its text depends on nothing else, so that asking
 * again never rolls a machine.
 */
export function pluginAsset(
  plugin: PluginInstance,
  image: PluginImage,
  roles: readonly string[],
  port: number,
): FileAsset {
  return {
    name: assetName(plugin),
    path: `${manifestDirectory}/${assetName(plugin)}`,
    roles: [...roles],
    content: pluginManifest(plugin, image, port),
  };
}

function pluginManifest(
  plugin: PluginInstance,
  { image, command, upstream, arguments: more = [] }: PluginImage,
  port: number,
): string {
  const socket = `${socketDirectory}/${plugin.socketFile}`;
  // The kubelet asks on the loopback, and nobody else needs to: metrics have no authentication.
  const flags = pluginArguments(plugin.key, socket)
    .filter((flag) => !flag.startsWith("--health-port="))
    .slice(upstream === true ? 1 : 0);
  const probe = (path: string, failureThreshold: number) => ({
    httpGet: { host: "127.0.0.1", path, port },
    periodSeconds: 10,
    timeoutSeconds: 5,
    failureThreshold,
  });
  return stringify(
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: plugin.name,
        namespace: "kube-system",
        labels: { "k8s-app": plugin.name, tier: "control-plane", component: pluginComponent },
        annotations: { [staticPodAnnotations.key]: describeKey(plugin.key) },
      },
      spec: {
        hostNetwork: true,
        // `kops validate cluster`, and so every roll, waits for pods of this class.
        priorityClassName: "system-cluster-critical",
        terminationGracePeriodSeconds: 10,
        containers: [
          {
            name: pluginComponent,
            image,
            ...(command === undefined ? {} : { command: [...command] }),
            args: [...flags, `--health-port=127.0.0.1:${port}`, ...more],
            securityContext: { runAsUser: 0, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
            // A restart repairs no key, so liveness asks for the process alone.
            livenessProbe: probe("/livez", 3),
            readinessProbe: probe("/healthz", 1),
            resources: { requests: { cpu: "20m", memory: "128Mi" } },
            volumeMounts: [{ name: "sockets", mountPath: socketDirectory }],
          },
        ],
        volumes: [{ name: "sockets", hostPath: { path: socketDirectory, type: "DirectoryOrCreate" } }],
      },
    },
    { lineWidth: 0 },
  );
}
