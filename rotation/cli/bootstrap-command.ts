/**
 * `kms-etcd bootstrap`: what a new control-plane host needs to join with the configuration that is in force. Only what every
 * server has loaded counts: a host that came with an older or a newer stage could write what others cannot read (invariant 1).
 */
import { isDeepStrictEqual } from "node:util";
import { stringify } from "yaml";
import { type KubeadmApiVersion, refuseKeyMaterial, renderBootstrap } from "../../core/bootstrap";
import { type EncryptionConfiguration, endpointsOf } from "../../core/encryption-configuration";
import { KmsEtcdError } from "../../core/errors";
import type { PluginInstance } from "../../core/plugin-instance";
import type { SelfManagedCluster } from "../../core/self-managed-cluster";
import { renderEncryptionConfig } from "../adapters/hosts/encryption-config-file";
import { parseManifest } from "../adapters/hosts/manifest";
import { sealManifest } from "../adapters/hosts/sealed-manifest";
import { selfManagedPluginManifest } from "../adapters/hosts/self-managed-hosts";
import type { Cluster } from "../cluster";
import type { FleetObservation } from "../fleet";
import type { DeclaredKey } from "./declared-keys";
import type { LookContext } from "./look";
import { busy } from "./terminal";

/** What is printed. */
export const BootstrapPart = {
  CloudInit: "cloud-init",
  KubeadmInit: "kubeadm-init",
  KubeadmJoin: "kubeadm-join",
} as const;
export type BootstrapPart = (typeof BootstrapPart)[keyof typeof BootstrapPart];
export const bootstrapParts: readonly BootstrapPart[] = Object.values(BootstrapPart);

export interface BootstrapRequest extends LookContext {
  readonly cluster: Cluster;
  /** The hosts, as the configuration file has them: the new one is laid out as the first is. */
  readonly described: SelfManagedCluster;
  readonly keys: readonly DeclaredKey[];
  readonly part: BootstrapPart;
  readonly kubeadmApiVersion: KubeadmApiVersion;
}

/** Throws `blocked` while servers differ, or where a plugin in use is of no declared key. */
export async function bootstrapText(request: BootstrapRequest): Promise<string> {
  const { cluster, described, keys, part, kubeadmApiVersion, terminal, signal } = request;
  const observed = await busy(terminal, () => "looking at the servers", cluster.fleet.observe(signal));
  const config = commonConfig(observed);
  refuseKeyMaterial(config);
  const plugins = pluginsOf(config, keys, (plugin) => cluster.fleet.endpoint(plugin));
  const layout = described.hosts[0]?.layout;
  if (layout === undefined) throw new KmsEtcdError("invalid-input", "selfManaged.hosts is empty");
  if (layout.apiServerUnit !== undefined) {
    throw new KmsEtcdError("unsupported", "kubeadm and cloud-init set no API server up that is a unit of systemd", {
      remedy:
        "copy the encryption configuration, the plugins' units and the drop-in of the API server's unit from a host that has them, safely, before the new one starts",
    });
  }
  const manifests: string[] = [];
  for (const plugin of plugins) {
    const present = manifests.flatMap((text) => parseManifest(text) ?? []);
    manifests.push(sealManifest(selfManagedPluginManifest(plugin, present, layout, described.plugin)));
  }
  const rendered = renderBootstrap(
    {
      encryptionConfig: renderEncryptionConfig(config, undefined),
      manifests: plugins.map(({ name }, index) => ({ fileName: `${name}.yaml`, text: manifests[index] ?? "" })),
      layout,
      kubeadmApiVersion,
    },
    (document) => stringify(document, { lineWidth: 0 }),
  );
  const texts: Readonly<Record<BootstrapPart, string>> = {
    "cloud-init": rendered.cloudInit,
    "kubeadm-init": rendered.kubeadmInit,
    "kubeadm-join": rendered.kubeadmJoin,
  };
  return texts[part].trimEnd();
}

/** The configuration that every server has on disk and has loaded. */
function commonConfig({ servers }: FleetObservation): EncryptionConfiguration {
  for (const { name, unreachable, file, loaded } of servers) {
    if (unreachable !== undefined) throw unsettled(`${name} cannot be seen: ${unreachable}`);
    if (file === undefined) throw unsettled(`${name} has no encryption configuration that could be used`);
    if (loaded.hash !== file.hash) throw unsettled(`${name} has not loaded its configuration yet`);
  }
  const [first, ...others] = servers;
  const differing = others.find(({ file }) => !isDeepStrictEqual(file?.config, first?.file?.config));
  if (first?.file === undefined) throw unsettled("there is no server");
  if (differing !== undefined) throw unsettled(`${differing.name} has another configuration than ${first.name}`);
  return first.file.config;
}

function unsettled(why: string): KmsEtcdError {
  return new KmsEtcdError("blocked", `there is no one configuration in force: ${why}`, {
    remedy:
      "let the rotation go on to its next stage (kms-etcd rotate), then print it and let the host join before the stage after it",
  });
}

/** The declared keys' plugins behind the providers of `config`, in their order. */
function pluginsOf(
  config: EncryptionConfiguration,
  keys: readonly DeclaredKey[],
  endpointOf: (plugin: PluginInstance) => string,
): readonly PluginInstance[] {
  return [...endpointsOf(config)].map((endpoint) => {
    const found = keys.find(({ plugin }) => endpointOf(plugin) === endpoint);
    if (found !== undefined) return found.plugin;
    throw new KmsEtcdError("blocked", `the configuration names ${endpoint}, which is the plugin of no declared key`, {
      remedy:
        "declare its key; a plugin that the engine did not start has to be put on the new host as it was on the others",
    });
  });
}
