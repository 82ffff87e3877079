/**
 * The file by which a control plane on this machine (`control-plane/`) and the engine's adapter find each other:
 * `control-plane.json` in the state directory. All paths in it are absolute.
 */
import type { PluginSettingsByKind } from "./plugin-settings";

export const localControlPlaneFile = "control-plane.json";

/** A TLS client's files. The key file is 0600. */
export interface TlsClientFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** One control-plane host: its own API server, manifests, encryption configuration and plugin sockets. */
export interface LocalControlPlaneHost {
  /** For example `cp1`; the API server's host name too where the host has a UTS namespace of its own. */
  readonly name: string;
  /** `https://127.0.0.1:<port>` of this host's API server. */
  readonly apiServerUrl: string;
  /** A cluster administrator's client certificate for this API server. */
  readonly client: TlsClientFiles;
  /** Static pods: a manifest here runs, a changed one restarts, a removed one stops. */
  readonly manifestDirectory: string;
  /** File name of the API server's manifest inside `manifestDirectory`. */
  readonly apiServerManifest: string;
  readonly encryptionConfigFile: string;
  readonly pluginSocketDirectory: string;
  /** Where the engine keeps what it replaces, by hash. */
  readonly backupDirectory: string;
}

export interface LocalControlPlane {
  readonly formatVersion: 1;
  readonly name: string;
  readonly stateDirectory: string;
  readonly kubernetesVersion: string;
  /** Whether each API server has a host name, and so an identity Lease, of its own. False where it was started without root. */
  readonly separateHostNames: boolean;
  readonly etcd: { readonly endpoints: readonly string[]; readonly client: TlsClientFiles; readonly prefix: string };
  readonly hosts: readonly LocalControlPlaneHost[];
  /** The command and first arguments that run a KMS plugin on a host, before its flags: `[node, .../plugin-server/main.js]`. */
  readonly pluginCommand: readonly string[];
  /** How plugins find and use their cloud from this machine; absent: as the plugin itself finds its way. */
  readonly pluginSettings?: PluginSettingsByKind;
}
