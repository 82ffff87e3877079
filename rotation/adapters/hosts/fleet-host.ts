/** A control-plane host as a fleet uses it: how to reach it and its API server, and where things are on it. */
import type { PluginInstance } from "../../../core/plugin-instance";
import type { ApiServerAddress } from "../kubernetes/api-client";
import type { UnitControl } from "../systemd/unit-control";
import type { Host } from "./host";
import type { Manifest } from "./manifest";

/** A host without static pods. */
export interface SystemdHost {
  readonly control: UnitControl;
  readonly apiServerUnit: string;
}

/** Paths are absolute. */
export interface FleetHost {
  readonly host: Host;
  readonly apiServer: ApiServerAddress;
  /** Where a kubelet, or systemd, looks for what it shall run. */
  readonly manifestDirectory: string;
  /** File name inside `manifestDirectory`. */
  readonly apiServerManifest: string;
  readonly encryptionConfigFile: string;
  readonly pluginSocketDirectory: string;
  /** Of the engine alone, 0700: backups by hash, and the lock. */
  readonly backupDirectory: string;
  /** Given where systemd runs the API server and the plugins, and not a kubelet. */
  readonly systemd?: SystemdHost;
  /** Whether the engine may edit the API server's manifest so that it reads that file and sees those sockets. @default false */
  readonly mayBeSetUp?: boolean;
  /** The text of a plugin's manifest, or unit, on this host; `present` are those that it has, its own among them. */
  pluginManifest(plugin: PluginInstance, present: readonly Manifest[]): string;
}
