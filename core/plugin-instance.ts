/** One KMS plugin instance as every control-plane host runs it: one key, one socket, one static pod. */
import type { KeyReference } from "./key-reference";
import { pluginName } from "./provider-name";

export interface PluginInstance {
  /** Pod name, and the file name of its manifest: from the key, so that it is the same on every host. */
  readonly name: string;
  readonly key: KeyReference;
  /** File name of the unix socket inside the host's socket directory. */
  readonly socketFile: string;
}

export function pluginInstance(key: KeyReference): PluginInstance {
  const name = pluginName(key);
  return { name, key, socketFile: `${name}.socket` };
}
