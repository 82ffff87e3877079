/** The hosts of a self-managed cluster, over SSH, as a fleet takes them. */
import type { Duplex } from "node:stream";
import { stringify } from "yaml";
import { KmsEtcdError } from "../../../core/errors";
import type { PluginInstance } from "../../../core/plugin-instance";
import { firstPluginPorts, pluginStaticPod } from "../../../core/plugin-static-pod";
import {
  type SelfManagedCluster,
  type SelfManagedHost,
  type SelfManagedLayout,
  type SelfManagedPlugin,
  unitDirectory,
} from "../../../core/self-managed-cluster";
import type { ApiServerAddress } from "../kubernetes/api-client";
import type { KubeconfigCredentials } from "../kubernetes/kubeconfig";
import { type SshSession, sshSession } from "../ssh/ssh-session";
import type { SshTarget } from "../ssh/ssh-target";
import type { FleetHost } from "./fleet-host";
import type { Host } from "./host";
import { flagValue, type Manifest } from "./manifest";
import { pluginPorts } from "./plugin-ports";
import { pluginUnit } from "./plugin-unit";
import { apiServerDefinition, type DefinedAt, noDefinition } from "./read-api-server";
import { sshHost } from "./ssh-host";
import { sshUnits } from "./ssh-units";

/** A host that can be reached, before it is known how its API server is. */
export interface ReachedHost {
  readonly described: SelfManagedHost;
  readonly host: Host;
  readonly session: SshSession;
  readonly definedAt: DefinedAt;
  /** The API server's manifest, or unit, as it is now; undefined where there is none. */
  manifest(): Promise<Manifest | undefined>;
}

/** Connects when first used. */
export function reachHost(described: SelfManagedHost, { ssh }: Pick<SelfManagedCluster, "ssh">): ReachedHost {
  const { layout } = described;
  const { sudo, sudoSftpServer } = ssh;
  const session = sshSession(
    targetOf(described, ssh),
    sudo ? { ...(sudoSftpServer !== undefined && { sftpServer: sudoSftpServer }) } : undefined,
  );
  const host = sshHost(session);
  const { apiServerUnit } = layout;
  const definedAt: DefinedAt = {
    host,
    ...(apiServerUnit === undefined
      ? layout
      : {
          manifestDirectory: unitDirectory,
          apiServerManifest: apiServerUnit,
          systemd: { control: sshUnits(session), apiServerUnit },
        }),
  };
  return {
    definedAt,
    described,
    host,
    session,
    manifest: async () => {
      return (await apiServerDefinition(definedAt))?.manifest;
    },
  };
}

function targetOf({ name, address, port }: SelfManagedHost, ssh: SelfManagedCluster["ssh"]): SshTarget {
  const { user, knownHosts, jumpHost, privateKey, passphrase, agentSocket } = ssh;
  const identity = {
    user,
    knownHosts,
    ...(privateKey !== undefined && { privateKey }),
    ...(passphrase !== undefined && { passphrase }),
    ...(agentSocket !== undefined && { agentSocket }),
  };
  const jump = jumpHost && { ...identity, ...jumpHost, name: `${name}, jump host` };
  return { ...identity, name, address, port, ...(jump && { jump }) };
}

/** `tlsServerName` is the only name that a certificate may have, where it is given. */
export function fleetHostOf(
  reached: ReachedHost,
  cluster: SelfManagedCluster,
  { tls, token, serverNames }: KubeconfigCredentials,
): FleetHost {
  const { described } = reached;
  const { layout, name, address } = described;
  const { tlsServerName } = cluster.kubernetes;
  const known = ["kubernetes.default.svc", "kubernetes", ...serverNames, address, name, "127.0.0.1"];
  const apiServer: ApiServerAddress = {
    name,
    url: `https://${name}`,
    tls,
    ...(token !== undefined && { token }),
    way: { dial: apiServerDialler(reached), serverNames: tlsServerName === undefined ? known : [tlsServerName] },
  };
  return {
    apiServer,
    ...layout,
    ...reached.definedAt,
    mayBeSetUp: true,
    pluginManifest: (plugin, present) => selfManagedPluginManifest(plugin, present, layout, cluster.plugin),
  };
}

/** The text of a plugin's manifest, or unit; `present` are those that the host has, its own among them. */
export function selfManagedPluginManifest(
  { name, key, socketFile }: PluginInstance,
  present: readonly Manifest[],
  { pluginSocketDirectory, apiServerUnit }: SelfManagedLayout,
  settings: SelfManagedPlugin,
): string {
  const own = present.find((manifest) => manifest.name === name);
  const others = present.filter((manifest) => manifest !== own);
  const ports = pluginPorts(firstPluginPorts(key), others, own);
  const socketPath = `${pluginSocketDirectory}/${socketFile}`;
  const instance = { name, key, socketPath, ports };
  if (apiServerUnit !== undefined) return pluginUnit(instance, settings, { apiServerUnit });
  const { image } = settings;
  if (image === undefined) {
    throw new KmsEtcdError("invalid-input", "plugin.image is missing", {
      remedy: "say which image the KMS plugin is on hosts with static pods",
    });
  }
  return stringify(pluginStaticPod(instance, { ...settings, image }), { lineWidth: 0 });
}

/** To the host's own API server, wherever its flags say that it listens, and to no other behind a load balancer. */
function apiServerDialler(reached: ReachedHost): () => Promise<Duplex> {
  let place: Promise<{ readonly address: string; readonly port: number }> | undefined;
  return async () => {
    place ??= placeOf(reached);
    try {
      const { address, port } = await place;
      return await (await reached.session.ssh()).forward(address, port);
    } catch (thrown) {
      // It may be another one by now.
      place = undefined;
      throw thrown;
    }
  };
}

/** kubeadm's, and Kubernetes' own. */
const defaultSecurePort = 6443;

async function placeOf({ described, definedAt, manifest }: ReachedHost) {
  const found = await manifest();
  if (found === undefined) {
    throw new KmsEtcdError("not-found", `${described.name}: ${noDefinition(definedAt)}`);
  }
  const bind = flagValue(found, "bind-address");
  const isEverywhere = bind === undefined || bind === "" || bind === "0.0.0.0" || bind === "::";
  return {
    address: isEverywhere ? "127.0.0.1" : bind,
    port: Number(flagValue(found, "secure-port") ?? defaultSecurePort),
  };
}
