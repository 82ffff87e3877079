/**
 * What a control-plane host needs before its first start so that its API server encrypts from the first write: the encryption
 * configuration, the plugins' static pods, and kubeadm's settings for both. Pure: the YAML writer is given.
 */
import type { EncryptionConfiguration, ResourceBlock } from "./encryption-configuration";
import { KmsEtcdError } from "./errors";
import type { PluginInstance } from "./plugin-instance";
import { providerName, resourceSlot } from "./provider-name";
import { apiServerVolumes, type SelfManagedLayout } from "./self-managed-cluster";

/** Versions of kubeadm's configuration: v1beta4 from Kubernetes 1.31 on, v1beta3 before. */
export const KubeadmApiVersion = {
  /** Kubernetes 1.31 and later. */
  V1Beta4: "v1beta4",
  /** Kubernetes 1.22 and later; deprecated since 1.31. */
  V1Beta3: "v1beta3",
} as const;
export type KubeadmApiVersion = (typeof KubeadmApiVersion)[keyof typeof KubeadmApiVersion];

export interface BootstrapManifest {
  readonly fileName: string;
  readonly text: string;
}

export interface BootstrapOptions {
  /** Text of the encryption configuration; without key material. */
  readonly encryptionConfig: string;
  /** Of every plugin that the configuration names. */
  readonly manifests: readonly BootstrapManifest[];
  readonly layout: SelfManagedLayout;
  readonly kubeadmApiVersion: KubeadmApiVersion;
}

export interface Bootstrap {
  /** `#cloud-config` that puts the files on a host, for the first one and for each that joins. */
  readonly cloudInit: string;
  /** InitConfiguration and ClusterConfiguration, for `kubeadm init --config`. */
  readonly kubeadmInit: string;
  /** JoinConfiguration without the part that says how to find the cluster, for `kubeadm join --config`. */
  readonly kubeadmJoin: string;
}

export function renderBootstrap(options: BootstrapOptions, yaml: (document: unknown) => string): Bootstrap {
  const { encryptionConfig, manifests, layout, kubeadmApiVersion } = options;
  const files = [
    { path: layout.encryptionConfigFile, content: encryptionConfig },
    ...manifests.map(({ fileName, text }) => ({ path: `${layout.manifestDirectory}/${fileName}`, content: text })),
  ];
  const apiVersion = `kubeadm.k8s.io/${kubeadmApiVersion}`;
  // kubeadm wants the kubelet's folder empty, and the plugins are there already.
  const ignorePreflightErrors = [`DirAvailable-${layout.manifestDirectory.replaceAll("/", "-")}`];
  const nodeRegistration = { ignorePreflightErrors };
  const flags = [
    ["encryption-provider-config", layout.encryptionConfigFile],
    ["encryption-provider-config-automatic-reload", "true"],
  ] as const;
  const extraArgs =
    kubeadmApiVersion === KubeadmApiVersion.V1Beta3
      ? Object.fromEntries(flags)
      : flags.map(([name, value]) => ({ name, value }));
  const extraVolumes = apiServerVolumes(layout).map(({ name, path, readOnly }) => ({
    name,
    hostPath: path,
    mountPath: path,
    ...(readOnly && { readOnly }),
    pathType: "DirectoryOrCreate",
  }));
  const cluster = { apiVersion, kind: "ClusterConfiguration", apiServer: { extraArgs, extraVolumes } };
  return {
    cloudInit: `#cloud-config\n${yaml({
      write_files: files.map((file) => ({ ...file, owner: "root:root", permissions: "0600" })),
    })}`,
    kubeadmInit: `${yaml({ apiVersion, kind: "InitConfiguration", nodeRegistration })}---\n${yaml(cluster)}`,
    kubeadmJoin: yaml({ apiVersion, kind: "JoinConfiguration", nodeRegistration, controlPlane: {} }),
  };
}

/**
 * The configuration of a cluster that does not exist yet: nothing is stored, so the key is writer and only reader from the
 * start. As the engine would have it at the end of a rotation, so that the first rollout finds nothing to do.
 */
export function firstEncryptionConfig(
  plugin: PluginInstance,
  resources: readonly string[],
  layout: Pick<SelfManagedLayout, "pluginSocketDirectory">,
): EncryptionConfiguration {
  const blocks = [...resources]
    .sort((a, b) => breadth(a) - breadth(b))
    .map(
      (resource): ResourceBlock => ({
        resources: [resource],
        providers: [
          {
            kind: "kms",
            apiVersion: "v2",
            name: providerName("v2", plugin.key, resourceSlot([resource])),
            endpoint: `unix://${layout.pluginSocketDirectory}/${plugin.socketFile}`,
            timeout: "3s",
          },
        ],
      }),
    );
  return { blocks };
}

/** An API server refuses a block that a wildcard before it masks. */
function breadth(resource: string): number {
  if (resource === "*.*") return 2;
  return resource.startsWith("*.") ? 1 : 0;
}

/** Throws `unsupported` for a configuration with keys of its own in it: what is printed here lands in places where no key belongs. */
export function refuseKeyMaterial(config: EncryptionConfiguration): void {
  const kinds = config.blocks.flatMap(({ providers }) => providers.map(({ kind }) => kind));
  const local = kinds.find((kind) => kind !== "kms" && kind !== "identity");
  if (local === undefined) return;
  throw new KmsEtcdError("unsupported", `the encryption configuration has keys of its own (${local})`, {
    remedy: "finish the move to KMS, which takes them out, or copy the file from host to host in a safe way",
  });
}
