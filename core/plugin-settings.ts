/** How KMS plugins on a host find their cloud and are let into it: the same for every key of that cloud. */
import type { KeyReference } from "./key-reference";

/** Stands in clear in the plugins' manifests, so it names credentials by file and holds none itself. */
export interface PluginSettings {
  /** Flags of the plugin after the key's own: `--config-file-path=...` (Azure), `--kms-endpoint=...` (AWS). */
  readonly arguments?: readonly string[];
  /** Environment variables: HTTPS_PROXY, AZURE_AUTHORITY_HOST, AWS_SHARED_CREDENTIALS_FILE and their like. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** By where the key lives. What is left out: the plugin's own defaults, and what the host offers. */
export type PluginSettingsByKind = Readonly<Partial<Record<KeyReference["kind"], PluginSettings>>>;
