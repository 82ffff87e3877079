/** The fleet, and the stored objects, of a control plane on this machine. */
import { readFileSync } from "node:fs";
import { KmsEtcdError } from "../../../core/errors";
import type { LocalControlPlane, TlsClientFiles } from "../../../core/local-control-plane";
import type { EngineLease } from "../../engine-lease";
import type { StoredObjects } from "../../stored-objects";
import type { ApiServerAddress } from "../kubernetes/api-client";
import { createEngineLease } from "../kubernetes/engine-lease";
import { createStoredObjects } from "../kubernetes/stored-objects";
import { etcdLayoutOf } from "./etcd-layout";
import type { FleetHost } from "./fleet-host";
import { createHostsFleet, type HostsFleet } from "./hosts-fleet";
import { localHost } from "./local-host";
import { localPluginManifest } from "./plugin-manifest";

/** Throws `not-found` where a certificate of the descriptor is missing. */
export function createLocalFleet(controlPlane: LocalControlPlane): HostsFleet {
  return createHostsFleet({ hosts: localFleetHosts(controlPlane) });
}

/** The hosts of a control plane on this machine, as a fleet takes them. */
export function localFleetHosts(controlPlane: LocalControlPlane): readonly FleetHost[] {
  return controlPlane.hosts.map((host) => fleetHost(controlPlane, host));
}

/** `etcd`: read the stored values themselves. `api`: prove through the API servers, as where there is no way to etcd. */
export function createLocalStoredObjects(
  controlPlane: LocalControlPlane,
  fleet: HostsFleet,
  proof: "etcd" | "api" = "etcd",
): StoredObjects {
  const { etcd, hosts } = controlPlane;
  return createStoredObjects({
    servers: hosts.map(address),
    configOf: (hash) => fleet.configOf(hash),
    ...(proof === "etcd" && {
      etcd: {
        endpoints: etcd.endpoints,
        tls: readTls(etcd.client),
        layout: () => etcdLayoutOf(localFleetHosts(controlPlane)),
      },
    }),
  });
}

/** The Lease by which one engine at a time works on this control plane. */
export function createLocalEngineLease({ hosts }: LocalControlPlane): EngineLease {
  return createEngineLease(hosts.map(address));
}

type LocalHostDescription = LocalControlPlane["hosts"][number];

function fleetHost(controlPlane: LocalControlPlane, host: LocalHostDescription): FleetHost {
  const { pluginCommand, pluginSettings } = controlPlane;
  const { pluginSocketDirectory } = host;
  return {
    host: localHost(host.name),
    apiServer: address(host),
    manifestDirectory: host.manifestDirectory,
    apiServerManifest: host.apiServerManifest,
    encryptionConfigFile: host.encryptionConfigFile,
    pluginSocketDirectory,
    backupDirectory: host.backupDirectory,
    pluginManifest: (plugin) =>
      localPluginManifest(plugin, {
        pluginSocketDirectory,
        pluginCommand,
        ...(pluginSettings === undefined ? {} : { pluginSettings }),
      }),
  };
}

function address({ name, apiServerUrl, client }: LocalHostDescription): ApiServerAddress {
  return { name, url: apiServerUrl, tls: readTls(client) };
}

function readTls({ caFile, certFile, keyFile }: TlsClientFiles): Required<ApiServerAddress["tls"]> {
  const read = (file: string) => {
    try {
      return readFileSync(file, "utf8");
    } catch (thrown) {
      throw new KmsEtcdError(
        "not-found",
        `${file} cannot be read: ${(thrown as NodeJS.ErrnoException).code ?? "unknown"}`,
        {
          remedy: "start the control plane first",
        },
      );
    }
  };
  return { ca: read(caFile), cert: read(certFile), key: read(keyFile) };
}
