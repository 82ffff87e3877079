/** The static pod by which a control-plane host runs one KMS plugin instance. */
import { stringify } from "yaml";
import { describeKey } from "../../../core/key-reference";
import type { PluginInstance } from "../../../core/plugin-instance";
import type { PluginSettingsByKind } from "../../../core/plugin-settings";
import { pluginComponent, staticPodAnnotations } from "../../../core/static-pod";
import { flagValue, type Manifest } from "./manifest";
import { pluginArguments } from "./plugin-arguments";

export interface LocalPluginHost {
  readonly pluginSocketDirectory: string;
  /** The command and first arguments of a plugin process, before its flags. */
  readonly pluginCommand: readonly string[];
  readonly pluginSettings?: PluginSettingsByKind;
}

/** The manifest for a host without images, where the plugin runs from the machine's own file system. */
export function localPluginManifest(plugin: PluginInstance, host: LocalPluginHost): string {
  const { arguments: more = [], environment = {} } = host.pluginSettings?.[plugin.key.kind] ?? {};
  const env = Object.entries(environment).map(([name, value]) => ({ name, value }));
  const socket = `${host.pluginSocketDirectory}/${plugin.socketFile}`;
  return stringify(
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: plugin.name,
        namespace: "kube-system",
        labels: { tier: "control-plane", component: pluginComponent },
        annotations: { [staticPodAnnotations.key]: describeKey(plugin.key) },
      },
      spec: {
        hostNetwork: true,
        priorityClassName: "system-node-critical",
        terminationGracePeriodSeconds: 10,
        containers: [
          {
            name: pluginComponent,
            command: [...host.pluginCommand, ...pluginArguments(plugin.key, socket), ...more],
            ...(env.length === 0 ? {} : { env }),
          },
        ],
      },
    },
    { lineWidth: 0 },
  );
}

/** Whether the manifest is of a plugin that the engine started. Where the image is another's, its label is that image's own. */
export function isOurPlugin(manifest: Manifest): boolean {
  return staticPodAnnotations.key in manifest.annotations || manifest.labels["component"] === pluginComponent;
}

/** The path of the socket that the plugin listens on, as the manifest has it. */
export function socketOf(manifest: Manifest): string | undefined {
  const address = flagValue(manifest, "listen-addr") ?? flagValue(manifest, "listen");
  return address?.replace(/^unix:\/\//, "");
}
